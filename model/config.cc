#include "model/config.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "model/error.h"
#include "model/json_section.h"

namespace dsocr::model {
namespace {

// Bounds on hostile values: far above any real model, and small enough that no product of shapes overflows 64 bits.
constexpr int64_t kMaxWidth = int64_t{1} << 20;
constexpr int64_t kMaxLayers = 256;
constexpr int64_t kMaxExperts = 1024;
constexpr int64_t kMaxSidePixels = 8192;

void ReadSam(const JsonSection& from, SamConfig& sam) {
  from.Int("layers", 1, kMaxLayers, sam.layers);
  from.Int("width", 1, kMaxWidth, sam.width);
  from.Int("heads", 1, kMaxWidth, sam.heads);
  from.Int("mlp_ratio", 1, 64, sam.mlp_ratio);
  from.Int("patch_size", 1, 256, sam.patch_size);
  from.Int("img_size", 1, kMaxSidePixels, sam.img_size);
  from.Int("window_size", 1, kMaxSidePixels, sam.window_size);
  from.Int("neck_channels", 1, kMaxWidth, sam.neck_channels);
  if (from.Has("global_attn_indexes")) {
    sam.global_attn_indexes = from.Ints("global_attn_indexes", kMaxLayers, 0, kMaxLayers);
  }
  if (from.Has("downsample_channels")) {
    const std::vector<int64_t> channels = from.Ints("downsample_channels", 2, 1, kMaxWidth);
    if (channels.size() != 2) from.Fail("downsample_channels", "does not have two entries");
    sam.downsample_channels = {channels[0], channels[1]};
  }
}

void ReadClip(const JsonSection& from, ClipConfig& clip) {
  from.Int("layers", 1, kMaxLayers, clip.layers);
  from.Int("width", 1, kMaxWidth, clip.width);
  from.Int("heads", 1, kMaxWidth, clip.heads);
  from.Int("ffn_hidden_size", 1, kMaxWidth, clip.ffn_hidden_size);
  from.Int("image_size", 1, kMaxSidePixels, clip.image_size);
  from.Int("patch_size", 1, 256, clip.patch_size);
}

void ReadPreprocess(const JsonSection& from, PreprocessConfig& preprocess) {
  constexpr int kMaxSide = static_cast<int>(kMaxSidePixels);
  from.Bool("crop_mode", preprocess.crop_mode);
  from.Int("base_size", 16, kMaxSide, preprocess.base_size);
  from.Int("image_size", 16, kMaxSide, preprocess.image_size);
  from.Int("small_image_threshold", 1, kMaxSide, preprocess.small_image_threshold);
  from.Int("crop_tile_size", 16, kMaxSide, preprocess.crop_tile_size);
  from.Int("direct_resize_max", 0, kMaxSide, preprocess.direct_resize_max);
  from.Int("min_num", 1, 64, preprocess.min_num);
  from.Int("max_num", 1, 64, preprocess.max_num);
}

void ReadDecoder(const JsonSection& from, DecoderConfig& decoder) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "moe_intermediate_size",
                          "num_hidden_layers", "num_attention_heads", "n_routed_experts", "n_shared_experts",
                          "num_experts_per_tok", "first_k_dense_replace"}) {
    from.Require(key);
  }
  from.Int("vocab_size", 16, kMaxWidth, decoder.vocab_size);
  from.Int("hidden_size", 2, kMaxWidth, decoder.hidden_size);
  from.Int("intermediate_size", 1, kMaxWidth, decoder.intermediate_size);
  from.Int("moe_intermediate_size", 1, kMaxWidth, decoder.moe_intermediate_size);
  from.Int("num_hidden_layers", 1, kMaxLayers, decoder.num_hidden_layers);
  from.Int("num_attention_heads", 1, kMaxWidth, decoder.num_attention_heads);
  from.Int("n_routed_experts", 1, kMaxExperts, decoder.n_routed_experts);
  from.Int("n_shared_experts", 1, kMaxExperts, decoder.n_shared_experts);
  from.Int("num_experts_per_tok", 1, kMaxExperts, decoder.num_experts_per_tok);
  from.Int("first_k_dense_replace", 0, kMaxLayers, decoder.first_k_dense_replace);
  from.Int("moe_layer_freq", 1, kMaxLayers, decoder.moe_layer_freq);
  from.Int("max_position_embeddings", 1, kMaxWidth, decoder.max_position_embeddings);
  from.Bool("norm_topk_prob", decoder.norm_topk_prob);
  from.PositiveNumber("routed_scaling_factor", decoder.routed_scaling_factor);
  from.PositiveNumber("rms_norm_eps", decoder.rms_norm_eps);
  from.PositiveNumber("rope_theta", decoder.rope_theta);

  from.Only("num_key_value_heads", decoder.num_attention_heads);
  from.Only("use_mla", false);
  from.Only("attention_bias", false);
  from.Only("hidden_act", "silu");
  from.Only("scoring_func", "softmax");
  from.Only("topk_method", "greedy");
  from.Only("tie_word_embeddings", false);
  if (from.Has("rope_scaling")) from.Fail("rope_scaling", "is set, and only null is implemented");
}

void CheckConsistency(const JsonSection& root, const ModelConfig& config) {
  const auto require = [&](bool holds, const char* key, const char* why) {
    if (!holds) root.Fail(key, why);
  };
  const DecoderConfig& decoder = config.decoder;
  require(decoder.hidden_size % decoder.num_attention_heads == 0, "hidden_size", "is not a multiple of the heads");
  require(decoder.head_dim() % 2 == 0, "hidden_size", "leaves an odd head size, which rope cannot split");
  require(decoder.num_experts_per_tok <= decoder.n_routed_experts, "num_experts_per_tok", "exceeds n_routed_experts");
  const SamConfig& sam = config.sam;
  require(sam.width % sam.heads == 0, "encoder_dims.sam.width", "is not a multiple of the heads");
  require(sam.img_size % sam.patch_size == 0, "encoder_dims.sam.img_size", "is not a multiple of the patch size");
  const ClipConfig& clip = config.clip;
  require(clip.width % clip.heads == 0, "encoder_dims.clip.width", "is not a multiple of the heads");
  require(clip.native_grid() >= 1, "encoder_dims.clip.image_size", "is smaller than one patch");
  require(sam.downsample_channels[1] == clip.width, "encoder_dims.sam.downsample_channels",
          "does not end in the width of clip");
  CheckConfig(config.preprocess);
  require(config.image_token_id < decoder.vocab_size, "image_token_id", "is not in the vocabulary");
}

}  // namespace

bool SamConfig::is_global(int64_t block) const {
  return std::find(global_attn_indexes.begin(), global_attn_indexes.end(), block) != global_attn_indexes.end();
}

ModelConfig ParseModelConfig(std::string_view text, const std::string& source) {
  const JsonSource json_source{"config '" + source + "'", "take the config.json that belongs to the weights"};
  const nlohmann::json json = ParseJson(text, json_source);
  const JsonSection root(json, json_source);
  ModelConfig config;
  ReadDecoder(root, config.decoder);
  if (root.Has("encoder_dims")) {
    const JsonSection dims = root.Child("encoder_dims");
    if (dims.Has("sam")) ReadSam(dims.Child("sam"), config.sam);
    if (dims.Has("clip")) ReadClip(dims.Child("clip"), config.clip);
  }
  if (root.Has("preprocess")) ReadPreprocess(root.Child("preprocess"), config.preprocess);
  config.preprocess.patch_size = static_cast<int>(config.sam.patch_size);
  root.Int("image_token_id", 0, kMaxWidth, config.image_token_id);
  root.Int("bos_token_id", 0, kMaxWidth, config.bos_token_id);
  root.Int("eos_token_id", 0, kMaxWidth, config.eos_token_id);
  CheckConsistency(root, config);
  return config;
}

ModelConfig LoadModelConfig(const std::filesystem::path& dir) {
  const std::filesystem::path path = dir / "config.json";
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw InputError(ErrorCode::kNotFound, "model '" + dir.string() + "'", "no readable config.json in it",
                     "name a Hugging Face model directory");
  }
  std::ostringstream text;
  text << file.rdbuf();
  return ParseModelConfig(text.str(), path.string());
}

}  // namespace dsocr::model
