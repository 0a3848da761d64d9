#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "analytic/module/layers.h"
#include "analytic/module/parts.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

constexpr double kEps = 1e-6;
constexpr int kWindowBlock = 0;
constexpr int kGlobalBlock = 1;

using F = Frame;

// The sizes, and the Python module that holds the classes.
struct SamPart : SamSpec {
  std::string package;

  std::string Class(std::string_view name) const { return fmt::format("{}.{}", package, name); }
};

// The attention of one block sees `sequences` squares of side x side tokens: windows, or whole views.
struct AttentionSquare {
  Dim sequences;
  Dim side;
  int64_t native_side = 0;  // the side that the relative position tables were made for
};

void AddPatchEmbed(TreeBuilder& builder, const SamPart& sam) {
  builder.Leaf({.name = "patch_embed",
                .qualified_class_name = sam.Class("PatchEmbed"),
                .constructor_params = {{"in_chans", int64_t{3}},
                                       {"embed_dim", sam.width},
                                       {"kernel_size", sam.patch_size},
                                       {"stride", sam.patch_size}},
                .input = {&F::batch, 3, &F::side, &F::side},
                .output = {&F::batch, &F::grid, &F::grid, sam.width},
                .operators = {{CategoryId::kConv,
                               [patch = sam.patch_size, width = sam.width](const Frame& f) {
                                 return Conv2d{.batch = f.batch,
                                               .in_channels = 3,
                                               .out_channels = width,
                                               .in_side = f.side,
                                               .kernel = patch,
                                               .stride = patch,
                                               .has_bias = true};
                               }}},
                .parameters = sam.width * (3 * sam.patch_size * sam.patch_size + 1)});
}

void AddPosEmbed(TreeBuilder& builder, const SamPart& sam) {
  const int64_t native = sam.image_size / sam.patch_size;
  const int64_t width = sam.width;
  const Dims tokens = {&F::batch, &F::grid, &F::grid, width};
  const auto scope = builder.Open({.name = "pos_embed",
                                   .qualified_class_name = sam.Class("get_abs_pos_sam"),
                                   .constructor_params = {{"native_grid", native}},
                                   .input = tokens,
                                   .output = tokens});
  AddPositions(builder, {.native_grid = native, .grid = &F::grid, .width = width, .held = tokens}, tokens);
}

// Bias from the distance of query and key, separately for rows and columns; materialised for the fused attention.
void AddRelPos(TreeBuilder& builder, const SamPart& sam, const AttentionSquare& square) {
  const int64_t heads = sam.heads;
  const int64_t head_dim = sam.width / heads;
  const int64_t table_rows = 2 * square.native_side - 1;
  const Dim sequences = square.sequences;
  const Dim side = square.side;
  const Dims queries = {sequences, heads, side, side, head_dim};
  const Dims bias = {sequences, heads, side, side, side, side};
  const auto scope = builder.Open({.name = "rel_pos",
                                   .qualified_class_name = sam.Class("add_decomposed_rel_pos"),
                                   .input = queries,
                                   .output = bias,
                                   .held = {2, sequences, heads, side, side, head_dim}});  // keys and values
  builder.Leaf({.name = "resize",
                .qualified_class_name = class_name::kInterpolate,
                .constructor_params = {{"mode", std::string("linear")}, {"align_corners", false}},
                .input = {2, table_rows, head_dim},
                .output = {2, side, head_dim},
                .operators = {{CategoryId::kInterpolate,
                               [table_rows, side, head_dim](const Frame& f) {
                                 return Interpolate{.channels = 2 * head_dim,
                                                    .in_width = table_rows,
                                                    .out_width = 2 * side.In(f) - 1,
                                                    .taps = 2};
                               }}},
                .runs = [side, native = square.native_side](const Frame& f) { return side.In(f) != native; }});
  builder.Leaf({.name = "gather",
                .qualified_class_name = sam.Class("get_rel_pos"),
                .constructor_params = {{"table_rows", table_rows}},
                .input = {2, table_rows, head_dim},
                .output = {2, side, side, head_dim},
                .operators = {{CategoryId::kIndex,
                               [side, head_dim](const Frame& f) {
                                 return Gather{
                                     .rows = 2 * side.In(f) * side.In(f), .width = head_dim, .from_weights = true};
                               }}},
                .parameters = 2 * table_rows * head_dim});
  builder.Leaf({.name = "scores",
                .qualified_class_name = class_name::kEinsum,
                .input = queries,
                .output = {2, sequences, heads, side, side, side},
                .operators = {{CategoryId::kGemm, [sequences, side, heads, head_dim](const Frame& f) {
                                 const int64_t n = side.In(f);
                                 return Gemm{.batch = 2 * n,
                                             .m = sequences.In(f) * heads * n,
                                             .n = n,
                                             .k = head_dim,
                                             .b_is_weight = false};
                               }}}});
  builder.Leaf({.name = "bias",
                .qualified_class_name = class_name::kAdd,
                .input = {sequences, heads, side, side, side, 1},
                .output = bias,
                .held = queries,
                .operators = {{CategoryId::kElementwise, [sequences, side, heads](const Frame& f) {
                                 const int64_t n = side.In(f);
                                 const int64_t queries = sequences.In(f) * heads * n * n;
                                 return Elementwise{
                                     .read = 2 * queries * n, .written = queries * n * n, .contiguous = n};
                               }}}});
}

void AddAttention(TreeBuilder& builder, const SamPart& sam, const AttentionSquare& square) {
  const int64_t width = sam.width;
  const int64_t heads = sam.heads;
  const int64_t head_dim = width / heads;
  const Dim sequences = square.sequences;
  const Dim side = square.side;
  const Dims rows = {sequences, side, side};
  const Dims tokens = Append(rows, {width});
  const Dims by_head = {sequences, heads, side, side, head_dim};
  const auto scope = builder.Open({.name = "attn",
                                   .qualified_class_name = sam.Class("Attention"),
                                   .constructor_params = {{"dim", width},
                                                          {"num_heads", heads},
                                                          {"qkv_bias", true},
                                                          {"use_rel_pos", true},
                                                          {"input_size", square.native_side}},
                                   .input = tokens,
                                   .output = tokens,
                                   .held = {&F::batch, &F::grid, &F::grid, width}});  // the residual stream
  AddLinear(builder, {.name = "qkv", .in = width, .out = 3 * width}, rows);
  AddLayoutCopy(builder, "split_heads", Append(rows, {3 * width}), {3, sequences, heads, side, side, head_dim});
  AddRelPos(builder, sam, square);
  builder.Leaf({.name = "core",
                .qualified_class_name = class_name::kAttentionCore,
                .constructor_params = {{"num_heads", heads}, {"head_dim", head_dim}, {"has_bias", true}},
                .input = by_head,
                .output = by_head,
                .operators = {{CategoryId::kAttention, [sequences, side, heads, head_dim](const Frame& f) {
                                 const int64_t n = side.In(f);
                                 return Attention{.batch = sequences.In(f),
                                                  .heads = heads,
                                                  .kv_heads = heads,
                                                  .query_len = n * n,
                                                  .kv_len = n * n,
                                                  .head_dim = head_dim,
                                                  .has_bias = true};
                               }}}});
  AddLayoutCopy(builder, "merge_heads", by_head, tokens);
  AddLinear(builder, {.name = "proj", .in = width, .out = width}, rows);
}

void AddBlocks(TreeBuilder& builder, const SamPart& sam, const LayerGroup& group) {
  const int64_t width = sam.width;
  const int64_t hidden = std::llround(static_cast<double>(width) * sam.mlp_ratio);
  const bool is_window = group.kind == kWindowBlock;
  const Dims rows = {&F::batch, &F::grid, &F::grid};
  const Dims tokens = Append(rows, {width});
  const Dims windows = {&F::window_batch, sam.window_size, sam.window_size, width};
  const auto scope =
      builder.OpenGroup({.name = "block",
                         .qualified_class_name = sam.Class("Block"),
                         .constructor_params = {{"dim", width},
                                                {"num_heads", sam.heads},
                                                {"mlp_ratio", sam.mlp_ratio},
                                                {"window_size", is_window ? sam.window_size : int64_t{0}},
                                                {"use_rel_pos", true}},
                         .input = tokens,
                         .output = tokens},
                        group.indices);
  AddNorm(builder, {.name = "norm1", .width = width, .eps = kEps}, rows, tokens);
  if (is_window) {
    builder.Leaf({.name = "window_partition",
                  .qualified_class_name = sam.Class("window_partition"),
                  .constructor_params = {{"window_size", sam.window_size}},
                  .input = tokens,
                  .output = windows,
                  .held = tokens,
                  .operators = {{CategoryId::kCopy, [tokens, windows](const Frame& f) {
                                   return Copy{.read = Product(f, tokens), .written = Product(f, windows)};
                                 }}}});
  }
  AddAttention(builder, sam,
               is_window ? AttentionSquare{&F::window_batch, sam.window_size, sam.window_size}
                         : AttentionSquare{&F::batch, &F::grid, sam.image_size / sam.patch_size});
  if (is_window) {
    builder.Leaf({.name = "window_unpartition",
                  .qualified_class_name = sam.Class("window_unpartition"),
                  .constructor_params = {{"window_size", sam.window_size}},
                  .input = windows,
                  .output = tokens,
                  .held = tokens,
                  .operators = {{CategoryId::kCopy, [tokens](const Frame& f) {
                                   return Copy{.read = Product(f, tokens), .written = Product(f, tokens)};
                                 }}}});
  }
  AddBinary(builder, "attn_residual", class_name::kAdd, tokens);
  AddNorm(builder, {.name = "norm2", .width = width, .eps = kEps}, rows, tokens);
  {
    const auto mlp = builder.Open({.name = "mlp",
                                   .qualified_class_name = sam.Class("MLPBlock"),
                                   .constructor_params = {{"embedding_dim", width}, {"mlp_dim", hidden}},
                                   .input = tokens,
                                   .output = tokens,
                                   .held = tokens});
    AddLinear(builder, {.name = "lin1", .in = width, .out = hidden}, rows);
    AddActivation(builder, {.kind = ActivationKind::kGelu, .qualified_class_name = class_name::kGelu},
                  Append(rows, {hidden}));
    AddLinear(builder, {.name = "lin2", .in = hidden, .out = width}, rows);
  }
  AddBinary(builder, "mlp_residual", class_name::kAdd, tokens);
}

struct ConvLayer {
  std::string name;
  int64_t in = 0;
  int64_t out = 0;
  int64_t kernel = 1;
  int64_t stride = 1;
  Dim in_side;
  Dim out_side;
};

void AddConv(TreeBuilder& builder, const ConvLayer& layer) {
  const int64_t padding = layer.kernel / 2;
  builder.Leaf({.name = layer.name,
                .qualified_class_name = class_name::kConv2d,
                .constructor_params = {{"in_channels", layer.in},
                                       {"out_channels", layer.out},
                                       {"kernel_size", layer.kernel},
                                       {"stride", layer.stride},
                                       {"padding", padding},
                                       {"bias", false}},
                .input = {&F::batch, layer.in, layer.in_side, layer.in_side},
                .output = {&F::batch, layer.out, layer.out_side, layer.out_side},
                .operators = {{CategoryId::kConv,
                               [layer, padding](const Frame& f) {
                                 return Conv2d{.batch = f.batch,
                                               .in_channels = layer.in,
                                               .out_channels = layer.out,
                                               .in_side = layer.in_side.In(f),
                                               .kernel = layer.kernel,
                                               .stride = layer.stride,
                                               .padding = padding};
                               }}},
                .parameters = layer.in * layer.out * layer.kernel * layer.kernel});
}

void AddNeck(TreeBuilder& builder, const SamPart& sam) {
  const int64_t channels = sam.neck_channels;
  const Dims rows = {&F::batch, &F::grid, &F::grid};
  const Dims image = {&F::batch, channels, &F::grid, &F::grid};
  const NormLayer norm = {
      .kind = NormKind::kLayer2d, .width = channels, .eps = kEps, .qualified_class_name = sam.Class("LayerNorm2d")};
  const auto scope = builder.Open({.name = "neck",
                                   .qualified_class_name = class_name::kSequential,
                                   .constructor_params = {{"in_channels", sam.width}, {"out_channels", channels}},
                                   .input = {&F::batch, sam.width, &F::grid, &F::grid},
                                   .output = image});
  AddConv(builder, {"conv1", sam.width, channels, 1, 1, &F::grid, &F::grid});
  NormLayer norm1 = norm;
  norm1.name = "norm1";
  AddNorm(builder, norm1, rows, image);
  AddConv(builder, {"conv2", channels, channels, 3, 1, &F::grid, &F::grid});
  NormLayer norm2 = norm;
  norm2.name = "norm2";
  AddNorm(builder, norm2, rows, image);
}

}  // namespace

void AddSam(TreeBuilder& builder, const SamSpec& spec, std::string_view package) {
  const SamPart sam{spec, std::string(package)};
  const int64_t mid_channels = sam.downsample_channels[0];
  const int64_t out_channels = sam.downsample_channels[1];
  const auto scope = builder.Open({.name = "sam",
                                   .qualified_class_name = sam.Class("ImageEncoderViT"),
                                   .constructor_params = {{"img_size", sam.image_size},
                                                          {"patch_size", sam.patch_size},
                                                          {"embed_dim", sam.width},
                                                          {"depth", sam.layers},
                                                          {"num_heads", sam.heads},
                                                          {"mlp_ratio", sam.mlp_ratio},
                                                          {"out_chans", sam.neck_channels},
                                                          {"window_size", sam.window_size}},
                                   .input = {&F::batch, 3, &F::side, &F::side},
                                   .output = {&F::batch, out_channels, &F::feature_grid, &F::feature_grid}});
  AddPatchEmbed(builder, sam);
  AddPosEmbed(builder, sam);
  std::vector<int> kinds;
  for (int64_t i = 0; i < sam.layers; ++i) {
    const bool is_global = std::find(sam.global_attention_layers.begin(), sam.global_attention_layers.end(), i) !=
                           sam.global_attention_layers.end();
    kinds.push_back(is_global ? kGlobalBlock : kWindowBlock);
  }
  for (const LayerGroup& group : GroupLayers(kinds)) {
    AddBlocks(builder, sam, group);
  }
  AddNeck(builder, sam);
  AddConv(builder, {"net_2", sam.neck_channels, mid_channels, 3, 2, &F::grid, &F::half_grid});
  AddConv(builder, {"net_3", mid_channels, out_channels, 3, 2, &F::half_grid, &F::feature_grid});
}

}  // namespace dsocr::analytic
