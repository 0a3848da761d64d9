// The layers that the parts of the model share, as leaves of the tree.
#ifndef DSOCR_ANALYTIC_MODULE_LAYERS_H_
#define DSOCR_ANALYTIC_MODULE_LAYERS_H_

#include <cstdint>
#include <string>

#include "analytic/module/builder.h"

namespace dsocr::analytic {

// Qualified names of the original model's classes and of the functions it calls.
namespace class_name {
inline constexpr char kLinear[] = "torch.nn.modules.linear.Linear";
inline constexpr char kConv2d[] = "torch.nn.modules.conv.Conv2d";
inline constexpr char kLayerNorm[] = "torch.nn.modules.normalization.LayerNorm";
inline constexpr char kGelu[] = "torch.nn.modules.activation.GELU";
inline constexpr char kSilu[] = "torch.nn.modules.activation.SiLU";
inline constexpr char kEmbedding[] = "torch.nn.modules.sparse.Embedding";
inline constexpr char kSequential[] = "torch.nn.modules.container.Sequential";
inline constexpr char kModuleList[] = "torch.nn.modules.container.ModuleList";
inline constexpr char kAttentionCore[] = "torch.nn.functional.scaled_dot_product_attention";
inline constexpr char kInterpolate[] = "torch.nn.functional.interpolate";
inline constexpr char kSoftmax[] = "torch.nn.functional.softmax";
inline constexpr char kAdd[] = "torch.add";
inline constexpr char kMul[] = "torch.mul";
inline constexpr char kCat[] = "torch.cat";
inline constexpr char kContiguous[] = "torch.Tensor.contiguous";
inline constexpr char kIndexSelect[] = "torch.Tensor.index_select";
inline constexpr char kMaskedScatter[] = "torch.Tensor.masked_scatter_";
inline constexpr char kEinsum[] = "torch.einsum";
inline constexpr char kTopK[] = "torch.topk";
inline constexpr char kArgsort[] = "torch.argsort";
}  // namespace class_name

struct LinearLayer {
  std::string name;
  int64_t in = 0;
  int64_t out = 0;
  bool has_bias = true;
  CategoryId category = CategoryId::kGemm;
  std::string qualified_class_name = class_name::kLinear;
  Dims held = {};
};

// `rows` are the leading dimensions of input and output.
void AddLinear(TreeBuilder& builder, const LinearLayer& layer, const Dims& rows);

struct NormLayer {
  std::string name;
  NormKind kind = NormKind::kLayer;
  int64_t width = 0;
  double eps = 1e-6;
  std::string qualified_class_name = class_name::kLayerNorm;
  Dims held = {};
};

// `shape` is that of input and output; `rows` how many vectors of `width` it holds.
void AddNorm(TreeBuilder& builder, const NormLayer& layer, const Dims& rows, const Dims& shape);

struct ActivationLayer {
  std::string name = "act";
  ActivationKind kind = ActivationKind::kGelu;
  std::string qualified_class_name = class_name::kGelu;
  Dims held = {};
};
void AddActivation(TreeBuilder& builder, const ActivationLayer& layer, const Dims& shape);

// Two operands of one shape into one result: "attn_residual", "mul".
void AddBinary(TreeBuilder& builder, const std::string& name, const std::string& qualified_class_name,
               const Dims& shape);

// A learned table of positions, one row for each place of a native_grid x native_grid image and `extra_rows` before
// them (a class token).
struct PositionTable {
  int64_t native_grid = 0;
  Dim grid = &Frame::grid;  // that of the pass: where it differs, the table is resized
  int64_t extra_rows = 0;
  int64_t width = 0;
  Dims held = {};  // while the table is resized
};
// Adds "interpolate", which runs where the grids differ, and "add". `tokens` is the shape of input and output.
void AddPositions(TreeBuilder& builder, const PositionTable& table, const Dims& tokens);

// Attention of the LLaMA family: separate projections, rotary embedding, query heads that share key and value heads.
// Rows of a pass: [batch, tokens, hidden].
struct RotaryAttention {
  std::string qualified_class_name;
  std::string rope_function;  // its qualified name
  int64_t hidden = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  double rope_theta = 0;
  bool has_qkv_bias = false;
  bool has_mask = false;   // a materialised one, [batch, 1, tokens, keys]
  bool has_cache = false;  // keys and values of earlier passes are kept
  CategoryId linear = CategoryId::kGemm;
  Dim tokens;
  Dim keys;

  int64_t head_dim() const { return hidden / heads; }
};
// Adds "self_attn".
void AddRotaryAttention(TreeBuilder& builder, const RotaryAttention& attention);

// down(silu(gate(x)) * up(x)), without biases.
struct SwiGlu {
  std::string name = "mlp";
  std::string qualified_class_name;
  int64_t hidden = 0;
  int64_t intermediate = 0;
  CategoryId linear = CategoryId::kGemm;
};
void AddSwiGlu(TreeBuilder& builder, const SwiGlu& mlp, const Dims& rows);

// A change of layout: as many elements out as in.
void AddLayoutCopy(TreeBuilder& builder, const std::string& name, const Dims& in, const Dims& out);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_MODULE_LAYERS_H_
