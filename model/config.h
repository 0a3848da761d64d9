// A model's configuration: the keys of a Hugging Face config.json that decide shapes and arithmetic.
//
// Any configuration of the architecture is accepted, not only the published one. Besides the published keys three
// objects of our own say what the reference code hard-codes: `encoder_dims.{sam,clip}`, `preprocess` and
// `image_token_id`; absent, they have the published values. What this implementation does not compute (MLA,
// grouped-query attention, group-limited routing, tied embeddings, scaled rope) is refused by name, never ignored.
#ifndef DSOCR_MODEL_CONFIG_H_
#define DSOCR_MODEL_CONFIG_H_

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "model/image/preprocess.h"

namespace dsocr::model {

// SAM ViT-B with the neck and the two strided convolutions behind it.
struct SamConfig {
  int64_t layers = 12;
  int64_t width = 768;
  int64_t heads = 12;
  int64_t mlp_ratio = 4;
  int64_t patch_size = 16;
  int64_t img_size = 1024;   // side for which pos_embed and rel_pos are stored, in pixels
  int64_t window_size = 14;  // in patches
  std::vector<int64_t> global_attn_indexes = {2, 5, 8, 11};
  int64_t neck_channels = 256;
  std::array<int64_t, 2> downsample_channels = {512, 1024};  // of net_2 and net_3

  int64_t head_dim() const { return width / heads; }
  int64_t native_grid() const { return img_size / patch_size; }
  bool is_global(int64_t block) const;
  // Side of the grid that block `block` attends over at native size: the whole grid, or one window.
  int64_t native_attention_side(int64_t block) const { return is_global(block) ? native_grid() : window_size; }
};

// CLIP-L over SAM's features.
struct ClipConfig {
  int64_t layers = 24;
  int64_t width = 1024;
  int64_t heads = 16;
  int64_t ffn_hidden_size = 4096;
  int64_t image_size = 224;  // with patch_size: the native grid of the position embedding, nothing else
  int64_t patch_size = 14;

  int64_t native_grid() const { return image_size / patch_size; }
};

struct DecoderConfig {
  int64_t vocab_size = 129280;
  int64_t hidden_size = 1280;
  int64_t intermediate_size = 6848;     // of dense layers
  int64_t moe_intermediate_size = 896;  // of one expert
  int64_t num_hidden_layers = 12;
  int64_t first_k_dense_replace = 1;
  int64_t moe_layer_freq = 1;
  int64_t num_attention_heads = 10;
  int64_t n_routed_experts = 64;
  int64_t n_shared_experts = 2;  // fused into one MLP of that many times moe_intermediate_size
  int64_t num_experts_per_tok = 6;
  int64_t max_position_embeddings = 8192;
  bool norm_topk_prob = false;
  double routed_scaling_factor = 1.0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;

  int64_t head_dim() const { return hidden_size / num_attention_heads; }
  bool is_moe(int64_t layer) const { return layer >= first_k_dense_replace && layer % moe_layer_freq == 0; }
};

// A default-constructed one is the published configuration, deepseek-ai/DeepSeek-OCR.
struct ModelConfig {
  SamConfig sam;
  ClipConfig clip;
  DecoderConfig decoder;
  PreprocessConfig preprocess;
  int64_t image_token_id = 128815;
  int64_t bos_token_id = 0;
  int64_t eos_token_id = 1;
};

// Parses the text of a config.json; `source` names it in errors.
// Throws InputError that names the key: malformed JSON, a missing key, a wrong type, a value out of range, or values
// that do not fit each other (a width that its heads do not divide, ...).
ModelConfig ParseModelConfig(std::string_view json, const std::string& source);

// Reads DIR/config.json. Throws InputError as above, and where the file is missing or unreadable.
ModelConfig LoadModelConfig(const std::filesystem::path& dir);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_CONFIG_H_
