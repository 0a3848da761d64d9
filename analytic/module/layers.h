// The layers that the parts of the model share, as leaves of the tree.
#ifndef DSOCR_ANALYTIC_MODULE_LAYERS_H_
#define DSOCR_ANALYTIC_MODULE_LAYERS_H_

#include <cstdint>
#include <string>

#include "analytic/module/builder.h"

namespace dsocr::analytic {

// Qualified names of the original model's classes and of the functions it calls.
namespace class_name {
inline constexpr std::string_view kLinear = "torch.nn.modules.linear.Linear";
inline constexpr std::string_view kConv2d = "torch.nn.modules.conv.Conv2d";
inline constexpr std::string_view kLayerNorm = "torch.nn.modules.normalization.LayerNorm";
inline constexpr std::string_view kGelu = "torch.nn.modules.activation.GELU";
inline constexpr std::string_view kSilu = "torch.nn.modules.activation.SiLU";
inline constexpr std::string_view kEmbedding = "torch.nn.modules.sparse.Embedding";
inline constexpr std::string_view kSequential = "torch.nn.modules.container.Sequential";
inline constexpr std::string_view kModuleList = "torch.nn.modules.container.ModuleList";
inline constexpr std::string_view kAttentionCore = "torch.nn.functional.scaled_dot_product_attention";
inline constexpr std::string_view kInterpolate = "torch.nn.functional.interpolate";
inline constexpr std::string_view kSoftmax = "torch.nn.functional.softmax";
inline constexpr std::string_view kAdd = "torch.add";
inline constexpr std::string_view kMul = "torch.mul";
inline constexpr std::string_view kCat = "torch.cat";
inline constexpr std::string_view kContiguous = "torch.Tensor.contiguous";
inline constexpr std::string_view kIndexSelect = "torch.Tensor.index_select";
inline constexpr std::string_view kMaskedScatter = "torch.Tensor.masked_scatter_";
inline constexpr std::string_view kEinsum = "torch.einsum";
inline constexpr std::string_view kTopK = "torch.topk";
inline constexpr std::string_view kArgsort = "torch.argsort";
}  // namespace class_name

struct LinearLayer {
  std::string name;
  int64_t in = 0;
  int64_t out = 0;
  bool has_bias = true;
  CategoryId category = CategoryId::kGemm;
  std::string_view qualified_class_name = class_name::kLinear;
  Dims held = {};
};

// `rows` are the leading dimensions of input and output.
void AddLinear(TreeBuilder& builder, const LinearLayer& layer, const Dims& rows);

struct NormLayer {
  std::string name;
  NormKind kind = NormKind::kLayer;
  int64_t width = 0;
  double eps = 1e-6;
  std::string_view qualified_class_name = class_name::kLayerNorm;
  Dims held = {};
};

// `shape` is that of input and output; `rows` how many vectors of `width` it holds.
void AddNorm(TreeBuilder& builder, const NormLayer& layer, const Dims& rows, const Dims& shape);

struct ActivationLayer {
  std::string name = "act";
  ActivationKind kind = ActivationKind::kGelu;
  std::string_view qualified_class_name = class_name::kGelu;
  Dims held = {};
};
void AddActivation(TreeBuilder& builder, const ActivationLayer& layer, const Dims& shape);

// Two operands of one shape into one result: "attn_residual", "mul".
void AddBinary(TreeBuilder& builder, const std::string& name, std::string_view qualified_class_name, const Dims& shape);

// A learned table of positions, one row for each place of a native_grid x native_grid image and `extra_rows` before
// them (a class token).
struct PositionTable {
  int64_t native_grid = 0;
  Dim grid = &Frame::grid;  // that of the pass: where it differs, the table is resized
  int64_t extra_rows = 0;
  int64_t width = 0;
};
// Adds "interpolate", which runs where the grids differ, and "add". `tokens` is the shape of input and output.
void AddPositions(TreeBuilder& builder, const PositionTable& table, const Dims& tokens);

// A change of layout: as many elements out as in.
void AddLayoutCopy(TreeBuilder& builder, const std::string& name, const Dims& in, const Dims& out);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_MODULE_LAYERS_H_
