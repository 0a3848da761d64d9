// The same model, page and prompt in the words of both sides: as the runner takes them, and as the analytic side
// predicts them.
#ifndef DSOCR_TESTS_MODEL_PREDICTED_CASE_H_
#define DSOCR_TESTS_MODEL_PREDICTED_CASE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <ostream>
#include <string>

#include "analytic/prediction.h"
#include "model/config.h"
#include "model/deepseek_ocr.h"
#include "model/image/preprocess.h"

namespace dsocr::model {

inline constexpr int64_t kNewTokens = 4;

// A model, a page and a prompt.
struct PredictedCase {
  std::string name;
  ModelConfig config;
  Size page;
  int64_t text_tokens = 8;
  int64_t new_tokens = kNewTokens;
};

inline void PrintTo(const PredictedCase& predicted, std::ostream* out) { *out << predicted.name; }

// The same model in the words of the analytic side.
inline analytic::ModelSpec SpecOf(const ModelConfig& config) {
  analytic::ModelSpec spec;
  spec.sam = {.layers = config.sam.layers,
              .width = config.sam.width,
              .heads = config.sam.heads,
              .mlp_ratio = static_cast<double>(config.sam.mlp_ratio),
              .patch_size = config.sam.patch_size,
              .image_size = config.sam.img_size,
              .window_size = config.sam.window_size,
              .global_attention_layers = config.sam.global_attn_indexes,
              .neck_channels = config.sam.neck_channels,
              .downsample_channels = {config.sam.downsample_channels.begin(), config.sam.downsample_channels.end()}};
  spec.encoder = analytic::ClipSpec{.layers = config.clip.layers,
                                    .width = config.clip.width,
                                    .heads = config.clip.heads,
                                    .ffn_hidden_size = config.clip.ffn_hidden_size,
                                    .image_size = config.clip.image_size,
                                    .patch_size = config.clip.patch_size};
  const DecoderConfig& decoder = config.decoder;
  spec.decoder = {.vocab_size = decoder.vocab_size,
                  .hidden_size = decoder.hidden_size,
                  .intermediate_size = decoder.intermediate_size,
                  .moe_intermediate_size = decoder.moe_intermediate_size,
                  .layers = decoder.num_hidden_layers,
                  .first_k_dense = decoder.first_k_dense_replace,
                  .heads = decoder.num_attention_heads,
                  .kv_heads = decoder.num_attention_heads,
                  .routed_experts = decoder.n_routed_experts,
                  .shared_experts = decoder.n_shared_experts,
                  .experts_per_token = decoder.num_experts_per_tok,
                  .norm_topk_prob = decoder.norm_topk_prob,
                  .routed_scaling_factor = decoder.routed_scaling_factor};
  spec.preprocess = {.small_image_threshold = config.preprocess.small_image_threshold,
                     .crop_tile_size = config.preprocess.crop_tile_size,
                     .direct_resize_max = config.preprocess.direct_resize_max,
                     .min_crops = config.preprocess.min_num,
                     .max_crops = config.preprocess.max_num};
  return spec;
}

inline analytic::Workload WorkloadOf(const PredictedCase& predicted, analytic::Precision precision) {
  const PreprocessConfig& preprocess = predicted.config.preprocess;
  analytic::Workload workload;
  workload.base_size = preprocess.base_size;
  workload.image_size = preprocess.image_size;
  workload.crop_mode = preprocess.crop_mode;
  workload.page_width = predicted.page.width;
  workload.page_height = predicted.page.height;
  workload.seq_len = LayoutTokens(predicted.page, preprocess).image_tokens() + predicted.text_tokens;
  workload.max_new_tokens = predicted.new_tokens;
  workload.precision = precision;
  return workload;
}

inline analytic::Prediction PredictionOf(const PredictedCase& predicted, analytic::Precision precision) {
  const auto prediction =
      analytic::Predict(SpecOf(predicted.config), WorkloadOf(predicted, precision), *analytic::FindDevice("cpu"));
  EXPECT_TRUE(prediction.ok()) << prediction.status();
  return *prediction;
}

}  // namespace dsocr::model

#endif  // DSOCR_TESTS_MODEL_PREDICTED_CASE_H_
