#include "model/trace/module_list.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string_view>

#include "model/weights/weight_list.h"

namespace dsocr::model {
namespace {

constexpr char kLinear[] = "torch.nn.modules.linear.Linear";
constexpr char kConv2d[] = "torch.nn.modules.conv.Conv2d";
constexpr char kLayerNorm[] = "torch.nn.modules.normalization.LayerNorm";
constexpr char kEmbedding[] = "torch.nn.modules.sparse.Embedding";
constexpr char kModuleList[] = "torch.nn.modules.container.ModuleList";
constexpr char kMlp[] = "modeling_deepseekv2.DeepseekV2MLP";
constexpr char kMoe[] = "modeling_deepseekv2.DeepseekV2MoE";
constexpr char kRmsNorm[] = "modeling_deepseekv2.DeepseekV2RMSNorm";

// What a module is and which range runs it. `path`: the end of the module's path, N for an index; the first row that
// fits counts. `range`: below the parent's; with a '/' in front a whole one; "-": the parent's; "": none.
struct Rule {
  std::string_view path;
  const char* qualified_class;
  std::string_view range;
};
constexpr Rule kRules[] = {
    {"model.sam_model", "deepencoder.ImageEncoderViT", "/vision/sam"},
    {"patch_embed", "deepencoder.PatchEmbed", "patch_embed"},
    {"patch_embed.proj", kConv2d, "-"},
    {"sam_model.blocks", kModuleList, ""},
    {"blocks.N", "deepencoder.Block", "/vision/sam/block[N]"},
    {"norm1", kLayerNorm, "norm1"},
    {"norm2", kLayerNorm, "norm2"},
    {"attn", "deepencoder.Attention", "attn"},
    {"attn.qkv", kLinear, "qkv"},
    {"attn.proj", kLinear, "proj"},
    {"blocks.N.mlp", "deepencoder.MLPBlock", "mlp"},
    {"lin1", kLinear, "lin1"},
    {"mlp.act", "torch.nn.modules.activation.GELU", "act"},
    {"lin2", kLinear, "lin2"},
    {"sam_model.neck", "torch.nn.modules.container.Sequential", "neck"},
    {"neck.0", kConv2d, "conv1"},
    {"neck.1", "deepencoder.LayerNorm2d", "norm1"},
    {"neck.2", kConv2d, "conv2"},
    {"neck.3", "deepencoder.LayerNorm2d", "norm2"},
    {"net_2", kConv2d, "net_2"},
    {"net_3", kConv2d, "net_3"},
    {"model.vision_model", "deepencoder.VitModel", "/vision/clip"},
    {"embeddings", "deepencoder.CLIPVisionEmbeddings", "embeddings"},
    {"patch_embedding", kConv2d, ""},
    {"position_embedding", kEmbedding, ""},
    {"pre_layrnorm", kLayerNorm, "pre_layrnorm"},
    {"transformer", "deepencoder.NoTPTransformer", ""},
    {"transformer.layers", kModuleList, ""},
    {"transformer.layers.N", "deepencoder.NoTPTransformerBlock", "/vision/clip/layer[N]"},
    {"layer_norm1", kLayerNorm, "layer_norm1"},
    {"layer_norm2", kLayerNorm, "layer_norm2"},
    {"transformer.layers.N.self_attn", "deepencoder.NoTPAttention", "self_attn"},
    {"qkv_proj", kLinear, "qkv_proj"},
    {"out_proj", kLinear, "out_proj"},
    {"transformer.layers.N.mlp", "deepencoder.NoTPFeedForward", "mlp"},
    {"fc1", kLinear, "fc1"},
    {"fc2", kLinear, "fc2"},
    {"model.projector", "deepencoder.MlpProjector", "/projector/linear"},
    {"projector.layers", kLinear, "matmul"},
    {"model.embed_tokens", kEmbedding, "/prefill/embed_tokens"},
    {"model.layers", kModuleList, ""},
    {"model.layers.N", "modeling_deepseekv2.DeepseekV2DecoderLayer", "/prefill/layer[N]"},
    {"input_layernorm", kRmsNorm, "input_layernorm"},
    {"post_attention_layernorm", kRmsNorm, "post_attention_layernorm"},
    {"layers.N.self_attn", "transformers.models.llama.modeling_llama.LlamaFlashAttention2", "self_attn"},
    {"q_proj", kLinear, "q_proj"},
    {"k_proj", kLinear, "k_proj"},
    {"v_proj", kLinear, "v_proj"},
    {"o_proj", kLinear, "o_proj"},
    {"rotary_emb", "transformers.models.llama.modeling_llama.LlamaRotaryEmbedding", "rope"},
    {"layers.N.mlp", kMlp, "mlp"},
    {"mlp.gate", "modeling_deepseekv2.MoEGate", "gate"},
    {"mlp.experts", kModuleList, "experts"},
    {"experts.N", kMlp, ""},
    {"shared_experts", kMlp, "shared_experts"},
    {"gate_proj", kLinear, "gate_proj"},
    {"up_proj", kLinear, "up_proj"},
    {"down_proj", kLinear, "down_proj"},
    {"act_fn", "torch.nn.modules.activation.SiLU", "act"},
    {"model.norm", kRmsNorm, "/prefill/norm"},
    {"lm_head", kLinear, "/prefill/lm_head"},
    {"model", "modeling_deepseekocr.DeepseekOCRModel", ""},
};

// Modules without weights, made with the last of their siblings.
struct Companion {
  std::string_view after;
  std::string_view name;
};
constexpr Companion kCompanions[] = {{"lin1", "act"}, {"down_proj", "act_fn"}, {"o_proj", "rotary_emb"}};

bool IsIndex(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "model.layers.7.mlp" -> "model.layers.N.mlp", but "neck.0" as it is.
std::string WithoutIndices(const std::string& path) {
  std::string result;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string_view name = std::string_view(path).substr(begin, end - begin);
    if (begin > 0) result += '.';
    result += IsIndex(name) && !result.ends_with("neck.") ? std::string_view("N") : name;
    begin = end + 1;
  }
  return result;
}

const Rule& RuleOf(const std::string& path) {
  const std::string pattern = WithoutIndices(path);
  for (const Rule& rule : kRules) {
    const size_t start = pattern.size() - std::min(pattern.size(), rule.path.size());
    if (pattern.ends_with(rule.path) && (start == 0 || pattern[start - 1] == '.')) return rule;
  }
  throw std::logic_error("module '" + path + "' has no class in the list");
}

std::string RangeOf(std::string_view rule, const std::string& parent, const std::string& name) {
  if (rule == "-") return parent;
  if (rule.empty() || (parent.empty() && rule[0] != '/')) return "";
  std::string range = rule[0] == '/' ? std::string(rule.substr(1)) : parent + "/" + std::string(rule);
  if (const size_t index = range.find("[N]"); index != std::string::npos) range.replace(index + 1, 1, name);
  return range;
}

class Lister {
 public:
  explicit Lister(const ModelConfig& config) : config_(config) {
    modules_.push_back({.path = "", .qualified_class = "modeling_deepseekocr.DeepseekOCRForCausalLM"});
  }

  void AddWeight(const WeightSpec& spec) {
    PublishedModule& module = modules_[static_cast<size_t>(Find(spec.name.substr(0, spec.name.rfind('.'))))];
    module.own_parameters += spec.numel();
    if (module.qualified_class == kConv2d && spec.shape.size() == 4) module.kernel = {spec.shape[2], spec.shape[3]};
  }

  // Depth first, with the sums.
  std::vector<PublishedModule> Take() {
    for (size_t i = modules_.size(); i-- > 0;) {
      modules_[i].parameters += modules_[i].own_parameters;
      if (modules_[i].parent >= 0)
        modules_[static_cast<size_t>(modules_[i].parent)].parameters += modules_[i].parameters;
    }
    std::vector<PublishedModule> ordered;
    Append(0, -1, ordered);
    return ordered;
  }

 private:
  int Find(const std::string& path) {
    if (path.empty()) return 0;
    if (const auto found = index_.find(path); found != index_.end()) return found->second;
    const size_t dot = path.rfind('.');
    const int parent = Find(dot == std::string::npos ? "" : path.substr(0, dot));
    const int index = Add(path, parent);
    const std::string name = modules_[static_cast<size_t>(index)].name();
    for (const Companion& companion : kCompanions) {
      if (name == companion.after) Find(path.substr(0, dot + 1) + std::string(companion.name));
    }
    return index;
  }

  int Add(const std::string& path, int parent) {
    const int index = static_cast<int>(modules_.size());
    const Rule& rule = RuleOf(path);
    PublishedModule module{.path = path, .qualified_class = rule.qualified_class, .parent = parent};
    module.depth = modules_[static_cast<size_t>(parent)].depth + 1;
    std::string_view range = rule.range;
    if (rule.path == "layers.N.mlp" && config_.decoder.is_moe(LayerOf(path))) {
      module.qualified_class = kMoe;
      range = "moe";
    }
    module.range = RangeOf(range, modules_[static_cast<size_t>(parent)].range, module.name());
    modules_.push_back(std::move(module));
    children_[parent].push_back(index);
    index_.emplace(path, index);
    return index;
  }

  // "model.layers.7.mlp" -> 7
  static int64_t LayerOf(const std::string& path) {
    return std::stoll(path.substr(std::string("model.layers.").size()));
  }

  void Append(int index, int parent, std::vector<PublishedModule>& ordered) {
    const int place = static_cast<int>(ordered.size());
    ordered.push_back(modules_[static_cast<size_t>(index)]);
    ordered.back().parent = parent;
    for (const int child : children_[index]) Append(child, place, ordered);
  }

  const ModelConfig& config_;
  std::vector<PublishedModule> modules_;
  std::map<std::string, int> index_;
  std::map<int, std::vector<int>> children_;
};

}  // namespace

std::vector<PublishedModule> ListModules(const ModelConfig& config) {
  Lister lister(config);
  for (const WeightSpec& spec : ListWeights(config)) lister.AddWeight(spec);
  return lister.Take();
}

std::string SourceFileOf(const std::string& qualified_class) {
  std::string path = qualified_class.substr(0, qualified_class.rfind('.'));
  std::replace(path.begin(), path.end(), '.', '/');
  return path + ".py";
}

}  // namespace dsocr::model
