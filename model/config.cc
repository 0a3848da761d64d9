#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "model/error.h"

namespace dsocr::model {
namespace {

using Json = nlohmann::json;

// Bounds on hostile values: far above any real model, and small enough that no product of shapes overflows 64 bits.
constexpr int64_t kMaxWidth = int64_t{1} << 20;
constexpr int64_t kMaxLayers = 256;
constexpr int64_t kMaxExperts = 1024;
constexpr int64_t kMaxSidePixels = 8192;

// One JSON object and its path; every accessor names "path.key" in its error.
class Section {
 public:
  Section(const Json& json, std::string source, std::string path)
      : json_(json), source_(std::move(source)), path_(std::move(path)) {
    if (!json_.is_object()) Fail(path_.empty() ? "the document" : path_, "is not an object");
  }

  bool Has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }

  Section Child(const char* key) const { return Section(json_[key], source_, Path(key)); }

  void Int(const char* key, int64_t lo, int64_t hi, int64_t& out) const {
    if (Has(key)) out = CheckedInt(json_[key], Path(key), lo, hi);
  }
  void RequiredInt(const char* key, int64_t lo, int64_t hi, int64_t& out) const {
    if (!Has(key)) Fail(Path(key), "is missing");
    Int(key, lo, hi, out);
  }
  void SmallInt(const char* key, int lo, int hi, int& out) const {
    if (Has(key)) out = static_cast<int>(CheckedInt(json_[key], Path(key), lo, hi));
  }
  void Bool(const char* key, bool& out) const {
    if (!Has(key)) return;
    if (!json_[key].is_boolean()) Fail(Path(key), "is not true or false");
    out = json_[key].get<bool>();
  }
  void PositiveNumber(const char* key, double& out) const {
    if (!Has(key)) return;
    if (!json_[key].is_number()) Fail(Path(key), "is not a number");
    out = json_[key].get<double>();
    if (!std::isfinite(out) || out <= 0) Fail(Path(key), "is not a positive number");
  }
  std::vector<int64_t> Ints(const char* key, size_t max_count, int64_t lo, int64_t hi) const {
    std::vector<int64_t> values;
    if (!json_[key].is_array() || json_[key].size() > max_count) {
      Fail(Path(key), "is not a list of at most " + std::to_string(max_count) + " numbers");
    }
    for (const Json& value : json_[key]) values.push_back(CheckedInt(value, Path(key), lo, hi));
    return values;
  }
  // Refuses a key that is there with another value: what we would silently compute wrongly.
  void Only(const char* key, const Json& supported) const {
    if (Has(key) && json_[key] != supported) {
      Fail(Path(key), "is " + json_[key].dump() + ", and only " + supported.dump() + " is implemented");
    }
  }

  [[noreturn]] void Fail(const std::string& where, const std::string& why) const {
    throw InputError(ErrorCode::kInvalidArgument, "config '" + source_ + "'", "'" + where + "' " + why,
                     "take the config.json that belongs to the weights");
  }

 private:
  std::string Path(const char* key) const { return path_.empty() ? key : path_ + "." + key; }

  int64_t CheckedInt(const Json& value, const std::string& path, int64_t lo, int64_t hi) const {
    const bool fits = value.is_number_integer() &&
                      (!value.is_number_unsigned() || value.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
    if (!fits) Fail(path, "is not an integer");
    const int64_t number = value.get<int64_t>();
    if (number < lo || number > hi) {
      Fail(path, "is " + std::to_string(number) + ", not in [" + std::to_string(lo) + ", " + std::to_string(hi) + "]");
    }
    return number;
  }

  const Json& json_;
  std::string source_;
  std::string path_;
};

void ReadSam(const Section& from, SamConfig& sam) {
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
    if (channels.size() != 2) from.Fail("encoder_dims.sam.downsample_channels", "does not have two entries");
    sam.downsample_channels = {channels[0], channels[1]};
  }
}

void ReadClip(const Section& from, ClipConfig& clip) {
  from.Int("layers", 1, kMaxLayers, clip.layers);
  from.Int("width", 1, kMaxWidth, clip.width);
  from.Int("heads", 1, kMaxWidth, clip.heads);
  from.Int("ffn_hidden_size", 1, kMaxWidth, clip.ffn_hidden_size);
  from.Int("image_size", 1, kMaxSidePixels, clip.image_size);
  from.Int("patch_size", 1, 256, clip.patch_size);
}

void ReadPreprocess(const Section& from, PreprocessConfig& preprocess) {
  constexpr int kMaxSide = static_cast<int>(kMaxSidePixels);
  from.Bool("crop_mode", preprocess.crop_mode);
  from.SmallInt("base_size", 16, kMaxSide, preprocess.base_size);
  from.SmallInt("image_size", 16, kMaxSide, preprocess.image_size);
  from.SmallInt("small_image_threshold", 1, kMaxSide, preprocess.small_image_threshold);
  from.SmallInt("crop_tile_size", 16, kMaxSide, preprocess.crop_tile_size);
  from.SmallInt("direct_resize_max", 0, kMaxSide, preprocess.direct_resize_max);
  from.SmallInt("min_num", 1, 64, preprocess.min_num);
  from.SmallInt("max_num", 1, 64, preprocess.max_num);
}

void ReadDecoder(const Section& from, DecoderConfig& decoder) {
  from.RequiredInt("vocab_size", 4, kMaxWidth, decoder.vocab_size);
  from.RequiredInt("hidden_size", 2, kMaxWidth, decoder.hidden_size);
  from.RequiredInt("intermediate_size", 1, kMaxWidth, decoder.intermediate_size);
  from.RequiredInt("moe_intermediate_size", 1, kMaxWidth, decoder.moe_intermediate_size);
  from.RequiredInt("num_hidden_layers", 1, kMaxLayers, decoder.num_hidden_layers);
  from.RequiredInt("num_attention_heads", 1, kMaxWidth, decoder.num_attention_heads);
  from.RequiredInt("n_routed_experts", 1, kMaxExperts, decoder.n_routed_experts);
  from.RequiredInt("n_shared_experts", 1, kMaxExperts, decoder.n_shared_experts);
  from.RequiredInt("num_experts_per_tok", 1, kMaxExperts, decoder.num_experts_per_tok);
  from.RequiredInt("first_k_dense_replace", 0, kMaxLayers, decoder.first_k_dense_replace);
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

void CheckConsistency(const Section& root, const ModelConfig& config) {
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
  const PreprocessConfig& preprocess = config.preprocess;
  const auto whole_patches = [&](int side) { return side % sam.patch_size == 0; };
  require(whole_patches(preprocess.base_size), "preprocess.base_size", "is not a multiple of the patch size");
  require(whole_patches(preprocess.image_size), "preprocess.image_size", "is not a multiple of the patch size");
  require(whole_patches(preprocess.crop_tile_size), "preprocess.crop_tile_size", "is not a multiple of the patch size");
  require(preprocess.min_num <= preprocess.max_num, "preprocess.min_num", "exceeds max_num");
  require(config.image_token_id < decoder.vocab_size, "image_token_id", "is not in the vocabulary");
}

}  // namespace

bool SamConfig::is_global(int64_t block) const {
  return std::find(global_attn_indexes.begin(), global_attn_indexes.end(), block) != global_attn_indexes.end();
}

ModelConfig ParseModelConfig(std::string_view text, const std::string& source) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    throw InputError(ErrorCode::kInvalidArgument, "config '" + source + "'", "not valid JSON",
                     "take the config.json that belongs to the weights");
  }
  const Section root(json, source, "");
  ModelConfig config;
  ReadDecoder(root, config.decoder);
  if (root.Has("encoder_dims")) {
    const Section dims = root.Child("encoder_dims");
    if (dims.Has("sam")) ReadSam(dims.Child("sam"), config.sam);
    if (dims.Has("clip")) ReadClip(dims.Child("clip"), config.clip);
  }
  if (root.Has("preprocess")) ReadPreprocess(root.Child("preprocess"), config.preprocess);
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
