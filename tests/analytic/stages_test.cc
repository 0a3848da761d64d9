#include "analytic/stages.h"

#include <cstdint>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/analytic/workloads.h"

namespace dsocr::analytic {
namespace {

using ::testing::HasSubstr;

TEST(AnalyzeStages, ParametersFollowTheSourcesMap) {
  const auto analysis = AnalyzeStages(ModelSpec(), Standard(), 512);
  ASSERT_TRUE(analysis.ok()) << analysis.status();
  ASSERT_EQ(analysis->stages.size(), 5);
  const int64_t expected[] = {95'569'152, 303'177'728, 2'622'720, 2'769'255'680, 165'478'400};
  int64_t sum = 0;
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(analysis->stages[i].parameters, expected[i]) << analysis->stages[i].name;
    sum += expected[i];
  }
  EXPECT_EQ(analysis->parameters, sum + 2'560);
  EXPECT_EQ(analysis->parameters, 3'336'106'240);
}

TEST(AnalyzeStages, OperatorsAndLeavesSumToTheStage) {
  const auto analysis = AnalyzeStages(ModelSpec(), *FindWorkload("dsocr-a4-v1"), 1024);
  ASSERT_TRUE(analysis.ok()) << analysis.status();
  int64_t total = 0;
  for (const StageAnalysis& stage : analysis->stages) {
    int64_t operators = 0;
    for (const CategoryFlops& category : stage.operators) {
      operators += category.flops;
    }
    int64_t leaves = 0;
    for (const LeafFlops& leaf : stage.leaves) {
      EXPECT_TRUE(leaf.module_id.starts_with(stage.module_id)) << leaf.module_id;
      leaves += leaf.flops;
    }
    EXPECT_EQ(operators, stage.flops) << stage.name;
    EXPECT_EQ(leaves, stage.flops) << stage.name;
    EXPECT_GT(stage.activation_elements, 0) << stage.name;
    total += stage.flops;
  }
  EXPECT_EQ(analysis->flops, total);
}

TEST(AnalyzeStages, ContextChangesDecodeAlone) {
  const auto near = AnalyzeStages(ModelSpec(), Standard(), 0);
  const auto far = AnalyzeStages(ModelSpec(), Standard(), 4096);
  ASSERT_TRUE(near.ok() && far.ok());
  EXPECT_EQ(near->stages[3].flops, far->stages[3].flops);
  EXPECT_EQ(near->stages[4].flops, 817'233'920 + 61'440 + 330'956'800);
  EXPECT_EQ(far->stages[4].flops - near->stages[4].flops, 61'440 * 4096);
}

TEST(AnalyzeStages, DoesNotDependOnTheNumberOfNewTokens) {
  Workload workload = Standard();
  workload.max_new_tokens = 1;
  EXPECT_EQ(AnalyzeStages(ModelSpec(), workload, 512)->flops, AnalyzeStages(ModelSpec(), Standard(), 512)->flops);
}

TEST(AnalyzeStages, RefusesWhatCannotBeRun) {
  EXPECT_EQ(AnalyzeStages(ModelSpec(), Standard(), -1).status().message(),
            "context -1: negative; give the tokens already in the cache");
  EXPECT_FALSE(AnalyzeStages(ModelSpec(), Standard(), int64_t{1} << 40).ok());
  Workload workload = Standard();
  workload.seq_len = 10;
  EXPECT_THAT(std::string(AnalyzeStages(ModelSpec(), workload, 1).status().message()), HasSubstr("seq_len 10"));
}

}  // namespace
}  // namespace dsocr::analytic
