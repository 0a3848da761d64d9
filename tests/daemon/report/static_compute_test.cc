#include "daemon/report/static_compute.h"

#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace dsocr::report {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kStages[] = {"sam", "clip", "projector", "prefill", "decode"};

json Golden() {
  std::ifstream file(std::string(DSOCR_SOURCE_DIR) + "/tests/golden/flops_public.json");
  return json::parse(file);
}

analytic::Workload WorkloadOf(const json& golden) {
  analytic::Workload workload = *analytic::FindWorkload("dsocr-standard-v1");
  workload.seq_len = golden["seq_len"];
  const json& groups = golden["vision_groups"];
  workload.base_size = groups[0]["side"];
  if (groups.size() > 1) {  // gundam_w2_h3
    workload.page_width = 1240;
    workload.page_height = 1754;
  } else if (groups[0]["side"] != 1024) {
    workload.crop_mode = false;
    workload.image_size = groups[0]["side"];
  }
  return workload;
}

json Analyze(const analytic::Workload& workload, std::optional<int64_t> context = std::nullopt) {
  const auto response = AnalyzeStatic(analytic::ModelSpec(), workload, context, "0.1.0");
  EXPECT_TRUE(response.ok()) << response.status();
  return json::parse(response->json());
}

TEST(AnalyzeStatic, EqualsThePublicCountsExactly) {
  for (const json& golden : Golden()["workloads"]) {
    SCOPED_TRACE(golden["name"].get<std::string>());
    for (const json& decode : golden["decode"]) {
      const json stages = Analyze(WorkloadOf(golden), decode["context_len_in_cache"].get<int64_t>())["stages"];
      EXPECT_EQ(stages["sam"]["flops"], golden["vision_total"]["sam"]);
      EXPECT_EQ(stages["clip"]["flops"], golden["vision_total"]["clip"]);
      EXPECT_EQ(stages["projector"]["flops"], golden["vision_total"]["projector"]);
      EXPECT_EQ(stages["prefill"]["flops"], golden["prefill"]["decoder_without_rope_table"].get<int64_t>() +
                                                golden["prefill"]["lm_head_last_position_only"].get<int64_t>());
      EXPECT_EQ(stages["decode"]["flops"],
                decode["decoder_without_rope_table"].get<int64_t>() + decode["lm_head"].get<int64_t>());
    }
  }
}

TEST(AnalyzeStatic, ParametersFollowTheSourcesStageMap) {
  const json document = Analyze(*analytic::FindWorkload("dsocr-standard-v1"));
  EXPECT_EQ(document["stages"]["sam"]["params"], 95'569'152);
  EXPECT_EQ(document["stages"]["clip"]["params"], 303'177'728);
  EXPECT_EQ(document["stages"]["projector"]["params"], 2'622'720);
  EXPECT_EQ(document["stages"]["prefill"]["params"], 2'769'255'680);
  EXPECT_EQ(document["stages"]["decode"]["params"], 165'478'400);
  EXPECT_EQ(document["total"]["params"], 3'336'106'240);
}

TEST(AnalyzeStatic, PartsAreTheWhole) {
  for (const analytic::Workload& workload : analytic::WorkloadCatalogue()) {
    const json document = Analyze(workload);
    int64_t total = 0;
    for (const char* name : kStages) {
      const json& stage = document["stages"][name];
      int64_t by_operator = 0;
      for (const auto& [category, flops] : stage["operators"].items()) {
        by_operator += flops.get<int64_t>();
      }
      int64_t by_module = 0;
      for (const auto& [path, flops] : stage["modules"].items()) {
        by_module += flops.get<int64_t>();
      }
      EXPECT_EQ(by_operator, stage["flops"]);
      EXPECT_EQ(by_module, stage["flops"]);
      EXPECT_TRUE(stage["activations"].is_number_integer());
      total += stage["flops"].get<int64_t>();
    }
    EXPECT_EQ(total, document["total"]["flops"]);
  }
}

TEST(AnalyzeStatic, SaysThatClosedFormulasAreItsSource) {
  const json document = Analyze(*analytic::FindWorkload("dsocr-tiny-v1"));
  for (const char* name : kStages) {
    const json& stage = document["stages"][name];
    EXPECT_EQ(stage["source"], "analytical");
    EXPECT_EQ(stage["flops_analytical"], stage["flops"]);
    EXPECT_TRUE(stage["flops_extracted"].is_null());
    EXPECT_TRUE(stage["flops_isolated"].is_null());
    EXPECT_TRUE(stage["notes"].is_array());
  }
  EXPECT_TRUE(document["notes"].is_array());
  EXPECT_EQ(document["metadata"]["context"], 128);
  EXPECT_EQ(document["metadata"]["crop_grid"], json::parse("[1, 1]"));
}

TEST(AnalyzeStatic, IsDeterministic) {
  const analytic::Workload workload = *analytic::FindWorkload("dsocr-a4-v1");
  const auto a = AnalyzeStatic(analytic::ModelSpec(), workload, 2000, "0.1.0");
  const auto b = AnalyzeStatic(analytic::ModelSpec(), workload, 2000, "0.1.0");
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->SerializeAsString(), b->SerializeAsString());
}

TEST(AnalyzeStatic, WritesTablesForAReader) {
  const auto response =
      AnalyzeStatic(analytic::ModelSpec(), *analytic::FindWorkload("dsocr-standard-v1"), std::nullopt, "0.1.0");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(response->markdown(), HasSubstr("976,909,172,736"));
  EXPECT_THAT(response->markdown(), HasSubstr("3,336,106,240"));
  for (const char* name : kStages) {
    EXPECT_THAT(response->markdown(), HasSubstr(std::string("\n## ") + name + "\n"));
  }
  EXPECT_THAT(response->table_markdown(), HasSubstr("| `vision/sam`"));
  EXPECT_THAT(response->table_markdown(), HasSubstr("| &nbsp;&nbsp;`patch_embed`"));
}

TEST(AnalyzeStatic, RefusesABadContext) {
  const analytic::Workload workload = *analytic::FindWorkload("dsocr-tiny-v1");
  EXPECT_EQ(AnalyzeStatic(analytic::ModelSpec(), workload, -1, "0.1.0").status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace dsocr::report
