#include "analytic/census.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_map.h"

namespace dsocr::analytic {
namespace {

struct LeafOperators {
  std::string_view leaf;  // its id without indices; of prefill and decode without the stage
  std::string_view operators;
};

constexpr std::string_view kLayerNorm2d = "permute layer_norm permute";
constexpr std::string_view kSplitHeads = "view permute contiguous unbind";
constexpr std::string_view kMergeHeads = "transpose reshape";
constexpr std::string_view kRmsNorm = "to linalg_vector_norm addcmul rsqrt_ mul to mul_";

// Leaves whose operators are the same in every pass.
constexpr LeafOperators kLeaves[] = {
    // model/sam.cc. The patch embedding's result lies in memory as its next reader wants it: channels last.
    {"vision/sam/patch_embed", "contiguous conv2d permute"},
    {"vision/sam/pos_embed/interpolate", "permute to _upsample_bicubic2d_aa permute to"},
    {"vision/sam/pos_embed/add", "add"},
    {"vision/sam/block/norm1", "layer_norm"},
    {"vision/sam/block/attn/qkv", "linear"},
    {"vision/sam/block/attn/split_heads", kSplitHeads},
    {"vision/sam/block/attn/rel_pos/resize",  // of rows, then of columns
     "t unsqueeze to upsample_linear1d squeeze t to t unsqueeze to upsample_linear1d squeeze t to"},
    {"vision/sam/block/attn/rel_pos/gather", "arange unsqueeze sub add view index_select view index_select view"},
    {"vision/sam/block/attn/rel_pos/scores", "view permute reshape transpose bmm permute reshape transpose bmm"},
    {"vision/sam/block/attn/rel_pos/bias", "empty view permute view permute add view"},
    {"vision/sam/block/attn/core", "scaled_dot_product_attention"},
    {"vision/sam/block/attn/merge_heads", kMergeHeads},
    {"vision/sam/block/attn/proj", "linear"},
    {"vision/sam/block/window_unpartition", "view permute reshape narrow narrow"},
    {"vision/sam/block/attn_residual", "add_"},
    {"vision/sam/block/norm2", "layer_norm"},
    {"vision/sam/block/mlp/lin1", "linear"},
    {"vision/sam/block/mlp/act", "gelu_"},
    {"vision/sam/block/mlp/lin2", "linear"},
    {"vision/sam/block/mlp_residual", "add_"},
    {"vision/sam/neck/conv1", "permute conv2d"},
    {"vision/sam/neck/norm1", kLayerNorm2d},
    {"vision/sam/neck/conv2", "conv2d"},
    {"vision/sam/neck/norm2", kLayerNorm2d},
    {"vision/sam/net_2", "conv2d"},
    {"vision/sam/net_3", "conv2d"},

    // model/clip.cc
    {"vision/clip/embeddings/concat", "flatten transpose expand cat"},
    {"vision/clip/embeddings/interpolate",
     "narrow view permute to _upsample_bicubic2d_aa permute reshape to narrow cat"},
    {"vision/clip/embeddings/add", "add_"},
    {"vision/clip/pre_layrnorm", "layer_norm"},
    {"vision/clip/layer/layer_norm1", "layer_norm"},
    {"vision/clip/layer/self_attn/qkv_proj", "linear"},
    {"vision/clip/layer/self_attn/split_heads", kSplitHeads},
    {"vision/clip/layer/self_attn/core", "scaled_dot_product_attention"},
    {"vision/clip/layer/self_attn/merge_heads", kMergeHeads},
    {"vision/clip/layer/self_attn/out_proj", "linear"},
    {"vision/clip/layer/attn_residual", "add_"},
    {"vision/clip/layer/layer_norm2", "layer_norm"},
    {"vision/clip/layer/mlp/fc1", "linear"},
    {"vision/clip/layer/mlp/act", "mul sigmoid_ mul_"},
    {"vision/clip/layer/mlp/fc2", "linear"},
    {"vision/clip/layer/mlp_residual", "add_"},

    // model/projector.cc
    {"projector/linear/concat", "narrow flatten transpose cat"},
    {"projector/linear/matmul", "linear"},

    // model/decoder.cc, decoder_ops.cc, gated_mlp.cc. One row or many: mm and linear are one call.
    {"embed_tokens", "embedding"},
    {"merge_image_features", "index_copy_"},
    {"layer/input_layernorm", kRmsNorm},
    {"layer/self_attn/q_proj", "mm"},
    {"layer/self_attn/k_proj", "mm"},
    {"layer/self_attn/v_proj", "mm"},
    {"layer/self_attn/rope", "view view flip view mul addcmul_ view view flip view mul addcmul_"},  // of q, then of k
    {"layer/self_attn/kv_cache", "transpose narrow copy_ view transpose narrow copy_"},             // of k, then of v
    {"layer/self_attn/core", "narrow narrow transpose scaled_dot_product_attention"},
    {"layer/self_attn/merge_heads", kMergeHeads},
    {"layer/self_attn/o_proj", "mm"},
    {"layer/attn_residual", "add_"},
    {"layer/post_attention_layernorm", kRmsNorm},
    {"layer/mlp/gate_proj", "mm"},
    {"layer/mlp/up_proj", "mm"},
    {"layer/mlp/act", "silu_"},
    {"layer/mlp/mul", "mul_"},
    {"layer/mlp/down_proj", "mm"},
    {"layer/mlp_residual", "add_"},
    {"norm", kRmsNorm},
    {"lm_head", "narrow mm"},
    {"sample", "to argmax item"},  // model/generate.cc, where no n-gram is banned

    // model/moe.cc
    {"layer/moe/gate", "mm to"},
    {"layer/moe/softmax", "softmax"},
    {"layer/moe/shared_experts/gate_proj", "mm"},
    {"layer/moe/shared_experts/up_proj", "mm"},
    {"layer/moe/shared_experts/act", "silu_"},
    {"layer/moe/shared_experts/mul", "mul_"},
    {"layer/moe/shared_experts/down_proj", "mm"},
    {"layer/moe/add", "add_"},
};

absl::flat_hash_map<std::string_view, std::string_view> MakeTable() {
  absl::flat_hash_map<std::string_view, std::string_view> table;
  for (const LeafOperators& row : kLeaves) {
    table.emplace(row.leaf, row.operators);
  }
  return table;
}

// "prefill/layer[1-11]/moe/gate" -> "layer/moe/gate".
std::string KeyOf(std::string_view id) {
  for (const std::string_view stage : {"prefill/", "decode/"}) {
    if (id.substr(0, stage.size()) == stage) {
      id.remove_prefix(stage.size());
    }
  }
  std::string key;
  bool is_index = false;
  for (const char c : id) {
    is_index |= c == '[';
    if (!is_index) {
      key += c;
    }
    is_index &= c != ']';
  }
  return key;
}

using Census = std::vector<CensusEntry>;

CategoryId CategoryOf(const Node& leaf) { return leaf.spec.operators.front().category; }

// A pass of the decoder cuts its rows of the rotary table, of cosines and of sines, before the first layer.
Census OwnOf(std::string_view key) {
  return key == "prefill" || key == "decode" ? Census{{CategoryId::kCopy, "slice slice"}} : Census{};
}

// Zeros are added where the grid is not whole windows.
Census WindowPartition(const Node& leaf, const Frame& frame) {
  const bool pads = frame.padded_grid != frame.grid;
  return {{CategoryOf(leaf), pads ? "constant_pad_nd view permute reshape" : "view permute reshape"}};
}

// Each group of views becomes a raster with newlines; then the separator.
Census Assemble(const Node& leaf, size_t view_groups) {
  return {{CategoryOf(leaf), "view permute reshape expand cat view", static_cast<double>(view_groups)},
          {CategoryOf(leaf), "unsqueeze cat"}};
}

template <typename Value>
Value ParamOf(const Node& node, const std::string& name) {
  return std::get<Value>(node.spec.constructor_params.at(name));
}

Census TopKOf(const Node& leaf, const Node& moe) {
  std::string operators = "topk";
  if (ParamOf<bool>(moe, "norm_topk_prob") && ParamOf<int64_t>(moe, "num_experts_per_tok") > 1) {
    operators += " sum add_ div_";
  }
  if (ParamOf<double>(moe, "routed_scaling_factor") != 1) {
    operators += " mul_";
  }
  return {{CategoryOf(leaf), std::move(operators)}};
}

// The experts of a single token need no sorting.
bool Sorts(const Frame& frame) { return frame.batch * frame.tokens > 1; }

Census DispatchOf(const Node& leaf, const Frame& frame) {
  return {
      {CategoryOf(leaf), Sorts(frame) ? "view argsort floor_divide empty_like arange index_copy_ bincount to" : "to"}};
}

// Which experts a prompt hits is for the router to say; the count is the expected one (docs/cost-model.md).
Census Experts(const Node& leaf, const Frame& frame) {
  const bool is_one_row = std::any_of(leaf.spec.operators.begin(), leaf.spec.operators.end(),
                                      [](const LeafOperator& op) { return op.category == CategoryId::kGemv; });
  const CategoryId product = is_one_row ? CategoryId::kGemv : CategoryId::kGemm;
  const double hit = leaf.spec.experts_hit(frame);
  Census census;
  if (Sorts(frame)) {
    census = {{CategoryId::kIndex, "index_select index_select"}, {CategoryId::kCopy, "narrow", hit}};
  }
  census.insert(census.end(), {{product, "mm mm mm", hit},
                               {CategoryId::kActivation, "silu_", hit},
                               {CategoryId::kElementwise, "mul_", hit},
                               {CategoryId::kCopy, "cat view to unsqueeze"},
                               {product, "bmm"},
                               {CategoryId::kCopy, "squeeze to"}});
  return census;
}

}  // namespace

double CensusEntry::count() const {
  return times * static_cast<double>(std::count(operators.begin(), operators.end(), ' ') + 1);
}

bool HasCensus(const ModuleTree& tree) { return tree.node_of_range.contains("vision/clip"); }

std::vector<CensusEntry> CensusOf(const ModuleTree& tree, const Node& node, const Frame& pass, size_t view_groups) {
  static const auto& table = *new absl::flat_hash_map<std::string_view, std::string_view>(MakeTable());
  const std::string key = KeyOf(node.id);
  if (!node.is_leaf()) {
    return OwnOf(key);
  }
  if (const auto found = table.find(key); found != table.end()) {
    return {{CategoryOf(node), std::string(found->second)}};
  }
  if (key == "vision/sam/block/window_partition") {
    return WindowPartition(node, pass);
  }
  if (key == "projector/assemble") {
    return Assemble(node, view_groups);
  }
  const Node& parent = tree.nodes[static_cast<size_t>(node.parent)];
  if (key == "layer/moe/topk") {
    return TopKOf(node, parent);
  }
  if (key == "layer/moe/dispatch") {
    return DispatchOf(node, pass);
  }
  if (key == "layer/moe/experts") {
    return Experts(node, pass);
  }
  return {};
}

}  // namespace dsocr::analytic
