#include "daemon/report/decode_step.h"

#include <algorithm>
#include <string>
#include <vector>

#include "daemon/report/report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/report/sample_join.h"

namespace dsocr::report {
namespace {

using attribution::ExpectedOperation;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

analytic::Prediction PredictionOf(int64_t max_new_tokens) {
  ReportInput input = SampleInput();
  input.workload.max_new_tokens = max_new_tokens;
  return *analytic::Predict(input.model, input.workload, input.device);
}

// Of the leaves of the published model, by the last open range.
std::vector<std::string> LeavesOf(const std::vector<ExpectedOperation>& step) {
  std::vector<std::string> leaves;
  for (const ExpectedOperation& expected : step) {
    leaves.push_back(expected.ranges.back());
  }
  return leaves;
}

const ExpectedOperation& Find(const std::vector<ExpectedOperation>& step, const std::string& leaf) {
  return *std::find_if(step.begin(), step.end(), [&](const auto& expected) { return expected.ranges.back() == leaf; });
}

TEST(DecodeStep, OpensTheRangesOfTheRunnerOutermostFirst) {
  const std::vector<ExpectedOperation> step = DecodeStep(PredictionOf(64));
  EXPECT_THAT(Find(step, "decode/layer[7]/moe/gate").ranges,
              ElementsAre("decode", "decode/layer[7]", "decode/layer[7]/moe", "decode/layer[7]/moe/gate"));
  EXPECT_THAT(step.front().ranges, ElementsAre("decode", "decode/embed_tokens"));
  EXPECT_THAT(step.back().ranges, ElementsAre("decode", "decode/lm_head")) << "the host samples";
}

TEST(DecodeStep, EveryRangeIsANodeAndEveryLeafStandsOnce) {
  const analytic::Prediction prediction = PredictionOf(64);
  const std::vector<ExpectedOperation> step = DecodeStep(prediction);
  for (const ExpectedOperation& expected : step) {
    for (const std::string& range : expected.ranges) {
      EXPECT_TRUE(prediction.module_of_range.contains(range)) << range;
    }
  }
  std::vector<std::string> leaves = LeavesOf(step);
  std::sort(leaves.begin(), leaves.end());
  EXPECT_EQ(std::adjacent_find(leaves.begin(), leaves.end()), leaves.end());
  // embed_tokens, norm, lm_head; of a layer two norms, eight of attention, two sums; five of the dense mlp; of
  // eleven expert layers five of routing, five of the shared experts, one sum.
  EXPECT_EQ(step.size(), 3u + 12 * 12 + 5 + 11 * 11);
}

TEST(DecodeStep, LayersFollowEachOtherByIndex) {
  const std::vector<std::string> leaves = LeavesOf(DecodeStep(PredictionOf(64)));
  const auto place = [&](const std::string& leaf) {
    return std::find(leaves.begin(), leaves.end(), leaf) - leaves.begin();
  };
  EXPECT_LT(place("decode/layer[0]/mlp_residual"), place("decode/layer[1]/input_layernorm"));
  EXPECT_LT(place("decode/layer[2]/mlp_residual"), place("decode/layer[10]/input_layernorm"));
  EXPECT_LT(place("decode/layer[3]/self_attn/q_proj"), place("decode/layer[3]/self_attn/core"));
}

// A group may hold every second layer.
TEST(DecodeStep, GroupsThatInterleaveRunByIndex) {
  analytic::Prediction prediction;
  const auto add = [&](const std::string& id, const std::string& name, int parent) {
    analytic::PredictedModule module;
    module.module_id = id;
    module.name = name;
    module.parent = parent;
    module.figures.calls = module.figures.launches = 2;
    const int index = static_cast<int>(prediction.modules.size());
    prediction.modules.push_back(module);
    if (parent >= 0) {
      prediction.modules[parent].children.push_back(index);
    }
    return index;
  };
  const int root = add("deepseek_ocr", "deepseek_ocr", -1);
  prediction.module_of_range["decode"] = add("decode", "decode", root);
  const int even = add("decode/layer[0,2]", "layer[0,2]", 1);
  const int odd = add("decode/layer[1,3]", "layer[1,3]", 1);
  for (const auto& [range, group] : {std::pair("decode/layer[0]", even),
                                     {"decode/layer[1]", odd},
                                     {"decode/layer[2]", even},
                                     {"decode/layer[3]", odd}}) {
    prediction.module_of_range[range] = group;
  }
  EXPECT_THAT(LeavesOf(DecodeStep(prediction)),
              ElementsAre("decode/layer[0]", "decode/layer[1]", "decode/layer[2]", "decode/layer[3]"));
}

TEST(DecodeStep, TakesTheLeafsOwnCategoryFirstAndItsKin) {
  const std::vector<ExpectedOperation> step = DecodeStep(PredictionOf(64));
  const ExpectedOperation& q_proj = Find(step, "decode/layer[0]/self_attn/q_proj");
  EXPECT_EQ(q_proj.category_ids.front(), "gemv");
  EXPECT_THAT(q_proj.category_ids, Contains("gemm"));
  EXPECT_EQ(q_proj.operations, 1);
  EXPECT_THAT(q_proj.category_ids, Not(Contains("index")));
  EXPECT_THAT(Find(step, "decode/layer[1]/moe/experts").category_ids, Contains("index"));
  const ExpectedOperation& topk = Find(step, "decode/layer[1]/moe/topk");
  EXPECT_EQ(topk.category_ids.front(), "routing");
  EXPECT_EQ(topk.own_categories, 1);
  EXPECT_THAT(topk.category_ids, Contains("reduction"));
  for (const ExpectedOperation& expected : step) {
    for (const std::string& id : expected.category_ids) {
      EXPECT_TRUE(analytic::FindCategory(id)) << id;
    }
  }
}

TEST(DecodeStep, IsEmptyWhereNothingIsDecoded) {
  EXPECT_THAT(DecodeStep(PredictionOf(1)), IsEmpty());
  EXPECT_THAT(DecodeStep(analytic::Prediction()), IsEmpty());
}

TEST(AttributionOptions, ExpectTheDecodeStep) {
  const analytic::Prediction prediction = PredictionOf(64);
  EXPECT_EQ(AttributionOptions(prediction, 1).expected_step.size(), DecodeStep(prediction).size());
}

}  // namespace
}  // namespace dsocr::report
