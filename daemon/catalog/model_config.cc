#include "daemon/catalog/model_config.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>
#include <type_traits>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "base/status.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace dsocr::catalog {
namespace {

using analytic::ClipSpec;
using analytic::ModelSpec;
using analytic::QueryEncoderSpec;
using nlohmann::json;

// Far above any published model, and low enough that no product of three sizes leaves 64 bits.
constexpr int64_t kMaxSide = int64_t{1} << 16;  // widths, pixels
constexpr int64_t kMaxRows = int64_t{1} << 24;  // vocabulary, positions
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxExperts = 4096;
constexpr int64_t kMaxCrops = 1024;
constexpr size_t kMaxConfigBytes = size_t{1} << 20;

// The published file of DeepSeek-OCR-2 names its encoder and one size of it; the code holds the others.
constexpr const char* kQueryEncoder = "vision_config.width.qwen2-0-5b";
constexpr const char* kQueryEncoderWidth = "vision_config.width.qwen2-0-5b.dim";

// `Spec` or a const one: sizes are read into it and written from it.
template <typename T, typename Spec>
concept Like = std::same_as<std::remove_const_t<T>, Spec>;

template <typename Visit>
void ForEachEncoderSize(Like<ClipSpec> auto& clip, Visit visit) {
  visit("encoder_dims.clip.layers", clip.layers, 1, kMaxLayers);
  visit("encoder_dims.clip.width", clip.width, 1, kMaxSide);
  visit("encoder_dims.clip.heads", clip.heads, 1, kMaxSide);
  visit("encoder_dims.clip.ffn_hidden_size", clip.ffn_hidden_size, 1, kMaxSide);
  visit("encoder_dims.clip.image_size", clip.image_size, 1, kMaxSide);
  visit("encoder_dims.clip.patch_size", clip.patch_size, 1, kMaxSide);
}

template <typename Visit>
void ForEachEncoderSize(Like<QueryEncoderSpec> auto& encoder, Visit visit) {
  visit(kQueryEncoderWidth, encoder.width, 1, kMaxSide);
  visit("encoder_dims.encoder.layers", encoder.layers, 1, kMaxLayers);
  visit("encoder_dims.encoder.heads", encoder.heads, 1, kMaxSide);
  visit("encoder_dims.encoder.kv_heads", encoder.kv_heads, 1, kMaxSide);
  visit("encoder_dims.encoder.ffn_hidden_size", encoder.ffn_hidden_size, 1, kMaxSide);
}

// Every integer of a config.json that we know: its path, its place in the spec, its range.
template <typename Spec, typename Visit>
void ForEachSize(Spec& spec, Visit visit) {
  auto& decoder = spec.decoder;
  visit("vocab_size", decoder.vocab_size, 1, kMaxRows);
  visit("hidden_size", decoder.hidden_size, 1, kMaxSide);
  visit("intermediate_size", decoder.intermediate_size, 1, kMaxSide);
  visit("moe_intermediate_size", decoder.moe_intermediate_size, 1, kMaxSide);
  visit("num_hidden_layers", decoder.layers, 1, kMaxLayers);
  visit("first_k_dense_replace", decoder.first_k_dense, 0, kMaxLayers);
  visit("num_attention_heads", decoder.heads, 1, kMaxSide);
  visit("num_key_value_heads", decoder.kv_heads, 1, kMaxSide);
  visit("n_routed_experts", decoder.routed_experts, 1, kMaxExperts);
  visit("n_shared_experts", decoder.shared_experts, 1, kMaxExperts);
  visit("num_experts_per_tok", decoder.experts_per_token, 1, kMaxExperts);
  visit("max_position_embeddings", decoder.max_position_embeddings, 1, kMaxRows);
  auto& sam = spec.sam;
  visit("encoder_dims.sam.layers", sam.layers, 1, kMaxLayers);
  visit("encoder_dims.sam.width", sam.width, 1, kMaxSide);
  visit("encoder_dims.sam.heads", sam.heads, 1, kMaxSide);
  visit("encoder_dims.sam.patch_size", sam.patch_size, 1, kMaxSide);
  visit("encoder_dims.sam.img_size", sam.image_size, 1, kMaxSide);
  visit("encoder_dims.sam.window_size", sam.window_size, 1, kMaxSide);
  visit("encoder_dims.sam.neck_channels", sam.neck_channels, 1, kMaxSide);
  std::visit([&visit](auto& encoder) { ForEachEncoderSize(encoder, visit); }, spec.encoder);
  auto& preprocess = spec.preprocess;
  visit("preprocess.small_image_threshold", preprocess.small_image_threshold, 1, kMaxSide);
  visit("preprocess.crop_tile_size", preprocess.crop_tile_size, 1, kMaxSide);
  visit("preprocess.direct_resize_max", preprocess.direct_resize_max, 0, kMaxSide);
  visit("preprocess.min_num", preprocess.min_crops, 1, kMaxCrops);
  visit("preprocess.max_num", preprocess.max_crops, 1, kMaxCrops);
}

// The same for other numbers. All but mlp_ratio leave the cost alone and decide what the runner computes.
template <typename Spec, typename Visit>
void ForEachNumber(Spec& spec, Visit visit) {
  visit("encoder_dims.sam.mlp_ratio", spec.sam.mlp_ratio);
  visit("rms_norm_eps", spec.decoder.rms_norm_eps);
  visit("rope_theta", spec.decoder.rope_theta);
  visit("routed_scaling_factor", spec.decoder.routed_scaling_factor);
}

constexpr const char* kNormTopk = "norm_topk_prob";
constexpr const char* kGlobalLayers = "encoder_dims.sam.global_attn_indexes";
constexpr const char* kDownsample = "encoder_dims.sam.downsample_channels";
constexpr const char* kQueryTables = "encoder_dims.encoder.query_tables";

// A JSON pointer of a dotted path.
json::json_pointer Pointer(std::string_view path) {
  std::string pointer = fmt::format("/{}", path);
  for (char& c : pointer) {
    c = c == '.' ? '/' : c;
  }
  return json::json_pointer(pointer);
}

absl::Status Wrong(std::string_view path, std::string_view value, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("model config: {} = {}: {}; correct config.json", path, value, why));
}

// The value as an error message shows it: containers by their kind, long text cut.
std::string Shown(const json& value) {
  constexpr size_t kLongest = 60;
  if (value.is_structured()) {
    return value.is_array() ? "an array" : "an object";
  }
  const std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true);
  return text.size() > kLongest ? text.substr(0, kLongest) + "…" : text;
}

// Takes values out of a document; the first error stays.
class Reader {
 public:
  explicit Reader(const json& root) : root_(root) {}

  // The value at `path`; null if it, or an object on the way, is absent or null.
  const json* Find(std::string_view path) {
    const json* node = &root_;
    for (size_t begin = 0; begin < path.size();) {
      const size_t end = std::min(path.find('.', begin), path.size());
      if (!node->is_object()) {
        Fail(path.substr(0, begin == 0 ? 0 : begin - 1), *node, "an object is expected");
        return nullptr;
      }
      const auto found = node->find(std::string(path.substr(begin, end - begin)));
      if (found == node->end() || found->is_null()) {
        return nullptr;
      }
      node = &*found;
      begin = end + 1;
    }
    return node;
  }

  void Size(std::string_view path, int64_t& value, int64_t least, int64_t most) {
    if (const json* found = Find(path)) {
      Integer(path, *found, value, least, most);
    }
  }

  void Positive(std::string_view path, double& value) {
    const json* found = Find(path);
    if (found == nullptr) {
      return;
    }
    if (!found->is_number() || !(found->get<double>() > 0)) {
      Fail(path, *found, "a number above 0 is expected");
      return;
    }
    value = found->get<double>();
  }

  void Bool(std::string_view path, bool& value) {
    const json* found = Find(path);
    if (found == nullptr) {
      return;
    }
    if (!found->is_boolean()) {
      Fail(path, *found, "true or false is expected");
      return;
    }
    value = found->get<bool>();
  }

  void Sizes(std::string_view path, std::vector<int64_t>& values, int64_t least, int64_t most) {
    const json* found = Find(path);
    if (found == nullptr) {
      return;
    }
    if (!found->is_array() || found->size() > kMaxLayers) {
      Fail(path, *found, fmt::format("an array of up to {} integers is expected", kMaxLayers));
      return;
    }
    values.assign(found->size(), 0);
    for (size_t i = 0; i < values.size(); ++i) {
      Integer(fmt::format("{}[{}]", path, i), (*found)[i], values[i], least, most);
    }
  }

  const absl::Status& status() const { return status_; }

 private:
  void Integer(std::string_view path, const json& found, int64_t& value, int64_t least, int64_t most) {
    // An unsigned number beyond int64 must not wrap.
    const bool fits = found.is_number_integer() && (!found.is_number_unsigned() || found.get<uint64_t>() <= INT64_MAX);
    if (!fits || found.get<int64_t>() < least || found.get<int64_t>() > most) {
      Fail(path, found, fmt::format("an integer from {} to {} is expected", least, most));
      return;
    }
    value = found.get<int64_t>();
  }

  void Fail(std::string_view path, const json& value, std::string_view why) {
    if (status_.ok()) {
      status_ = Wrong(path, Shown(value), why);
    }
  }

  const json& root_;
  absl::Status status_;
};

absl::Status CheckRopePairs(std::string_view path, int64_t heads, int64_t head_dim) {
  return head_dim % 2 == 0
             ? absl::OkStatus()
             : Wrong(path, std::to_string(heads), fmt::format("a head of {} is odd, and rope turns pairs", head_dim));
}

absl::Status CheckEncoder(const ClipSpec& clip) {
  return clip.image_size % clip.patch_size == 0
             ? absl::OkStatus()
             : Wrong("encoder_dims.clip.image_size", std::to_string(clip.image_size),
                     fmt::format("no multiple of encoder_dims.clip.patch_size = {}", clip.patch_size));
}

absl::Status CheckEncoder(const QueryEncoderSpec& encoder) {
  return CheckRopePairs("encoder_dims.encoder.heads", encoder.heads, encoder.head_dim());
}

// What CheckModel leaves to the reader of a config.json.
absl::Status CheckSpec(const ModelSpec& spec) {
  DSOCR_RETURN_IF_ERROR(analytic::CheckModel(spec));
  const analytic::SamSpec& sam = spec.sam;
  if (sam.image_size % sam.patch_size != 0) {
    return Wrong("encoder_dims.sam.img_size", std::to_string(sam.image_size),
                 fmt::format("no multiple of encoder_dims.sam.patch_size = {}", sam.patch_size));
  }
  DSOCR_RETURN_IF_ERROR(std::visit([](const auto& encoder) { return CheckEncoder(encoder); }, spec.encoder));
  if (const double hidden = sam.mlp_ratio * static_cast<double>(sam.width); hidden != std::floor(hidden)) {
    return Wrong("encoder_dims.sam.mlp_ratio", fmt::format("{}", sam.mlp_ratio),
                 fmt::format("times encoder_dims.sam.width = {} is no integer", sam.width));
  }
  DSOCR_RETURN_IF_ERROR(CheckRopePairs("num_attention_heads", spec.decoder.heads, spec.decoder.head_dim()));
  std::set<int64_t> seen;
  for (const int64_t layer : sam.global_attention_layers) {
    if (layer >= sam.layers) {
      return Wrong(kGlobalLayers, fmt::format("[… {} …]", layer),
                   fmt::format("there are {} layers, from 0", sam.layers));
    }
    if (!seen.insert(layer).second) {
      return Wrong(kGlobalLayers, fmt::format("[… {} …]", layer), "listed twice");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<json> ParseObject(std::string_view text) {
  if (text.size() > kMaxConfigBytes) {
    return absl::InvalidArgumentError(fmt::format(
        "model config: {} bytes are more than {}; give the model's config.json", text.size(), kMaxConfigBytes));
  }
  json root;
  try {
    root = json::parse(text);
  } catch (const json::parse_error& error) {
    return absl::InvalidArgumentError(
        fmt::format("model config: not JSON at byte {}; give the model's config.json", error.byte));
  } catch (const json::exception&) {
    return absl::InvalidArgumentError("model config: a number in it is out of range; correct config.json");
  }
  if (!root.is_object()) {
    return absl::InvalidArgumentError("model config: not a JSON object; give the model's config.json");
  }
  return root;
}

// The published model that a file describes: by `architectures`, or by the encoder that only DeepSeek-OCR-2 has. Their
// model_type is the same.
ModelSpec PublishedSpecOf(const json& root) {
  const auto& models = analytic::ModelCatalogue();
  const json names = root.value("architectures", json::array());
  const auto has_name = [&](const ModelSpec& model) {
    return std::find(names.begin(), names.end(), model.architecture) != names.end();
  };
  const bool has_query_encoder = root.contains(Pointer(kQueryEncoder));
  const auto has_encoder = [&](const ModelSpec& model) {
    return has_query_encoder && std::holds_alternative<QueryEncoderSpec>(model.encoder);
  };
  auto found = std::find_if(models.begin(), models.end(), has_name);
  if (found == models.end()) {
    found = std::find_if(models.begin(), models.end(), has_encoder);
  }
  return found == models.end() ? models.front() : *found;
}

}  // namespace

absl::StatusOr<ModelSpec> ParseModelConfig(std::string_view json_text) {
  DSOCR_ASSIGN_OR_RETURN(const json root, ParseObject(json_text));
  Reader reader(root);
  ModelSpec spec = PublishedSpecOf(root);
  ForEachSize(spec, [&reader](std::string_view path, int64_t& value, int64_t least, int64_t most) {
    reader.Size(path, value, least, most);
  });
  if (reader.Find("num_key_value_heads") == nullptr) {
    spec.decoder.kv_heads = spec.decoder.heads;
  }
  ForEachNumber(spec, [&reader](std::string_view path, double& value) { reader.Positive(path, value); });
  reader.Bool(kNormTopk, spec.decoder.norm_topk_prob);
  reader.Sizes(kGlobalLayers, spec.sam.global_attention_layers, 0, kMaxLayers);
  reader.Sizes(kDownsample, spec.sam.downsample_channels, 1, kMaxSide);
  if (auto* encoder = std::get_if<QueryEncoderSpec>(&spec.encoder)) {
    reader.Sizes(kQueryTables, encoder->query_tables, 1, kMaxSide);
  }
  DSOCR_RETURN_IF_ERROR(reader.status());
  DSOCR_RETURN_IF_ERROR(CheckSpec(spec));
  return spec;
}

std::string ModelConfigJson(const ModelSpec& spec) {
  json root = {{"architectures", {spec.architecture}}};
  ForEachSize(spec, [&root](std::string_view path, int64_t value, int64_t, int64_t) { root[Pointer(path)] = value; });
  ForEachNumber(spec, [&root](std::string_view path, double value) { root[Pointer(path)] = value; });
  root[Pointer(kNormTopk)] = spec.decoder.norm_topk_prob;
  root[Pointer(kGlobalLayers)] = spec.sam.global_attention_layers;
  root[Pointer(kDownsample)] = spec.sam.downsample_channels;
  if (const auto* encoder = std::get_if<QueryEncoderSpec>(&spec.encoder)) {
    root[Pointer(kQueryTables)] = encoder->query_tables;
  }
  return root.dump(2) + "\n";
}

absl::StatusOr<LoadedModel> LoadModel(const std::string& model_dir) {
  const std::filesystem::path directory = std::filesystem::path(model_dir).lexically_normal();
  const std::string path = (directory / "config.json").string();
  std::ifstream file(path, std::ios::binary);
  std::error_code error;
  if (!file || std::filesystem::is_directory(path, error)) {
    if (errno == EACCES) {
      return absl::PermissionDeniedError(
          fmt::format("model '{}': '{}' cannot be read; change its mode", model_dir, path));
    }
    return absl::NotFoundError(
        fmt::format("no model in '{}': it has no config.json; give a Hugging Face model directory", model_dir));
  }
  std::string text(kMaxConfigBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));

  LoadedModel model;
  model.config_path = path;
  DSOCR_ASSIGN_OR_RETURN(model.spec, ParseModelConfig(text));
  // ~/.cache/huggingface/hub/models--…/snapshots/<commit>/
  const std::filesystem::path snapshot = directory.has_filename() ? directory : directory.parent_path();
  const std::string revision = snapshot.filename().string();
  if (snapshot.parent_path().filename() == "snapshots" && revision.size() == 40 &&
      revision.find_first_not_of("0123456789abcdef") == std::string::npos) {
    model.hf_revision = revision;
  }
  return model;
}

}  // namespace dsocr::catalog
