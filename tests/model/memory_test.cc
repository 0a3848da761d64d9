// Holds the predicted memory to what the runner allocates: weights, cache, and the peak of every stage, over the two
// fixtures and models of other widths. docs/memory.md says what is counted.
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <tuple>

#include "model/allocation_counter.h"
#include "model/generate.h"
#include "model/load.h"
#include "model/stage_memory.h"
#include "model/synthetic.h"
#include "model/weights/safetensors.h"
#include "model/weights/weight_list.h"
#include "tests/model/predicted_case.h"
#include "tests/model/tiny_model.h"

namespace dsocr::model {
namespace {

const analytic::ModuleFigures& FiguresOf(const analytic::Prediction& prediction, const std::string& module_id) {
  return prediction.modules[static_cast<size_t>(prediction.module_of_range.at(module_id))].figures;
}

struct Measured {
  std::vector<StageMemory> stages;
  int64_t weight_bytes = 0;
  int64_t kv_cache_bytes = 0;          // of the tensors
  int64_t kv_cache_counted_bytes = 0;  // by the allocator
};

Measured Measure(const PredictedCase& memory, at::ScalarType dtype) {
  const c10::InferenceMode inference;
  const LoadedModel loaded = LoadModel(memory.config, std::nullopt, /*seed=*/1, dtype, at::kCPU);
  const PreprocessConfig& preprocess = memory.config.preprocess;
  const int64_t image_tokens = LayoutTokens(memory.page, preprocess).image_tokens();
  const int64_t seq_len = image_tokens + memory.text_tokens;
  AllocationCounter& counter = AllocationCounter::Install();
  Measured measured;
  measured.weight_bytes = loaded.weight_bytes;
  const int64_t before_cache = counter.live_bytes();
  KvCache cache = loaded.model->MakeCache(seq_len + kNewTokens - 1);
  measured.kv_cache_counted_bytes = counter.live_bytes() - before_cache;
  measured.kv_cache_bytes = cache.size_bytes();
  const Request request = loaded.model->Prepare(MakeViews(SyntheticPage(memory.page), preprocess),
                                                SyntheticPrompt(memory.config, image_tokens, seq_len));
  StageMemoryRecorder recorder(counter);
  Generator(*loaded.model).Run(request, cache, {.max_new_tokens = kNewTokens});
  measured.stages = recorder.stages();
  return measured;
}

ModelConfig TinyB() { return LoadModelConfig(FixtureDir("tiny_b")); }

// Wider than deep, with a long MLP and few experts: other things are the largest.
ModelConfig WideMlp() {
  ModelConfig config = TinyConfig();
  config.sam.heads = 2;
  config.clip.ffn_hidden_size = 96;
  config.decoder.intermediate_size = 1024;
  config.decoder.moe_intermediate_size = 128;
  config.decoder.num_experts_per_tok = 1;
  return config;
}

// The published decoder's proportions at an eighth: 64 experts, six a token, a vocabulary that decode notices.
ModelConfig ManyExperts() {
  ModelConfig config = TinyConfig();
  config.decoder.hidden_size = 160;
  config.decoder.intermediate_size = 856;
  config.decoder.moe_intermediate_size = 112;
  config.decoder.num_attention_heads = 10;
  config.decoder.n_routed_experts = 64;
  config.decoder.num_experts_per_tok = 6;
  config.decoder.vocab_size = 16160;
  return config;
}

// One view so small that SAM's and CLIP's position tables are larger than what they are added to.
ModelConfig SmallView() {
  ModelConfig config = TinyConfig();
  config.preprocess.crop_mode = false;
  config.preprocess.image_size = 64;
  return config;
}

std::vector<PredictedCase> Cases() {
  return {{"tiny_a_crops", TinyConfig(), {500, 380}},
          {"tiny_a_one_view", TinyConfig(), {100, 100}},
          {"tiny_b", TinyB(), {420, 610}},
          {"tiny_b_long_prompt", TinyB(), {420, 610}, 400},
          {"wide_mlp", WideMlp(), {380, 500}},
          {"many_experts", ManyExperts(), {500, 380}, 100},
          {"small_view", SmallView(), {100, 100}}};
}

class StagePeaks : public ::testing::TestWithParam<PredictedCase> {
 protected:
  static void Compare(at::ScalarType dtype, analytic::Precision precision) {
    const analytic::Prediction prediction = PredictionOf(GetParam(), precision);
    const Measured measured = Measure(GetParam(), dtype);
    EXPECT_EQ(FiguresOf(prediction, "deepseek_ocr").weight_bytes, measured.weight_bytes);
    EXPECT_EQ(FiguresOf(prediction, "deepseek_ocr").kv_cache_bytes, measured.kv_cache_bytes);
    EXPECT_EQ(measured.kv_cache_counted_bytes, measured.kv_cache_bytes);
    ASSERT_EQ(measured.stages.size(), 5u);
    for (const StageMemory& stage : measured.stages) {
      const auto counted = static_cast<double>(stage.activation_bytes);
      const auto predicted = static_cast<double>(FiguresOf(prediction, stage.module_id).peak_activation_bytes);
      EXPECT_NEAR(predicted / counted, 1, 0.1)
          << stage.name << ": " << predicted << " predicted, " << counted << " counted in " << stage.peak_range;
    }
  }
};

TEST_P(StagePeaks, AreWithinATenthInFp32) { Compare(at::kFloat, analytic::Precision::kFp32); }

TEST_P(StagePeaks, AreWithinATenthInBf16) { Compare(at::kBFloat16, analytic::Precision::kBf16); }

INSTANTIATE_TEST_SUITE_P(Models, StagePeaks, ::testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

TEST(Weights, PredictedBytesAreThoseOfTheSafetensorsFile) {
  for (const auto& [name, config] : {std::pair{"tiny_a", TinyConfig()}, {"tiny_b", TinyB()}}) {
    int64_t file_bytes = 0;
    const SafetensorsFile file = SafetensorsFile::Open(FixtureDir(name) / "model.safetensors");
    for (const auto& [tensor, entry] : file.entries()) {
      if (tensor == kPositionIdsName) continue;  // a buffer, and no weight
      file_bytes += static_cast<int64_t>(entry.end_bytes - entry.begin_bytes);
    }
    const analytic::Prediction prediction =
        PredictionOf({name, config, {400, 300}, /*text_tokens=*/8}, analytic::Precision::kFp32);
    EXPECT_EQ(FiguresOf(prediction, "deepseek_ocr").weight_bytes, file_bytes) << name;
  }
}

TEST(Weights, OfExpertsAreThereOnceWhenStacked) {
  const c10::InferenceMode inference;
  AllocationCounter& counter = AllocationCounter::Install();
  const LoadedModel loaded = LoadModel(TinyConfig(), FixtureDir("tiny_a"), /*seed=*/0, at::kBFloat16, at::kCPU);
  const int64_t before = counter.live_bytes();
  counter.Mark();
  loaded.model->StackExperts();
  EXPECT_EQ(counter.live_bytes(), before);
  const DecoderConfig& config = TinyConfig().decoder;
  const int64_t projection_bytes = 2 * config.n_routed_experts * config.hidden_size * config.moe_intermediate_size;
  EXPECT_EQ(counter.peak_bytes() - before, projection_bytes);  // of one layer, while it moves
}

TEST(AllocationCounter, CountsATensorWhileItLives) {
  AllocationCounter& counter = AllocationCounter::Install();
  const int64_t before = counter.live_bytes();
  counter.Mark();
  {
    const at::Tensor tensor = at::empty({1000}, at::kFloat);
    EXPECT_EQ(counter.live_bytes() - before, 4000);
    EXPECT_EQ(counter.peak_bytes() - before, 4000);
  }
  EXPECT_EQ(counter.live_bytes(), before);
  EXPECT_EQ(counter.peak_bytes() - before, 4000);
  counter.Mark();
  EXPECT_EQ(counter.peak_bytes(), before);
}

TEST(StageMemoryRecorder, CountsWhatOutlivesAnOperatorAndListsWhatDoesNot) {
  AllocationCounter& counter = AllocationCounter::Install();
  const RangeName request("deepseek_ocr"), prefill("prefill"), layer("prefill/layer[0]");
  const at::Tensor given = at::ones({100}, at::kFloat);
  StageMemoryRecorder recorder(counter);
  {
    const Range in_request(request);
    const at::Tensor input = at::ones({10}, at::kFloat);  // made for the stage: 40 bytes
    const Range in_prefill(prefill);
    const Range in_layer(layer);
    at::Tensor sum = at::add(given, 1);                           // 400
    const at::Tensor first = std::get<0>(at::sort(sum)).clone();  // 400 with values and indices of 1200 beside
    sum = at::layer_norm(sum.view({10, 10}), {10}, std::nullopt, std::nullopt, 1e-5);  // means and deviations: scratch
  }
  const StageMemory& stage = recorder.stages()[3];
  EXPECT_EQ(stage.name, "prefill");
  EXPECT_EQ(stage.activation_bytes, 40 + 400 + 1200 + 400);
  EXPECT_EQ(stage.peak_range, "prefill/layer[0]");
  EXPECT_EQ(stage.scratch_bytes.at("aten::layer_norm"), 2 * 10 * 4);
  EXPECT_EQ(recorder.stages()[4].activation_bytes, 0);
  EXPECT_EQ(recorder.request_bytes(), stage.activation_bytes);
}

}  // namespace
}  // namespace dsocr::model
