// The recorded cases of the reference implementations: token counts and crop grids (preprocess_cases.json), FLOPs and
// parameters as PyTorch's own counter has them (flops_public.json, flops_ocr2_public.json). tests/golden/README.md says
// where they come from.
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "analytic/prediction.h"
#include "analytic/stages.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace dsocr::analytic {
namespace {

using Json = nlohmann::json;

Json Golden(const std::string& name) {
  std::ifstream file(std::string(DSOCR_SOURCE_DIR "/tests/golden/") + name);
  return Json::parse(file);
}

Workload InMode(const std::string& mode) {
  for (const auto& [name, profile] : {std::pair{"tiny", "dsocr-tiny-v1"},
                                      {"small", "dsocr-small-v1"},
                                      {"base", "dsocr-base-v1"},
                                      {"large", "dsocr-large-v1"}}) {
    if (mode == name) {
      return *FindWorkload(profile);
    }
  }
  return *FindWorkload("dsocr-standard-v1");
}

TEST(PreprocessCases, GridsAndTokensAreThoseOfTheReference) {
  const Json cases = Golden("preprocess_cases.json")["cases"];
  ASSERT_EQ(cases.size(), 20);
  for (const Json& expected : cases) {
    SCOPED_TRACE(expected.dump());
    Workload workload = InMode(expected["mode"]);
    workload.page_width = expected["width"];
    workload.page_height = expected["height"];
    ASSERT_TRUE(CheckPage(ModelSpec(), workload).ok());
    const ImageLayout layout = LayOutImage(ModelSpec(), workload);
    EXPECT_EQ(layout.crops_wide, expected["crop_grid_wh"][0]);
    EXPECT_EQ(layout.crops_high, expected["crop_grid_wh"][1]);
    EXPECT_EQ(layout.num_crops, expected["num_crops"]);
    EXPECT_EQ(layout.crop_side, expected["crop_side"]);
    EXPECT_EQ(layout.global_side, expected["global_view_side"]);
    EXPECT_EQ(layout.global_tokens, expected["global_rows_tokens"]);
    EXPECT_EQ(layout.local_tokens, expected["local_rows_tokens"]);
    EXPECT_EQ(layout.separator_tokens, expected["view_separator_tokens"]);
    EXPECT_EQ(layout.image_tokens(), expected["num_image_tokens"]);
  }
}

// The workload whose views and prompt are those of a case of flops_public.json.
Workload OfCase(const Json& expected) {
  const std::string name = expected["name"];
  Workload workload = InMode(name.substr(0, name.find('_')));
  if (name == "gundam_w2_h3") {
    workload.page_width = 1240;
    workload.page_height = 1754;
  }
  workload.seq_len = expected["seq_len"];
  return workload;
}

// FLOPs of the leaves of a stage whose path ends so; N stands for any layer.
int64_t LeafSum(const StageAnalysis& stage, const std::vector<std::string>& endings) {
  int64_t sum = 0;
  for (const LeafFlops& leaf : stage.leaves) {
    for (const std::string& ending : endings) {
      sum += leaf.module_id.ends_with(ending) ? leaf.flops : 0;
    }
  }
  return sum;
}

// Leaves of the reference, by their names there. Routed experts are one leaf here and three there.
struct LeafName {
  std::vector<std::string> theirs;
  std::vector<std::string> ours;
};
const std::vector<LeafName>& SamLeaves() {
  static const auto& leaves = *new std::vector<LeafName>{
      {{"patch_embed.proj"}, {"/patch_embed"}},
      {{"blocks.N.attn.qkv"}, {"/attn/qkv"}},
      {{"blocks.N.attn.proj"}, {"/attn/proj"}},
      {{"blocks.N.mlp.lin1"}, {"/mlp/lin1"}},
      {{"blocks.N.mlp.lin2"}, {"/mlp/lin2"}},
      {{"neck.0"}, {"/neck/conv1"}},
      {{"neck.2"}, {"/neck/conv2"}},
      {{"net_2"}, {"/net_2"}},
      {{"net_3"}, {"/net_3"}},
      {{"attention_scores_values_and_rel_pos (functional ops inside attn)"}, {"/attn/core", "/attn/rel_pos/scores"}}};
  return leaves;
}
const std::vector<LeafName>& ClipLeaves() {
  static const auto& leaves = *new std::vector<LeafName>{{{"transformer.layers.N.self_attn.qkv_proj"}, {"/qkv_proj"}},
                                                         {{"transformer.layers.N.self_attn.out_proj"}, {"/out_proj"}},
                                                         {{"transformer.layers.N.mlp.fc1"}, {"/mlp/fc1"}},
                                                         {{"transformer.layers.N.mlp.fc2"}, {"/mlp/fc2"}},
                                                         {{"attention_scores_values (sdpa)"}, {"/self_attn/core"}}};
  return leaves;
}
const std::vector<LeafName>& DecoderLeaves() {
  static const auto& leaves = *new std::vector<LeafName>{
      {{"layers.N.self_attn.q_proj"}, {"/q_proj"}},
      {{"layers.N.self_attn.k_proj"}, {"/k_proj"}},
      {{"layers.N.self_attn.v_proj"}, {"/v_proj"}},
      {{"layers.N.self_attn.o_proj"}, {"/o_proj"}},
      {{"layers.N.mlp.gate_proj"}, {"/mlp/gate_proj"}},
      {{"layers.N.mlp.up_proj"}, {"/mlp/up_proj"}},
      {{"layers.N.mlp.down_proj"}, {"/mlp/down_proj"}},
      {{"layers.N.mlp.gate"}, {"/moe/gate"}},
      {{"layers.N.mlp.experts.N.gate_proj", "layers.N.mlp.experts.N.up_proj", "layers.N.mlp.experts.N.down_proj"},
       {"/moe/experts"}},
      {{"layers.N.mlp.shared_experts.gate_proj"}, {"/shared_experts/gate_proj"}},
      {{"layers.N.mlp.shared_experts.up_proj"}, {"/shared_experts/up_proj"}},
      {{"layers.N.mlp.shared_experts.down_proj"}, {"/shared_experts/down_proj"}},
      {{"attention QK^T and PV (bmm, full SxS, no causal saving)", "attention QK^T and PV (bmm)"},
       {"/self_attn/core"}}};
  return leaves;
}

int64_t TheirSum(const Json& leaves, const std::vector<std::string>& names) {
  int64_t sum = 0;
  for (const std::string& name : names) {
    sum += leaves.value(name, int64_t{0});
  }
  return sum;
}

class FlopsCases : public ::testing::Test {
 protected:
  const Json golden_ = Golden("flops_public.json");
};

TEST_F(FlopsCases, VisionStagesEqualTheCounterOverAllViews) {
  for (const Json& expected : golden_["workloads"]) {
    SCOPED_TRACE(expected["name"]);
    const auto analysis = AnalyzeStages(ModelSpec(), OfCase(expected), 512);
    ASSERT_TRUE(analysis.ok()) << analysis.status();
    EXPECT_EQ(analysis->stages[0].flops, expected["vision_total"]["sam"]);
    EXPECT_EQ(analysis->stages[1].flops, expected["vision_total"]["clip"]);
    EXPECT_EQ(analysis->stages[2].flops, expected["vision_total"]["projector"]);
    for (const auto& [stage, leaves] : {std::pair{0, SamLeaves()}, {1, ClipLeaves()}}) {
      for (const LeafName& leaf : leaves) {
        int64_t theirs = 0;
        for (const Json& group : expected["vision_groups"]) {
          theirs += TheirSum(group["leaf"][stage == 0 ? "sam" : "clip"], leaf.theirs);
        }
        EXPECT_GT(theirs, 0) << leaf.theirs[0];
        EXPECT_EQ(LeafSum(analysis->stages[stage], leaf.ours), theirs) << leaf.theirs[0];
      }
    }
  }
}

TEST_F(FlopsCases, PrefillEqualsTheCounterWithoutRopeTableAndWithTheLastLogits) {
  for (const Json& expected : golden_["workloads"]) {
    SCOPED_TRACE(expected["name"]);
    const auto analysis = AnalyzeStages(ModelSpec(), OfCase(expected), 512);
    ASSERT_TRUE(analysis.ok()) << analysis.status();
    const Json& prefill = expected["prefill"];
    const StageAnalysis& stage = analysis->stages[3];
    EXPECT_EQ(stage.flops, prefill["decoder_without_rope_table"].get<int64_t>() +
                               prefill["lm_head_last_position_only"].get<int64_t>());
    EXPECT_EQ(LeafSum(stage, {"/lm_head"}), prefill["lm_head_last_position_only"]);
    for (const LeafName& leaf : DecoderLeaves()) {
      EXPECT_EQ(LeafSum(stage, leaf.ours), TheirSum(prefill["leaf"], leaf.theirs)) << leaf.theirs[0];
    }
  }
}

TEST_F(FlopsCases, DecodeEqualsTheCounterAtEveryContext) {
  int steps = 0;
  for (const Json& expected : golden_["workloads"]) {
    for (const Json& step : expected["decode"]) {
      SCOPED_TRACE(step["context_len_in_cache"].dump());
      const auto analysis = AnalyzeStages(ModelSpec(), OfCase(expected), step["context_len_in_cache"]);
      ASSERT_TRUE(analysis.ok()) << analysis.status();
      const StageAnalysis& stage = analysis->stages[4];
      EXPECT_EQ(stage.flops, step["total"].get<int64_t>() - step["rope_table_bmm"].get<int64_t>());
      for (const LeafName& leaf : DecoderLeaves()) {
        EXPECT_EQ(LeafSum(stage, leaf.ours), TheirSum(step["leaf"], leaf.theirs)) << leaf.theirs[0];
      }
      ++steps;
    }
  }
  EXPECT_EQ(steps, 6);
}

TEST_F(FlopsCases, TheTreesTotalsAreThoseOfTheAnalyzer) {
  for (const Json& expected : golden_["workloads"]) {
    SCOPED_TRACE(expected["name"]);
    const Workload workload = OfCase(expected);
    const auto prediction = Predict(ModelSpec(), workload, DeviceCatalogue().front());
    ASSERT_TRUE(prediction.ok()) << prediction.status();
    const auto flops = [&](const char* id) {
      return prediction->modules[prediction->module_of_range.at(id)].figures.flops;
    };
    EXPECT_EQ(flops("vision/sam"), expected["vision_total"]["sam"]);
    EXPECT_EQ(flops("vision/clip"), expected["vision_total"]["clip"]);
    EXPECT_EQ(flops("projector"), expected["vision_total"]["projector"]);
    EXPECT_EQ(flops("prefill"), expected["prefill"]["decoder_without_rope_table"].get<int64_t>() +
                                    expected["prefill"]["lm_head_last_position_only"].get<int64_t>());
    // A decode of 63 steps: the sum of its steps, each with one more token in the cache.
    int64_t steps = 0;
    for (int64_t context = workload.seq_len; context < workload.seq_len + 63; ++context) {
      steps += AnalyzeStages(ModelSpec(), workload, context)->stages[4].flops;
    }
    EXPECT_EQ(flops("decode"), steps);
  }
}

TEST_F(FlopsCases, ParametersAreThoseOfTheReference) {
  const Json& params = golden_["params"];
  const auto prediction = Predict(ModelSpec(), *FindWorkload("dsocr-standard-v1"), DeviceCatalogue().front());
  ASSERT_TRUE(prediction.ok()) << prediction.status();
  const auto parameters = [&](const char* id) {
    return prediction->modules[prediction->module_of_range.at(id)].figures.parameters;
  };
  EXPECT_EQ(parameters("deepseek_ocr"), params["total"]);
  EXPECT_EQ(parameters("vision/sam"), params["sam"]);
  EXPECT_EQ(parameters("vision/clip"), params["clip"]);
  EXPECT_EQ(parameters("vision/clip/embeddings/patch_embedding"), params["clip_unused_patch_embedding"]);
  EXPECT_EQ(parameters("projector/linear"), params["projector"]);
  EXPECT_EQ(parameters("projector/assemble"), params["separators"]);
  EXPECT_EQ(parameters("prefill/embed_tokens"), params["embed_tokens"]);
  EXPECT_EQ(parameters("prefill/layer[0]"), params["dense_layer0"]);
  EXPECT_EQ(parameters("prefill/layer[1-11]"), 11 * params["moe_layer"].get<int64_t>());
  EXPECT_EQ(parameters("prefill/layer[1-11]/moe/gate"), 11 * params["moe_gate_per_layer"].get<int64_t>());
  EXPECT_EQ(parameters("prefill/layer[1-11]/moe/experts"), 11 * 64 * params["one_routed_expert"].get<int64_t>());
  EXPECT_EQ(parameters("prefill/layer[1-11]/moe/shared_experts"), 11 * params["shared_expert"].get<int64_t>());
  EXPECT_EQ(parameters("prefill/norm"), params["final_norm"]);
  EXPECT_EQ(parameters("prefill/lm_head"), params["lm_head"]);
  EXPECT_EQ(parameters("decode"), 0);
}

const ModelSpec& SecondModel() { return ModelCatalogue()[1]; }

// The workload of a case of flops_ocr2_public.json.
Workload OfSecondCase(const Json& expected) {
  Workload workload = *FindWorkload("dsocr-standard-v1");
  workload.image_size = 768;
  if (!expected["crop_grid_wh"].is_null()) {
    workload.page_width = 1000 * expected["crop_grid_wh"][0].get<int64_t>();
    workload.page_height = 1000 * expected["crop_grid_wh"][1].get<int64_t>();
  }
  workload.seq_len = expected["seq_len"];
  return workload;
}

// The leaves of DeepSeek-OCR-2, by the names of its native implementation: gate and up of all experts are one matrix.
const std::vector<LeafName>& SecondSamLeaves() {
  static const auto& leaves = *new std::vector<LeafName>{{{"patch_embed.projection"}, {"/patch_embed"}},
                                                         {{"layers.N.attn.qkv"}, {"/attn/qkv"}},
                                                         {{"layers.N.attn.proj"}, {"/attn/proj"}},
                                                         {{"layers.N.mlp.lin1"}, {"/mlp/lin1"}},
                                                         {{"layers.N.mlp.lin2"}, {"/mlp/lin2"}},
                                                         {{"neck.conv1"}, {"/neck/conv1"}},
                                                         {{"neck.conv2"}, {"/neck/conv2"}},
                                                         {{"proj.conv1"}, {"/net_2"}},
                                                         {{"proj.conv2"}, {"/net_3"}},
                                                         {{"layers.N.attn"}, {"/attn/core", "/attn/rel_pos/scores"}}};
  return leaves;
}
const std::vector<LeafName>& EncoderLeaves() {
  static const auto& leaves = *new std::vector<LeafName>{
      {{"layers.N.self_attn"}, {"/self_attn/core"}}, {{"layers.N.self_attn.q_proj"}, {"/q_proj"}},
      {{"layers.N.self_attn.k_proj"}, {"/k_proj"}},  {{"layers.N.self_attn.v_proj"}, {"/v_proj"}},
      {{"layers.N.self_attn.o_proj"}, {"/o_proj"}},  {{"layers.N.mlp.gate_proj"}, {"/mlp/gate_proj"}},
      {{"layers.N.mlp.up_proj"}, {"/mlp/up_proj"}},  {{"layers.N.mlp.down_proj"}, {"/mlp/down_proj"}}};
  return leaves;
}
const std::vector<LeafName>& SecondDecoderLeaves() {
  static const auto& leaves =
      *new std::vector<LeafName>{{{"layers.N.self_attn"}, {"/self_attn/core"}},
                                 {{"layers.N.self_attn.q_proj"}, {"/q_proj"}},
                                 {{"layers.N.self_attn.o_proj"}, {"/o_proj"}},
                                 {{"layers.N.mlp.down_proj"}, {"/mlp/down_proj"}},
                                 {{"layers.N.mlp.experts"}, {"/moe/experts"}},
                                 {{"layers.N.mlp.gate"}, {"/moe/gate"}},
                                 {{"layers.N.mlp.shared_experts.up_proj"}, {"/shared_experts/up_proj"}}};
  return leaves;
}

class SecondFlopsCases : public ::testing::Test {
 protected:
  void ExpectVisionLeaves(const StageAnalysis& stage, const std::vector<LeafName>& leaves, const Json& groups) {
    int64_t sum = 0;
    for (const LeafName& leaf : leaves) {
      int64_t theirs = 0;
      for (const Json& group : groups) {
        theirs += TheirSum(group["leaf"][stage.name], leaf.theirs);
      }
      EXPECT_EQ(LeafSum(stage, leaf.ours), theirs) << leaf.theirs[0];
      sum += theirs;
    }
    EXPECT_EQ(sum, stage.flops);
  }

  const Json golden_ = Golden("flops_ocr2_public.json");
};

TEST_F(SecondFlopsCases, EveryStageAndLeafEqualsTheCounter) {
  ASSERT_EQ(golden_["workloads"].size(), 2);
  for (const Json& expected : golden_["workloads"]) {
    SCOPED_TRACE(expected["name"]);
    const Workload workload = OfSecondCase(expected);
    EXPECT_EQ(LayOutImage(SecondModel(), workload).image_tokens(), expected["image_tokens"]);
    const auto analysis = AnalyzeStages(SecondModel(), workload, 512);
    ASSERT_TRUE(analysis.ok()) << analysis.status();
    ASSERT_EQ(analysis->stages.size(), 5);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(analysis->stages[i].flops, expected["vision_total"][analysis->stages[i].name]);
    }
    ExpectVisionLeaves(analysis->stages[0], SecondSamLeaves(), expected["vision_groups"]);
    ExpectVisionLeaves(analysis->stages[1], EncoderLeaves(), expected["vision_groups"]);
    const Json& prefill = expected["prefill"];
    EXPECT_EQ(analysis->stages[3].flops,
              prefill["decoder"].get<int64_t>() + prefill["lm_head_last_position_only"].get<int64_t>());
    for (const LeafName& leaf : SecondDecoderLeaves()) {
      EXPECT_EQ(LeafSum(analysis->stages[3], leaf.ours), TheirSum(prefill["leaf"], leaf.theirs)) << leaf.theirs[0];
    }
    const int64_t end_to_end = analysis->flops - analysis->stages[4].flops;
    EXPECT_EQ(end_to_end, expected["end_to_end_prefill_last_logit_only"]);
    for (const Json& step : expected["decode"]) {
      const auto at = AnalyzeStages(SecondModel(), workload, step["context_len_in_cache"]);
      ASSERT_TRUE(at.ok()) << at.status();
      EXPECT_EQ(at->stages[4].flops, step["total"]);
    }
  }
}

TEST_F(SecondFlopsCases, ParametersAreThoseOfTheReference) {
  const Json& params = golden_["params"];
  const auto analysis = AnalyzeStages(SecondModel(), OfSecondCase(golden_["workloads"][0]), 512);
  ASSERT_TRUE(analysis.ok()) << analysis.status();
  EXPECT_EQ(analysis->parameters, params["total"]);
  EXPECT_EQ(analysis->stages[0].parameters, params["sam"]);
  EXPECT_EQ(analysis->stages[1].parameters, params["encoder"]);
  EXPECT_EQ(analysis->stages[2].parameters, params["projector"]);
  EXPECT_EQ(analysis->stages[3].parameters, params["embed_tokens"].get<int64_t>() +
                                                params["decoder_layers"].get<int64_t>() +
                                                params["final_norm"].get<int64_t>());
  EXPECT_EQ(analysis->stages[4].parameters, params["lm_head"]);

  const auto prediction = Predict(SecondModel(), OfSecondCase(golden_["workloads"][0]), DeviceCatalogue().front());
  ASSERT_TRUE(prediction.ok()) << prediction.status();
  const auto parameters = [&](const char* id) {
    return prediction->modules[prediction->module_of_range.at(id)].figures.parameters;
  };
  EXPECT_EQ(parameters("vision"), params["vision_tower"]);
  EXPECT_EQ(parameters("vision/encoder/layer[0-23]"), 24 * params["encoder_layer"].get<int64_t>());
  EXPECT_EQ(parameters("vision/encoder/append_queries"),
            params["query_768"].get<int64_t>() + params["query_1024"].get<int64_t>());
  EXPECT_EQ(parameters("projector/assemble"), params["view_separator"]);
}

// The closed forms of the reference's own description, written again from it.
struct ClosedForm {
  int64_t sam = 0;
  int64_t encoder = 0;
  int64_t projector = 0;

  void Add(int64_t views, int64_t side) {
    const int64_t c = 768;
    const int64_t g = side / 16;
    const int64_t t = g * g;
    const int64_t windows = (g + 13) / 14;
    const int64_t tw = windows * windows * 196;
    const int64_t q1 = (g + 1) / 2;
    const int64_t n = ((q1 + 1) / 2) * ((q1 + 1) / 2);
    const int64_t k = n <= 144 ? 144 : 256;
    const int64_t s = n + k;
    const int64_t convolutions =
        2 * t * c * 768 + 2 * t * c * 256 + 2 * t * 256 * 256 * 9 + 2 * q1 * q1 * 256 * 512 * 9 + 2 * n * 512 * 896 * 9;
    sam += views * (convolutions + 2 * c * 4 * c * (8 * tw + 4 * t) + 12 * 4 * c * 4 * c * t +
                    4 * (4 * t * t * c + 4 * t * g * c) + 8 * windows * windows * (4 * 196 * 196 * c + 4 * 2744 * c));
    encoder += views * (715'653'120 * s + 86'016 * s * s);
    projector += views * 2'293'760 * k;
  }
};

TEST(SecondModelForms, HoldForEveryGridAndForSidesThatTheModelWasNotTrainedOn) {
  Workload workload = *FindWorkload("dsocr-standard-v1");
  workload.image_size = 768;
  const struct {
    int64_t width, height, crops;
  } pages[] = {{768, 768, 0},  {769, 768, 4},  {1654, 2339, 6}, {1000, 3000, 3},
               {800, 4000, 5}, {4000, 500, 6}, {500, 500, 0},   {1600, 800, 2}};
  for (const auto& page : pages) {
    for (const int64_t base : {512, 640, 768, 1024, 1040, 1280}) {
      SCOPED_TRACE(testing::Message() << page.width << "x" << page.height << " base " << base);
      workload.page_width = page.width;
      workload.page_height = page.height;
      workload.base_size = base;
      workload.seq_len = 1500;
      ClosedForm expected;
      expected.Add(1, base);
      expected.Add(page.crops, 768);
      const auto analysis = AnalyzeStages(SecondModel(), workload, 700);
      ASSERT_TRUE(analysis.ok()) << analysis.status();
      EXPECT_EQ(analysis->stages[0].flops, expected.sam);
      EXPECT_EQ(analysis->stages[1].flops, expected.encoder);
      EXPECT_EQ(analysis->stages[2].flops, expected.projector);
      EXPECT_EQ(analysis->stages[3].flops, 817'233'920 * int64_t{1500} + 61'440 * int64_t{1500} * 1500 + 330'956'800);
      EXPECT_EQ(analysis->stages[4].flops, 817'233'920 + 61'440 * int64_t{701} + 330'956'800);
    }
  }
}

}  // namespace
}  // namespace dsocr::analytic
