#include "daemon/attach/recognise.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "analytic/module/tree.h"
#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::attach {
namespace {

using analytic::ClipSpec;
using analytic::ModelSpec;
using analytic::QueryEncoderSpec;
using attribution::JobModule;

constexpr int64_t kMaxLayers = 1024;
// Far beyond any model; products of three sizes, and sums of all modules, stay inside 64 bits.
constexpr int64_t kMaxSize = int64_t{1} << 20;
constexpr uint64_t kMaxParameters = uint64_t{1} << 44;
constexpr int64_t kDecoderHead = 128;
constexpr int64_t kVisionHead = 64;
constexpr int64_t kSamWindow = 14;
constexpr std::string_view kEmbedding = "{phase}/embed_tokens";

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// `path` relative to the module at `prefix`, which ends in a dot or is the root; nullopt: it is not below that.
std::optional<std::string_view> PathBelow(std::string_view prefix, std::string_view path) {
  if (prefix.empty()) {
    return path;
  }
  if (path == prefix.substr(0, prefix.size() - 1)) {
    return "";
  }
  return path.substr(0, prefix.size()) == prefix ? std::optional(path.substr(prefix.size())) : std::nullopt;
}

// "pkg.module.Class" -> "Class".
std::string_view LastWord(std::string_view type) { return type.substr(type.rfind('.') + 1); }

int64_t ParametersOf(const JobModule& module) {
  return static_cast<int64_t>(std::min(module.parameters, kMaxParameters));
}

// The weights of a model, by the node that they are mapped to; prefill stands for both phases. The first thing that is
// missing is remembered.
class Weights {
 public:
  void Add(const std::string& id, const JobModule& module) {
    Weight& weight = weights_[id];
    weight.parameters += ParametersOf(module);
    if (!module.weight_shape.empty()) {
      weight.shapes.emplace_back(module.weight_shape.begin(), module.weight_shape.end());
    }
  }

  bool Has(const std::string& id) const { return weights_.count(id) > 0; }
  bool HasBelow(const std::string& id) const {
    const auto first = weights_.lower_bound(id);
    return first != weights_.end() && first->first.compare(0, id.size(), id) == 0;
  }

  // Of the first weight there. 1 after a failure, so that callers may divide.
  int64_t Size(const std::string& id, size_t dimension) {
    const auto found = weights_.find(id);
    if (found == weights_.end() || found->second.shapes.empty() || found->second.shapes[0].size() <= dimension) {
      Fail(fmt::format("{} has no weight of {} dimensions", id, dimension + 1));
      return 1;
    }
    const int64_t size = found->second.shapes[0][dimension];
    if (size < 1 || size > kMaxSize) {
      Fail(fmt::format("{} has a weight of {} rows or columns", id, size));
      return 1;
    }
    return size;
  }

  // Of several modules that are one node.
  std::vector<int64_t> Rows(const std::string& id) const {
    std::vector<int64_t> rows;
    if (const auto found = weights_.find(id); found != weights_.end()) {
      for (const std::vector<int64_t>& shape : found->second.shapes) {
        rows.push_back(shape[0]);
      }
    }
    return rows;
  }

  int64_t Parameters(const std::string& id) const {
    const auto found = weights_.find(id);
    return found == weights_.end() ? 0 : found->second.parameters;
  }

  // whole / part, which leaves no rest.
  int64_t Quotient(std::string_view what, int64_t whole, int64_t part) {
    if (part <= 0 || whole < part || whole % part != 0) {
      Fail(fmt::format("{} cannot be: {} is no multiple of {}", what, whole, part));
      return 1;
    }
    return whole / part;
  }

  int64_t Root(std::string_view what, int64_t square) {
    const auto root = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(square))));
    if (square <= 0 || root * root != square) {
      Fail(fmt::format("{} cannot be: {} is no square", what, square));
      return 1;
    }
    return root;
  }

  // How many of `group`[0], [1], … there are.
  int64_t Count(const std::string& group) {
    int64_t count = 0;
    while (count < kMaxLayers && HasBelow(fmt::format("{}[{}]", group, count))) {
      ++count;
    }
    if (count == 0) {
      Fail(fmt::format("{}[0] is missing", group));
    }
    return count;
  }

  void Fail(std::string why) { why_ = why_.empty() ? std::move(why) : why_; }
  const std::string& why() const { return why_; }

 private:
  struct Weight {
    int64_t parameters = 0;
    std::vector<std::vector<int64_t>> shapes;
  };
  std::map<std::string, Weight> weights_;
  std::string why_;
};

// Heads of the usual width; of a smaller one, a power of two, where that does not divide.
int64_t HeadWidth(int64_t width, int64_t usual) {
  while (usual > 2 && width % usual != 0) {
    usual /= 2;
  }
  return usual;
}

// The tables of relative positions are parameters of attention: twice 2 n - 1 rows of a head's width, n being the side
// that a block sees: the window's, or the grid's.
struct SamAttention {
  int64_t head = 0;
  int64_t window = 0;
};

// What makes tables of `window` parameters in some blocks and `global` (0: none) in the others; nullopt: nothing does.
std::optional<SamAttention> SamAttentionOf(const analytic::SamSpec& sam, int64_t grid, int64_t window, int64_t global) {
  std::vector<int64_t> heads;
  if (global > 0) {
    heads.push_back(global / (2 * (2 * grid - 1)));
  } else {
    heads = {window / (2 * (2 * sam.window_size - 1)), HeadWidth(sam.width, kVisionHead)};
  }
  for (const int64_t head : heads) {
    const bool fits = head > 0 && sam.width % head == 0 && window % (2 * head) == 0 && window / (2 * head) % 2 == 1 &&
                      (global == 0 || global == 2 * (2 * grid - 1) * head);
    if (fits) {
      return SamAttention{head, (window / (2 * head) + 1) / 2};
    }
  }
  return std::nullopt;
}

void ReadSamAttention(Weights& weights, int64_t grid, analytic::SamSpec* sam) {
  std::map<int64_t, std::vector<int64_t>> layers;  // by parameters of their tables
  for (int64_t i = 0; i < sam->layers; ++i) {
    layers[weights.Parameters(fmt::format("vision/sam/block[{}]/attn", i))].push_back(i);
  }
  std::vector<std::pair<int64_t, int64_t>> choices;  // window, global
  if (layers.size() == 1) {
    choices = {{layers.begin()->first, 0}};
  } else if (layers.size() == 2) {
    choices = {{layers.begin()->first, layers.rbegin()->first}, {layers.rbegin()->first, layers.begin()->first}};
  }
  // Where either could be: the window that is published.
  std::optional<SamAttention> best;
  for (const auto& [window, global] : choices) {
    const std::optional<SamAttention> found = SamAttentionOf(*sam, grid, window, global);
    if (found && (!best || (best->window != kSamWindow && found->window == kSamWindow))) {
      best = found;
      sam->global_attention_layers = global > 0 ? layers[global] : std::vector<int64_t>();
    }
  }
  if (!best) {
    weights.Fail("vision/sam/block[i]/attn has tables of relative positions of no window or grid");
    return;
  }
  sam->heads = sam->width / best->head;
  sam->window_size = best->window;
}

void ReadSam(Weights& weights, analytic::SamSpec* sam) {
  const std::string patch = "vision/sam/patch_embed";
  sam->layers = weights.Count("vision/sam/block");
  sam->width = weights.Size(patch, 0);
  sam->patch_size = weights.Size(patch, 2);
  const int64_t hidden = weights.Size("vision/sam/block[0]/mlp/lin1", 0);
  sam->mlp_ratio = static_cast<double>(hidden) / static_cast<double>(sam->width);
  sam->neck_channels = weights.Size("vision/sam/neck/conv1", 0);
  sam->downsample_channels = {weights.Size("vision/sam/net_2", 0), weights.Size("vision/sam/net_3", 0)};
  // The table of positions is a parameter of SAM itself: grid x grid x width.
  const int64_t grid = weights.Root(
      "SAM's position table", weights.Quotient("SAM's position table", weights.Parameters("vision/sam"), sam->width));
  sam->image_size = grid * sam->patch_size;
  ReadSamAttention(weights, grid, sam);
}

ClipSpec ReadClip(Weights& weights) {
  ClipSpec clip;
  clip.layers = weights.Count("vision/clip/layer");
  clip.width = weights.Size("vision/clip/pre_layrnorm", 0);
  clip.ffn_hidden_size = weights.Size("vision/clip/layer[0]/mlp/fc1", 0);
  clip.heads = clip.width / HeadWidth(clip.width, kVisionHead);
  clip.patch_size = weights.Size("vision/clip/embeddings/patch_embedding", 2);
  // A row for each patch, and one for the class token.
  clip.image_size =
      clip.patch_size * weights.Root("CLIP's position table", weights.Size("vision/clip/embeddings/add", 0) - 1);
  return clip;
}

QueryEncoderSpec ReadQueryEncoder(Weights& weights) {
  QueryEncoderSpec encoder;
  const std::string layer = "vision/encoder/layer[0]";
  encoder.layers = weights.Count("vision/encoder/layer");
  encoder.width = weights.Size(layer + "/mlp/down_proj", 0);
  encoder.ffn_hidden_size = weights.Size(layer + "/mlp/down_proj", 1);
  const int64_t head = HeadWidth(weights.Size(layer + "/self_attn/k_proj", 0), kVisionHead);
  encoder.heads = weights.Quotient("the encoder's heads", encoder.width, head);
  encoder.kv_heads = weights.Size(layer + "/self_attn/k_proj", 0) / head;
  encoder.query_tables = weights.Rows("vision/encoder/append_queries");
  std::sort(encoder.query_tables.begin(), encoder.query_tables.end());
  return encoder;
}

void ReadDecoder(Weights& weights, analytic::DecoderSpec* decoder) {
  const auto layer = [](int64_t i) { return fmt::format("prefill/layer[{}]", i); };
  const auto has_experts = [&](int64_t i) { return weights.HasBelow(layer(i) + "/moe/"); };
  decoder->vocab_size = weights.Size("prefill/embed_tokens", 0);
  decoder->hidden_size = weights.Size("prefill/embed_tokens", 1);
  decoder->layers = weights.Count("prefill/layer");
  decoder->first_k_dense = 0;
  while (decoder->first_k_dense < decoder->layers && !has_experts(decoder->first_k_dense)) {
    ++decoder->first_k_dense;
  }
  for (int64_t i = decoder->first_k_dense; i < decoder->layers; ++i) {
    if (!has_experts(i)) {
      weights.Fail(fmt::format("layer {} has no experts, and layer {} has", i, decoder->first_k_dense));
    }
  }
  if (decoder->first_k_dense > 0) {
    decoder->intermediate_size = weights.Size(layer(0) + "/mlp/down_proj", 1);
  }
  if (const std::string moe = layer(decoder->first_k_dense) + "/moe"; decoder->first_k_dense < decoder->layers) {
    decoder->routed_experts = weights.Size(moe + "/gate", 0);
    // Three matrices an expert, whether they are stacked or not.
    decoder->moe_intermediate_size = weights.Quotient("the width of an expert", weights.Parameters(moe + "/experts"),
                                                      3 * decoder->routed_experts * decoder->hidden_size);
    decoder->shared_experts =
        weights.Quotient("the number of shared experts", weights.Size(moe + "/shared_experts/down_proj", 1),
                         decoder->moe_intermediate_size);
    decoder->experts_per_token = std::min(decoder->experts_per_token, decoder->routed_experts);
  }
  const int64_t head = HeadWidth(decoder->hidden_size, kDecoderHead);
  decoder->heads = decoder->hidden_size / head;
  decoder->kv_heads = decoder->heads;
  if (const std::string keys = layer(0) + "/self_attn/k_proj"; weights.Has(keys)) {
    decoder->kv_heads = weights.Quotient("the number of key heads", weights.Size(keys, 0), head);
  }
}

int64_t ParametersOf(const ModelSpec& model) {
  int64_t parameters = 0;
  for (const analytic::Node& node : analytic::BuildTree(model).nodes) {
    parameters += node.is_leaf() && node.owns_weights ? node.spec.parameters * node.instances : 0;
  }
  return parameters;
}

std::string Assumptions(const ModelSpec& model) {
  std::string heads = fmt::format("{} heads in the decoder", model.decoder.heads);
  if (const auto* clip = std::get_if<ClipSpec>(&model.encoder)) {
    heads += fmt::format(", {} in CLIP", clip->heads);
  }
  return fmt::format("the model's sizes are those of the job's weights; {} and {} experts a token are assumed", heads,
                     model.decoder.experts_per_token);
}

// Where in the job a model may stand: the modules of a root, and the path of the model in it.
struct Place {
  uint32_t root = 0;
  std::string root_name;
  std::string prefix;
};

// Where the embedding is, the model is.
std::vector<Place> PlacesOf(const std::vector<JobModule>& modules, const ModuleMap& map) {
  std::map<uint32_t, std::string> root_names;
  for (const JobModule& module : modules) {
    if (module.path.empty()) {
      root_names.emplace(module.root, module.type);
    }
  }
  std::map<std::string, int> of_type;
  for (auto& [root, name] : root_names) {  // as the agent numbers them
    if (const int count = ++of_type[name]; count > 1) {
      name += fmt::format("~{}", count);
    }
  }
  std::vector<Place> places;
  const std::string embedding = map.PathTo(kEmbedding);
  for (const JobModule& module : modules) {
    const std::string& path = module.path;
    if (embedding.empty() || !EndsWith(path, embedding)) {
      continue;
    }
    const std::string prefix = path.substr(0, path.size() - embedding.size());
    if (prefix.empty() || prefix.back() == '.') {
      places.push_back({module.root, root_names[module.root], prefix});
    }
  }
  return places;
}

absl::StatusOr<RecognisedModel> RecogniseAt(const std::vector<JobModule>& modules, const ModuleMap& map,
                                            const Place& place) {
  RecognisedModel recognised{
      .map = map, .root_name = place.root_name, .is_first_root = place.root == 0, .prefix = place.prefix};
  const auto any_node = [](const std::string&) { return true; };
  Weights weights;
  for (const JobModule& module : modules) {
    const std::optional<std::string_view> path =
        module.root == place.root ? PathBelow(place.prefix, module.path) : std::nullopt;
    if (!path) {
      continue;
    }
    recognised.parameters += ParametersOf(module);
    if (const std::string target = map.Find(*path, any_node); !target.empty()) {
      weights.Add(InPhase(target, Phase::kPrefill), module);
    }
  }
  const bool has_query_encoder = weights.HasBelow("vision/encoder");
  ModelSpec model = analytic::ModelCatalogue()[has_query_encoder ? 1 : 0];
  ReadDecoder(weights, &model.decoder);
  ReadSam(weights, &model.sam);
  if (has_query_encoder) {
    model.encoder = ReadQueryEncoder(weights);
  } else {
    model.encoder = ReadClip(weights);
  }
  if (!weights.why().empty()) {
    return absl::NotFoundError(fmt::format("no DeepSeek-OCR by map '{}': {}", map.name(), weights.why()));
  }
  if (const absl::Status status = analytic::CheckModel(model); !status.ok()) {
    return absl::NotFoundError(
        fmt::format("no DeepSeek-OCR by map '{}': {}", map.name(), std::string(status.message())));
  }
  recognised.remarks.push_back(Assumptions(model));
  if (const int64_t expected = ParametersOf(model); expected != recognised.parameters) {
    recognised.remarks.push_back(fmt::format("the job's model has {} parameters, not the {} of a {} of its sizes",
                                             recognised.parameters, expected, model.variant));
  }
  recognised.model = std::move(model);
  return recognised;
}

}  // namespace

std::optional<std::string_view> RecognisedModel::PathOf(std::string_view range_name) const {
  for (const std::string_view name : {std::string_view(root_name), LastWord(root_name)}) {
    if (range_name == name) {
      return PathBelow(prefix, "");
    }
    if (range_name.size() > name.size() && range_name.substr(0, name.size()) == name &&
        range_name[name.size()] == ':') {
      return PathBelow(prefix, range_name.substr(name.size() + 1));
    }
  }
  const bool is_of_first_root = range_name.find(':') == std::string_view::npos;
  return is_of_first_root && is_first_root ? PathBelow(prefix, range_name) : std::nullopt;
}

absl::StatusOr<RecognisedModel> Recognise(const std::vector<JobModule>& modules, const ModuleMap* map) {
  absl::Status refusal = absl::NotFoundError(
      modules.empty()
          ? "the job told no modules"
          : "no DeepSeek-OCR: no module of the job is named as its embedding is, such as model.embed_tokens");
  for (const ModuleMap& candidate : map != nullptr ? std::vector<ModuleMap>{*map} : BuiltInMaps()) {
    for (const Place& place : PlacesOf(modules, candidate)) {
      absl::StatusOr<RecognisedModel> recognised = RecogniseAt(modules, candidate, place);
      if (!recognised.ok()) {
        refusal = recognised.status();
        continue;
      }
      if (map != nullptr) {
        DSOCR_RETURN_IF_ERROR(map->CheckTargets(analytic::BuildTree(recognised->model).node_of_range));
      }
      return recognised;
    }
  }
  return refusal;
}

}  // namespace dsocr::attach
