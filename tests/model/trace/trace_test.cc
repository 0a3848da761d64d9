// The traces against the counts that torch.utils.flop_counter made of the reference model.
#include "model/trace/trace.h"

#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "model/synthetic.h"
#include "tests/model/tiny_model.h"

namespace dsocr::model {
namespace {

using nlohmann::json;

struct PageRequest {
  Size page;
  int base_size = 1024;
  int image_size = 640;
  bool crop_mode = true;
  int64_t seq_len = 0;  // 0: eight text tokens behind the image
};

Request MakeRequest(const DeepseekOcr& model, const PageRequest& page) {
  PreprocessConfig views = model.config().preprocess;
  views.base_size = page.base_size;
  views.image_size = page.image_size;
  views.crop_mode = page.crop_mode;
  const int image_tokens = ImageTokens(page.page, views);
  return model.Prepare(
      MakeViews(SyntheticPage(page.page), views),
      SyntheticPrompt(model.config(), image_tokens, page.seq_len > 0 ? page.seq_len : image_tokens + 8));
}

int64_t Total(const FlopCounts& counts, const std::string& prefix) {
  int64_t total = 0;
  for (const auto& [range, flops] : counts) {
    if (range.starts_with(prefix)) total += flops.total();
  }
  return total;
}

std::map<std::string, int64_t> ByOperator(const FlopCounts& counts) {
  std::map<std::string, int64_t> sums;
  for (const auto& [range, flops] : counts) {
    for (const auto& [name, count] : flops.flops) sums[name] += count;
  }
  return sums;
}

const StageTrace& Stage(const ModelTrace& trace, const std::string& name) {
  for (const auto& [stage, traced] : trace.isolated) {
    if (stage == name) return traced;
  }
  throw std::out_of_range(name);
}

class PublishedModelTest : public ::testing::Test {
 protected:
  const c10::InferenceMode inference_;
  const std::unique_ptr<DeepseekOcr> model_ = MakeMetaModel(ModelConfig());
  const json golden_ = json::parse(std::ifstream(std::string(DSOCR_SOURCE_DIR) + "/tests/golden/flops_public.json"));

  Request RequestOf(const json& workload) const {
    const int side = workload["vision_groups"][0]["side"];
    PageRequest page{.page = {side, side}, .base_size = side, .image_size = side, .crop_mode = false};
    if (workload["vision_groups"].size() > 1) page = {.page = {1240, 1754}};
    page.seq_len = workload["seq_len"];
    return MakeRequest(*model_, page);
  }
};

TEST_F(PublishedModelTest, BothTracesEqualThePublicCountsExactly) {
  for (const json& workload : golden_["workloads"]) {
    SCOPED_TRACE(workload["name"].get<std::string>());
    const Request request = RequestOf(workload);
    for (const json& decode : workload["decode"]) {
      const ModelTrace trace = TraceModel(*model_, request, decode["context_len_in_cache"]);
      ASSERT_EQ(trace.extracted.error, "");
      const std::map<std::string, int64_t> expected = {
          {"sam", workload["vision_total"]["sam"]},
          {"clip", workload["vision_total"]["clip"]},
          {"projector", workload["vision_total"]["projector"]},
          {"prefill", workload["prefill"]["decoder_without_rope_table"].get<int64_t>() +
                          workload["prefill"]["lm_head_last_position_only"].get<int64_t>()},
          {"decode", decode["decoder_without_rope_table"].get<int64_t>() + decode["lm_head"].get<int64_t>()}};
      for (const auto& [stage, flops] : expected) {
        EXPECT_EQ(Stage(trace, stage).error, "");
        EXPECT_EQ(Total(Stage(trace, stage).counts, ""), flops) << stage;
        const bool is_vision = stage == "sam" || stage == "clip";
        EXPECT_EQ(Total(trace.extracted.counts, (is_vision ? "vision/" : "") + stage + "/"), flops) << stage;
      }
    }
  }
}

TEST_F(PublishedModelTest, OperatorsOfTheVisionStagesEqualThePublicCounts) {
  for (const json& workload : golden_["workloads"]) {
    if (workload["vision_groups"].size() > 1) continue;  // its operators are listed by view
    SCOPED_TRACE(workload["name"].get<std::string>());
    const ModelTrace trace = TraceModel(*model_, RequestOf(workload), 0);
    for (const char* stage : {"sam", "clip", "projector"}) {
      std::map<std::string, int64_t> expected;
      for (const auto& [name, flops] : workload["vision_groups"][0]["ops"][stage].items()) {
        expected["aten::" + name.substr(std::string("aten.").size())] = flops;
      }
      EXPECT_EQ(ByOperator(Stage(trace, stage).counts), expected) << stage;
    }
  }
}

TEST_F(PublishedModelTest, EveryFlopLiesInALeafRange) {
  const ModelTrace trace = TraceModel(*model_, MakeRequest(*model_, {.page = {1240, 1754}}), 7);
  EXPECT_FALSE(trace.extracted.counts.contains(""));
  for (const auto& [range, flops] : trace.extracted.counts) {
    for (const auto& [other, other_flops] : trace.extracted.counts) {
      EXPECT_FALSE(other.starts_with(range + "/")) << range << " has FLOPs of its own besides " << other;
    }
  }
}

TEST(TraceTest, ExtractedIsTheSumOfTheIsolatedStagesForAnyConfiguration) {
  const c10::InferenceMode inference;
  for (const char* fixture : {"tiny_a", "tiny_b"}) {
    const std::unique_ptr<DeepseekOcr> model = MakeMetaModel(LoadModelConfig(FixtureDir(fixture)));
    const PreprocessConfig& views = model->config().preprocess;
    for (const Size page : {Size{500, 380}, Size{100, 100}}) {
      SCOPED_TRACE(fixture);
      const Request request = MakeRequest(
          *model,
          {.page = page, .base_size = views.base_size, .image_size = views.image_size, .crop_mode = views.crop_mode});
      const ModelTrace trace = TraceModel(*model, request, 5);
      ASSERT_EQ(trace.extracted.error, "");
      FlopCounts sum;
      for (const auto& [name, stage] : trace.isolated) {
        EXPECT_EQ(stage.error, "") << name;
        for (const auto& [range, flops] : stage.counts) {
          EXPECT_TRUE(sum.emplace(range, flops).second) << range << " runs in two stages";
        }
      }
      ASSERT_EQ(sum.size(), trace.extracted.counts.size());
      for (const auto& [range, flops] : trace.extracted.counts) {
        EXPECT_EQ(sum[range].flops, flops.flops) << range;
        EXPECT_EQ(sum[range].activations, flops.activations) << range;
      }
    }
  }
}

}  // namespace
}  // namespace dsocr::model
