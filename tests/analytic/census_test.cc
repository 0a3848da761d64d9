#include "analytic/census.h"

#include <string>
#include <vector>

#include "analytic/prediction.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/analytic/models.h"

namespace dsocr::analytic {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

const ModuleFigures& FiguresOf(const Prediction& prediction, const std::string& id) {
  return prediction.modules[static_cast<size_t>(prediction.module_of_range.at(id))].figures;
}

Prediction Predicted(const std::string& device, Precision precision = Precision::kBf16, int64_t new_tokens = 64) {
  Workload workload = *FindWorkload("dsocr-standard-v1");
  workload.precision = precision;
  workload.max_new_tokens = new_tokens;
  return *Predict(ModelSpec(), workload, *FindDevice(device));
}

TEST(Census, KnowsEveryLeaf) {
  for (const ModelSpec& model : {ModelSpec(), TinyA(), TinyB()}) {
    const ModuleTree tree = BuildTree(model);
    ASSERT_TRUE(HasCensus(tree));
    for (const Node& node : tree.nodes) {
      if (node.is_leaf() && node.spec.name != "patch_embedding") {  // which never runs
        EXPECT_THAT(CensusOf(tree, node, Frame(), 1), Not(IsEmpty())) << node.id;
      }
    }
  }
}

TEST(Census, OneCategoryIsThatOfTheLeaf) {
  const ModuleTree tree = BuildTree(ModelSpec());
  for (const Node& node : tree.nodes) {
    if (node.is_leaf() && node.spec.repetition != Repetition::kParfor) {
      for (const CensusEntry& entry : CensusOf(tree, node, Frame(), 1)) {
        EXPECT_EQ(entry.category, node.spec.operators.front().category) << node.id;
      }
    }
  }
}

TEST(Census, OnACpuIsWhatAModuleLaunches) {
  const Prediction prediction = Predicted("cpu");
  EXPECT_EQ(FiguresOf(prediction, "vision/sam/patch_embed").launches, 3);
  EXPECT_EQ(FiguresOf(prediction, "vision/sam/block[0-1,3-4,6-7,9-10]/window_partition").launches, 8 * 4);
  EXPECT_EQ(FiguresOf(prediction, "vision/sam/block[2,5,8,11]/attn/core").launches, 4);
  EXPECT_EQ(FiguresOf(prediction, "projector/assemble").launches, 8);
  EXPECT_EQ(FiguresOf(prediction, "prefill/layer[1-11]/moe/experts").launches, 11 * (6 * 64 + 9));
  EXPECT_EQ(FiguresOf(prediction, "decode/layer[1-11]/moe/experts").launches, 63 * 11 * (5 * 6 + 7));
  EXPECT_EQ(FiguresOf(prediction, "decode/sample").launches, 63 * 3);
}

TEST(Census, CategoriesOfRoutedExpertsAddUp) {
  const Prediction prediction = Predicted("cpu");
  int64_t sum = 0;
  for (const CategoryFigures& category : FiguresOf(prediction, "decode/layer[1-11]/moe/experts").operators) {
    const int64_t of_a_call = category.calls / (63 * 11);
    EXPECT_EQ(of_a_call, category.category_id == "gemv" ? 3 * 6 + 1 : 6) << category.category_id;
    sum += of_a_call;
  }
  EXPECT_EQ(sum, 5 * 6 + 7);
}

TEST(Census, IsTheSameInEveryPrecision) {
  const Prediction bf16 = Predicted("cpu", Precision::kBf16);
  const Prediction fp32 = Predicted("cpu", Precision::kFp32);
  for (size_t i = 0; i < bf16.modules.size(); ++i) {
    EXPECT_EQ(bf16.modules[i].figures.launches, fp32.modules[i].figures.launches) << bf16.modules[i].module_id;
  }
}

TEST(Census, CategoriesOfAModuleDoNotDependOnWhetherItRuns) {
  const Prediction with_decode = Predicted("cpu");
  const Prediction without = Predicted("cpu", Precision::kBf16, /*new_tokens=*/1);
  for (size_t i = 0; i < without.modules.size(); ++i) {
    const auto& some = with_decode.modules[i].figures.operators;
    const auto& others = without.modules[i].figures.operators;
    ASSERT_EQ(some.size(), others.size()) << without.modules[i].module_id;
    for (size_t k = 0; k < some.size(); ++k) {
      EXPECT_EQ(some[k].category_id, others[k].category_id) << without.modules[i].module_id;
    }
  }
}

TEST(Census, IsNoneOfAGpusOrOfAModelThatTheRunnerDoesNotRun) {
  EXPECT_EQ(FiguresOf(Predicted("h200-sxm"), "decode/norm").launches, 63 * 8);  // as the reference writes it
  EXPECT_EQ(FiguresOf(Predicted("cpu"), "decode/norm").launches, 63 * 7);
  ModelSpec second;
  second.encoder = QueryEncoderSpec();
  EXPECT_FALSE(HasCensus(BuildTree(second)));
}

}  // namespace
}  // namespace dsocr::analytic
