// The shape of a model of the DeepSeek-OCR family: every size that decides cost, as its config.json gives it.
//
// A model is data: the parts it has, with their sizes. Which parts it has decides its module tree: the alternative that
// stands in ModelSpec::encoder names the composition (analytic/module/deepseek_ocr.cc, deepseek_ocr2.cc).
#ifndef DSOCR_ANALYTIC_MODEL_SPEC_H_
#define DSOCR_ANALYTIC_MODEL_SPEC_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"

namespace dsocr::analytic {

// SAM ViT image encoder with its neck and the two stride-2 convolutions.
struct SamSpec {
  int64_t layers = 12;
  int64_t width = 768;
  int64_t heads = 12;
  double mlp_ratio = 4;
  int64_t patch_size = 16;
  int64_t image_size = 1024;  // pixels; the native grid is image_size / patch_size
  int64_t window_size = 14;
  std::vector<int64_t> global_attention_layers = {2, 5, 8, 11};
  int64_t neck_channels = 256;
  std::vector<int64_t> downsample_channels = {512, 1024};
};

// DeepSeek-OCR: CLIP ViT over SAM's features.
struct ClipSpec {
  int64_t layers = 24;
  int64_t width = 1024;
  int64_t heads = 16;
  int64_t ffn_hidden_size = 4096;
  int64_t image_size = 224;
  int64_t patch_size = 14;  // the native grid is image_size / patch_size
};

// DeepSeek-OCR-2: a Qwen2 decoder over SAM's features and learned queries, of which only the queries are kept.
struct QueryEncoderSpec {
  int64_t layers = 24;
  int64_t width = 896;
  int64_t heads = 14;
  int64_t kv_heads = 2;
  int64_t ffn_hidden_size = 4864;
  double rms_norm_eps = 1e-6;
  double rope_theta = 1e6;
  // The tables of learned queries, by their rows, ascending. A view takes the first that has a query for each of its
  // features, or the last.
  std::vector<int64_t> query_tables = {144, 256};

  int64_t head_dim() const { return width / heads; }
  int64_t QueriesFor(int64_t features) const;
};

struct Routing;  // routing.h

struct DecoderSpec {
  int64_t vocab_size = 129280;
  int64_t hidden_size = 1280;
  int64_t intermediate_size = 6848;
  int64_t moe_intermediate_size = 896;
  int64_t layers = 12;
  int64_t first_k_dense = 1;  // layers before the first expert layer
  int64_t heads = 10;
  int64_t kv_heads = 10;
  int64_t routed_experts = 64;
  int64_t shared_experts = 2;
  int64_t experts_per_token = 6;
  int64_t max_position_embeddings = 8192;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000;
  bool norm_topk_prob = false;
  double routed_scaling_factor = 1;
  // How tokens pick experts, where a run recorded it; null: evenly. It decides no shape.
  std::shared_ptr<const Routing> routing;

  int64_t head_dim() const { return hidden_size / heads; }
};

// Constants of the image side (reference preprocessing).
struct PreprocessSpec {
  int64_t small_image_threshold = 640;  // both sides at most this: one view, no crops
  int64_t crop_tile_size = 640;
  int64_t direct_resize_max = 640;  // single views up to this side are squashed, larger ones padded
  int64_t min_crops = 2;
  int64_t max_crops = 9;
  // The crops of a page are joined to one raster, and a newline follows each row of it and of the global view. Else the
  // rows of a view stay together, crop after crop, with nothing between them.
  bool has_newlines = true;
};

struct ModelSpec {
  std::string model_id = "deepseek-ai/DeepSeek-OCR";
  std::string variant = "deepseek-ocr-v1-base";
  std::string architecture = "DeepseekOCRForCausalLM";  // what config.json calls it
  SamSpec sam;
  std::variant<ClipSpec, QueryEncoderSpec> encoder;  // between SAM and the projector
  DecoderSpec decoder;
  PreprocessSpec preprocess;

  int64_t encoder_width() const;
};

// The published models; the first is what a request means that names none.
const std::vector<ModelSpec>& ModelCatalogue();

// INVALID_ARGUMENT names the field and its value: a size that is not positive or beyond any real model, heads that do
// not divide a width, a SAM whose output is not what the encoder takes, more experts a token than there are, a routing
// that is of other experts.
absl::Status CheckModel(const ModelSpec& model);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_MODEL_SPEC_H_
