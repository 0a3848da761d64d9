#include "daemon/report/static_compute.h"

#include <fstream>
#include <string>

#include "analytic/stages.h"
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

const absl::StatusOr<std::string> kNoTrace = absl::FailedPreconditionError("nobody asked");

json Analyze(const analytic::Workload& workload, std::optional<int64_t> context = std::nullopt,
             const absl::StatusOr<std::string>& answer = kNoTrace) {
  const auto response = AnalyzeStatic(analytic::ModelSpec(), workload, context, "0.1.0", answer);
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
    EXPECT_THAT(stage["notes"].dump(), HasSubstr("not traced: nobody asked"));
  }
  EXPECT_TRUE(document["notes"].is_array());
  EXPECT_EQ(document["metadata"]["context"], 128);
  EXPECT_EQ(document["metadata"]["crop_grid"], json::parse("[1, 1]"));
}

// What a runner that counts as the closed formulas do would print.
json TraceOf(const analytic::Workload& workload) {
  json answer = {{"extracted", {{"ranges", json::object()}}}, {"isolated", json::object()}};
  const auto analysis = analytic::AnalyzeStages(analytic::ModelSpec(), workload, workload.seq_len);
  for (const analytic::StageAnalysis& stage : analysis->stages) {
    json ranges = json::object();
    for (const analytic::LeafFlops& leaf : stage.leaves) {
      ranges[leaf.module_id] = {{"flops", {{"aten::mm", leaf.flops}}}, {"activations", leaf.activation_elements}};
    }
    answer["isolated"][std::string(stage.name)] = {{"ranges", ranges}};
    answer["extracted"]["ranges"].update(ranges);
  }
  return answer;
}

class MergeTest : public ::testing::Test {
 protected:
  json Merge() { return Analyze(workload_, std::nullopt, answer_.dump()); }

  const analytic::Workload workload_ = *analytic::FindWorkload("dsocr-standard-v1");
  json answer_ = TraceOf(workload_);
};

TEST_F(MergeTest, IsolatedComesFirstAndAllThreeWaysAreStated) {
  const json document = Merge();
  const json formulas = Analyze(workload_);
  for (const char* name : kStages) {
    const json& stage = document["stages"][name];
    EXPECT_EQ(stage["source"], "isolated");
    EXPECT_EQ(stage["flops_isolated"], stage["flops_analytical"]);
    EXPECT_EQ(stage["flops_extracted"], stage["flops_analytical"]);
    EXPECT_EQ(stage["notes"].size(), 1);
    for (const char* key : {"flops", "activations", "operators", "modules"}) {
      EXPECT_EQ(stage[key], formulas["stages"][name][key]) << name << " " << key;
    }
  }
  EXPECT_THAT(document["notes"].dump(), HasSubstr("agree to the last FLOP"));
}

TEST_F(MergeTest, StageThatCannotBeIsolatedFallsBackToTheWholeTraceWithItsReason) {
  answer_["isolated"]["clip"] = {{"error", "operator 'aten::roll' has no meta kernel"}};
  answer_["isolated"].erase("projector");
  const json document = Merge();
  EXPECT_EQ(document["stages"]["clip"]["source"], "extracted");
  EXPECT_THAT(document["stages"]["clip"]["notes"].dump(), HasSubstr("isolated: not traced: operator 'aten::roll'"));
  EXPECT_THAT(document["notes"].dump(), HasSubstr("clip: isolated: not traced"));
  EXPECT_EQ(document["stages"]["projector"]["source"], "extracted");
  EXPECT_EQ(document["stages"]["sam"]["source"], "isolated");
}

TEST_F(MergeTest, WaysThatDifferAreBothShownAndSaidToDiffer) {
  json& flops = answer_["isolated"]["sam"]["ranges"]["vision/sam/patch_embed"]["flops"]["aten::mm"];
  flops = flops.get<int64_t>() + 2;
  const json stage = Merge()["stages"]["sam"];
  EXPECT_EQ(stage["flops_isolated"].get<int64_t>(), stage["flops_analytical"].get<int64_t>() + 2);
  EXPECT_EQ(stage["flops"], stage["flops_isolated"]);
  EXPECT_THAT(stage["notes"].dump(), HasSubstr("isolated counts"));
}

TEST_F(MergeTest, HostileAnswersDegradeAndAreNamed) {
  const auto notes_of = [&](const json& range) {
    answer_["isolated"]["sam"] = {{"ranges", {{"vision/sam/patch_embed", range}}}};
    const json stage = Merge()["stages"]["sam"];
    EXPECT_EQ(stage["source"], "extracted");
    return stage["notes"].dump();
  };
  EXPECT_THAT(notes_of({{"flops", {{"a", -1}}}, {"activations", 1}}), HasSubstr("no count of a real model"));
  EXPECT_THAT(notes_of({{"flops", {{"a", UINT64_MAX}}}, {"activations", 1}}), HasSubstr("no count of a real model"));
  EXPECT_THAT(notes_of({{"flops", {{"a", int64_t{1} << 58}, {"b", int64_t{1} << 58}, {"c", 1}}}, {"activations", 1}}),
              HasSubstr("no count of a real model"));
  EXPECT_THAT(notes_of({{"flops", 5}, {"activations", 1}}), HasSubstr("no flops or no activations"));
  EXPECT_THAT(notes_of(json::array()), HasSubstr("no flops or no activations"));

  answer_["isolated"]["sam"] = {{"ranges", {{"decode/lm_head", {{"flops", {{"a", 1}}}, {"activations", 1}}}}}};
  EXPECT_THAT(Merge()["stages"]["sam"]["notes"].dump(), HasSubstr("modules of other stages"));
  answer_["isolated"]["sam"] = {{"ranges", {{"vision/sam", {{"flops", {{"a", 1}}}, {"activations", 1}}}}}};
  EXPECT_THAT(Merge()["stages"]["sam"]["notes"].dump(), HasSubstr("'vision/sam' is no leaf"));
  for (const char* text : {"", "[]", "{\"extracted\": 1}", "{\"extracted\": {}, \"isolated\": []}", "\xff\xfe"}) {
    const json document = Analyze(workload_, std::nullopt, std::string(text));
    EXPECT_EQ(document["stages"]["sam"]["source"], "analytical") << text;
    EXPECT_THAT(document["notes"].dump(), HasSubstr("it printed no traces")) << text;
  }
}

TEST(AnalyzeStatic, IsDeterministic) {
  const analytic::Workload workload = *analytic::FindWorkload("dsocr-a4-v1");
  const auto a = AnalyzeStatic(analytic::ModelSpec(), workload, 2000, "0.1.0", kNoTrace);
  const auto b = AnalyzeStatic(analytic::ModelSpec(), workload, 2000, "0.1.0", kNoTrace);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->SerializeAsString(), b->SerializeAsString());
}

TEST(AnalyzeStatic, WritesTablesForAReader) {
  const auto response = AnalyzeStatic(analytic::ModelSpec(), *analytic::FindWorkload("dsocr-standard-v1"), std::nullopt,
                                      "0.1.0", kNoTrace);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(response->markdown(), HasSubstr("976,909,172,736"));
  EXPECT_THAT(response->markdown(), HasSubstr("3,336,106,240"));
  for (const char* name : kStages) {
    EXPECT_THAT(response->markdown(), HasSubstr(std::string("\n## ") + name + "\n"));
  }
  EXPECT_THAT(response->table_markdown(), HasSubstr("| · · `sam`"));
  EXPECT_THAT(response->table_markdown(), HasSubstr("| · · · `patch_embed`"));
}

TEST(AnalyzeStatic, RefusesABadContext) {
  const analytic::Workload workload = *analytic::FindWorkload("dsocr-tiny-v1");
  EXPECT_EQ(AnalyzeStatic(analytic::ModelSpec(), workload, -1, "0.1.0", kNoTrace).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace dsocr::report
