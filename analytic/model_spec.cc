#include "analytic/model_spec.h"

#include <algorithm>
#include <string_view>

#include "analytic/routing.h"
#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

// Far beyond any model of this family; keeps products of two sizes and a layer count inside 64 bits.
constexpr int64_t kMaxSize = int64_t{1} << 20;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxCrops = 1024;

absl::Status CheckRange(std::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high) {
    return absl::InvalidArgumentError(
        fmt::format("{} {}: not between {} and {}; correct config.json", field, value, low, high));
  }
  return absl::OkStatus();
}

absl::Status CheckDivides(std::string_view field, int64_t heads, std::string_view of, int64_t width) {
  if (width % heads != 0) {
    return absl::InvalidArgumentError(
        fmt::format("{} {}: does not divide {} {}; correct config.json", field, heads, of, width));
  }
  return absl::OkStatus();
}

absl::Status CheckSam(const SamSpec& sam) {
  DSOCR_RETURN_IF_ERROR(CheckRange("sam.layers", sam.layers, 1, kMaxLayers));
  DSOCR_RETURN_IF_ERROR(CheckRange("sam.width", sam.width, 1, kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("sam.heads", sam.heads, 1, sam.width));
  DSOCR_RETURN_IF_ERROR(CheckDivides("sam.heads", sam.heads, "sam.width", sam.width));
  DSOCR_RETURN_IF_ERROR(CheckRange("sam.patch_size", sam.patch_size, 1, kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("sam.img_size", sam.image_size, sam.patch_size, kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("sam.window_size", sam.window_size, 1, kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("sam.neck_channels", sam.neck_channels, 1, kMaxSize));
  if (!(sam.mlp_ratio > 0 && sam.mlp_ratio <= 64)) {
    return absl::InvalidArgumentError(
        fmt::format("sam.mlp_ratio {}: not between 0 and 64; correct config.json", sam.mlp_ratio));
  }
  if (sam.downsample_channels.size() != 2) {
    return absl::InvalidArgumentError(
        fmt::format("sam.downsample_channels with {} entries: the model has two convolutions; "
                    "correct config.json",
                    sam.downsample_channels.size()));
  }
  for (const int64_t channels : sam.downsample_channels) {
    DSOCR_RETURN_IF_ERROR(CheckRange("sam.downsample_channels", channels, 1, kMaxSize));
  }
  return absl::OkStatus();
}

absl::Status CheckEncoder(const ClipSpec& clip) {
  DSOCR_RETURN_IF_ERROR(CheckRange("clip.layers", clip.layers, 1, kMaxLayers));
  DSOCR_RETURN_IF_ERROR(CheckRange("clip.width", clip.width, 1, kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("clip.heads", clip.heads, 1, clip.width));
  DSOCR_RETURN_IF_ERROR(CheckDivides("clip.heads", clip.heads, "clip.width", clip.width));
  DSOCR_RETURN_IF_ERROR(CheckRange("clip.ffn_hidden_size", clip.ffn_hidden_size, 1, kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("clip.patch_size", clip.patch_size, 1, kMaxSize));
  return CheckRange("clip.image_size", clip.image_size, clip.patch_size, kMaxSize);
}

absl::Status CheckEncoder(const QueryEncoderSpec& encoder) {
  DSOCR_RETURN_IF_ERROR(CheckRange("encoder.layers", encoder.layers, 1, kMaxLayers));
  DSOCR_RETURN_IF_ERROR(CheckRange("encoder.width", encoder.width, 1, kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("encoder.heads", encoder.heads, 1, encoder.width));
  DSOCR_RETURN_IF_ERROR(CheckDivides("encoder.heads", encoder.heads, "encoder.width", encoder.width));
  DSOCR_RETURN_IF_ERROR(CheckRange("encoder.kv_heads", encoder.kv_heads, 1, encoder.heads));
  DSOCR_RETURN_IF_ERROR(CheckDivides("encoder.kv_heads", encoder.kv_heads, "encoder.heads", encoder.heads));
  DSOCR_RETURN_IF_ERROR(CheckRange("encoder.ffn_hidden_size", encoder.ffn_hidden_size, 1, kMaxSize));
  DSOCR_RETURN_IF_ERROR(
      CheckRange("encoder.query_tables entries", static_cast<int64_t>(encoder.query_tables.size()), 1, kMaxLayers));
  for (const int64_t rows : encoder.query_tables) {
    DSOCR_RETURN_IF_ERROR(CheckRange("encoder.query_tables", rows, 1, kMaxSize));
  }
  if (!std::is_sorted(encoder.query_tables.begin(), encoder.query_tables.end())) {
    return absl::InvalidArgumentError("encoder.query_tables: not ascending; correct config.json");
  }
  return absl::OkStatus();
}

absl::Status CheckDecoder(const DecoderSpec& decoder) {
  DSOCR_RETURN_IF_ERROR(CheckRange("vocab_size", decoder.vocab_size, 1, 1024 * kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("hidden_size", decoder.hidden_size, 1, kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("intermediate_size", decoder.intermediate_size, 1, kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("moe_intermediate_size", decoder.moe_intermediate_size, 1, kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("num_hidden_layers", decoder.layers, 1, kMaxLayers));
  DSOCR_RETURN_IF_ERROR(CheckRange("first_k_dense_replace", decoder.first_k_dense, 0, decoder.layers));
  DSOCR_RETURN_IF_ERROR(CheckRange("num_attention_heads", decoder.heads, 1, decoder.hidden_size));
  DSOCR_RETURN_IF_ERROR(CheckDivides("num_attention_heads", decoder.heads, "hidden_size", decoder.hidden_size));
  DSOCR_RETURN_IF_ERROR(CheckRange("num_key_value_heads", decoder.kv_heads, 1, decoder.heads));
  DSOCR_RETURN_IF_ERROR(CheckDivides("num_key_value_heads", decoder.kv_heads, "num_attention_heads", decoder.heads));
  DSOCR_RETURN_IF_ERROR(CheckRange("n_routed_experts", decoder.routed_experts, 1, kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("n_shared_experts", decoder.shared_experts, 1, kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("num_experts_per_tok", decoder.experts_per_token, 1, decoder.routed_experts));
  if (decoder.routing != nullptr && !decoder.routing->Fits(decoder)) {
    return absl::InvalidArgumentError(
        fmt::format("routing of {}: not of the model's experts; leave it out", decoder.routing->source));
  }
  return absl::OkStatus();
}

// Source of the sizes: docs/module-tree.md, DeepSeek-OCR-2.
ModelSpec DeepSeekOcr2() {
  ModelSpec model;
  model.model_id = "deepseek-ai/DeepSeek-OCR-2";
  model.variant = "deepseek-ocr-v2";
  model.architecture = "DeepseekOCR2ForCausalLM";
  model.encoder = QueryEncoderSpec();
  model.sam.downsample_channels = {512, 896};
  model.preprocess = {.small_image_threshold = 768,
                      .crop_tile_size = 768,
                      .direct_resize_max = 0,
                      .min_crops = 2,
                      .max_crops = 6,
                      .has_newlines = false};
  return model;
}

}  // namespace

int64_t QueryEncoderSpec::QueriesFor(int64_t features) const {
  const auto enough = std::lower_bound(query_tables.begin(), query_tables.end(), features);
  return enough == query_tables.end() ? query_tables.back() : *enough;
}

int64_t ModelSpec::encoder_width() const {
  return std::visit([](const auto& spec) { return spec.width; }, encoder);
}

const std::vector<ModelSpec>& ModelCatalogue() {
  static const auto& catalogue = *new std::vector<ModelSpec>{ModelSpec(), DeepSeekOcr2()};
  return catalogue;
}

absl::Status CheckModel(const ModelSpec& model) {
  DSOCR_RETURN_IF_ERROR(CheckSam(model.sam));
  DSOCR_RETURN_IF_ERROR(std::visit([](const auto& encoder) { return CheckEncoder(encoder); }, model.encoder));
  DSOCR_RETURN_IF_ERROR(CheckDecoder(model.decoder));
  if (model.sam.downsample_channels.back() != model.encoder_width()) {
    return absl::InvalidArgumentError(
        fmt::format("sam.downsample_channels ending in {}: the encoder after it has width {}; correct config.json",
                    model.sam.downsample_channels.back(), model.encoder_width()));
  }
  const PreprocessSpec& preprocess = model.preprocess;
  DSOCR_RETURN_IF_ERROR(CheckRange("preprocess.small_image_threshold", preprocess.small_image_threshold, 1, kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("preprocess.crop_tile_size", preprocess.crop_tile_size, 1, kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("preprocess.direct_resize_max", preprocess.direct_resize_max, 0, kMaxSize));
  DSOCR_RETURN_IF_ERROR(CheckRange("preprocess.max_num", preprocess.max_crops, 1, kMaxCrops));
  return CheckRange("preprocess.min_num", preprocess.min_crops, 1, preprocess.max_crops);
}

}  // namespace dsocr::analytic
