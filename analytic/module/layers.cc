#include "analytic/module/layers.h"

#include <string>
#include <utility>

namespace dsocr::analytic {

void AddLinear(TreeBuilder& builder, const LinearLayer& layer, const Dims& rows) {
  builder.Leaf(
      {.name = layer.name,
       .qualified_class_name = layer.qualified_class_name,
       .constructor_params = {{"in_features", layer.in}, {"out_features", layer.out}, {"bias", layer.has_bias}},
       .input = Append(rows, {layer.in}),
       .output = Append(rows, {layer.out}),
       .held = layer.held,
       .operators = {{layer.category,
                      [rows, in = layer.in, out = layer.out, has_bias = layer.has_bias](const Frame& f) {
                        return Gemm{.m = Product(f, rows), .n = out, .k = in, .has_bias = has_bias};
                      }}},
       .parameters = layer.in * layer.out + (layer.has_bias ? layer.out : 0)});
}

void AddNorm(TreeBuilder& builder, const NormLayer& layer, const Dims& rows, const Dims& shape) {
  Params params = {{"eps", layer.eps}};
  params.emplace(layer.kind == NormKind::kLayer     ? "normalized_shape"
                 : layer.kind == NormKind::kLayer2d ? "num_channels"
                                                    : "hidden_size",
                 layer.width);
  builder.Leaf({.name = layer.name,
                .qualified_class_name = layer.qualified_class_name,
                .constructor_params = std::move(params),
                .input = shape,
                .output = shape,
                .held = layer.held,
                .operators = {{CategoryId::kNorm,
                               [rows, kind = layer.kind, width = layer.width](const Frame& f) {
                                 return Norm{.kind = kind, .rows = Product(f, rows), .width = width};
                               }}},
                .parameters = layer.width * (layer.kind == NormKind::kRms ? 1 : 2)});
}

void AddActivation(TreeBuilder& builder, const ActivationLayer& layer, const Dims& shape) {
  builder.Leaf({.name = layer.name,
                .qualified_class_name = layer.qualified_class_name,
                .input = shape,
                .output = shape,
                .held = layer.held,
                .operators = {{CategoryId::kActivation, [shape, kind = layer.kind](const Frame& f) {
                                 return Activation{.kind = kind, .elements = Product(f, shape)};
                               }}}});
}

void AddBinary(TreeBuilder& builder, const std::string& name, const std::string& qualified_class_name,
               const Dims& shape) {
  builder.Leaf({.name = name,
                .qualified_class_name = qualified_class_name,
                .input = shape,
                .output = shape,
                .operators = {{CategoryId::kElementwise, [shape](const Frame& f) {
                                 const int64_t elements = Product(f, shape);
                                 return Elementwise{.read = 2 * elements, .written = elements, .is_in_place = true};
                               }}}});
}

void AddPositions(TreeBuilder& builder, const PositionTable& table, const Dims& tokens) {
  const auto [native, grid, extra_rows, width, held] = table;
  builder.Leaf({.name = "interpolate",
                .qualified_class_name = class_name::kInterpolate,
                .constructor_params = {{"mode", std::string("bicubic")}, {"antialias", true}, {"align_corners", false}},
                .input = {1, native, native, width},
                .output = {1, grid, grid, width},
                .held = held,
                .operators = {{CategoryId::kInterpolate,
                               [table](const Frame& f) {
                                 return Interpolate{.channels = table.width,
                                                    .in_height = table.native_grid,
                                                    .in_width = table.native_grid,
                                                    .out_height = table.grid.In(f),
                                                    .out_width = table.grid.In(f),
                                                    .is_antialiased = true};
                               }}},
                .runs = [table](const Frame& f) { return table.grid.In(f) != table.native_grid; }});
  builder.Leaf({.name = "add",
                .qualified_class_name = class_name::kAdd,
                .input = tokens,
                .output = tokens,
                .operators = {{CategoryId::kElementwise,
                               [table](const Frame& f) {
                                 const int64_t side = table.grid.In(f);
                                 const int64_t elements = (side * side + table.extra_rows) * table.width;
                                 return Elementwise{.read = (f.batch + 1) * elements, .written = f.batch * elements};
                               }}},
                .parameters = (native * native + extra_rows) * width});
}

void AddRotaryAttention(TreeBuilder& builder, const RotaryAttention& attention) {
  const int64_t hidden = attention.hidden;
  const int64_t heads = attention.heads;
  const int64_t kv_heads = attention.kv_heads;
  const int64_t head_dim = attention.head_dim();
  const int64_t kv_width = kv_heads * head_dim;
  const Dims rows = {&Frame::batch, attention.tokens};
  const Dims tokens = Append(rows, {hidden});
  const Dims queries = {&Frame::batch, heads, attention.tokens, head_dim};
  const auto scope = builder.Open({.name = "self_attn",
                                   .qualified_class_name = attention.qualified_class_name,
                                   .constructor_params = {{"hidden_size", hidden},
                                                          {"num_heads", heads},
                                                          {"num_key_value_heads", kv_heads},
                                                          {"head_dim", head_dim},
                                                          {"rope_theta", attention.rope_theta}},
                                   .input = tokens,
                                   .output = tokens,
                                   .held = tokens});
  const auto projection = [&](const char* name, int64_t out, bool has_bias, const Dims& held) {
    AddLinear(
        builder,
        {.name = name, .in = hidden, .out = out, .has_bias = has_bias, .category = attention.linear, .held = held},
        rows);
  };
  projection("q_proj", hidden, attention.has_qkv_bias, {});
  projection("k_proj", kv_width, attention.has_qkv_bias, Append(rows, {hidden}));
  projection("v_proj", kv_width, attention.has_qkv_bias, Append(rows, {hidden + kv_width}));
  builder.Leaf({.name = "rope",
                .qualified_class_name = attention.rope_function,
                .constructor_params = {{"dim", head_dim}, {"base", attention.rope_theta}},
                .input = queries,
                .output = queries,
                .held = Append(rows, {kv_width}),
                .operators = {{CategoryId::kRope, [attention](const Frame& f) {
                                 return Rope{.sequences = f.batch,
                                             .tokens = attention.tokens.In(f),
                                             .heads = attention.heads + attention.kv_heads,
                                             .head_dim = attention.head_dim()};
                               }}}});
  if (attention.has_cache) {
    builder.Leaf({.name = "kv_cache",
                  .qualified_class_name = "transformers.cache_utils.DynamicCache",
                  .input = {&Frame::batch, kv_heads, attention.tokens, head_dim},
                  .output = {&Frame::batch, kv_heads, attention.keys, head_dim},
                  .held = tokens,
                  .operators = {{CategoryId::kCopy,
                                 [rows, kv_width](const Frame& f) {
                                   const int64_t elements = 2 * Product(f, rows) * kv_width;
                                   return Copy{.read = elements, .written = elements};
                                 }}},
                  .kv_cache = Append(rows, {2 * kv_width})});
  }
  builder.Leaf({.name = "core",
                .qualified_class_name = class_name::kAttentionCore,
                .constructor_params = {{"num_heads", heads}, {"num_key_value_heads", kv_heads}, {"head_dim", head_dim}},
                .input = queries,
                .output = queries,
                .operators = {{CategoryId::kAttention, [attention](const Frame& f) {
                                 return Attention{.batch = f.batch,
                                                  .heads = attention.heads,
                                                  .kv_heads = attention.kv_heads,
                                                  .query_len = attention.tokens.In(f),
                                                  .kv_len = attention.keys.In(f),
                                                  .head_dim = attention.head_dim(),
                                                  .kv_is_cached = attention.has_cache,
                                                  .has_mask = attention.has_mask};
                               }}}});
  AddLayoutCopy(builder, "merge_heads", queries, tokens);
  projection("o_proj", hidden, /*has_bias=*/false, {});
}

void AddSwiGlu(TreeBuilder& builder, const SwiGlu& mlp, const Dims& rows) {
  const Dims tokens = Append(rows, {mlp.hidden});
  const Dims wide = Append(rows, {mlp.intermediate});
  const auto scope =
      builder.Open({.name = mlp.name,
                    .qualified_class_name = mlp.qualified_class_name,
                    .constructor_params = {{"hidden_size", mlp.hidden}, {"intermediate_size", mlp.intermediate}},
                    .input = tokens,
                    .output = tokens,
                    .held = tokens});
  LinearLayer linear = {
      .name = "gate_proj", .in = mlp.hidden, .out = mlp.intermediate, .has_bias = false, .category = mlp.linear};
  AddLinear(builder, linear, rows);
  linear.name = "up_proj";
  linear.held = wide;
  AddLinear(builder, linear, rows);
  AddActivation(builder, {.kind = ActivationKind::kSilu, .qualified_class_name = class_name::kSilu, .held = wide},
                wide);
  AddBinary(builder, "mul", class_name::kMul, wide);
  AddLinear(builder,
            {.name = "down_proj", .in = mlp.intermediate, .out = mlp.hidden, .has_bias = false, .category = mlp.linear},
            rows);
}

void AddLayoutCopy(TreeBuilder& builder, const std::string& name, const Dims& in, const Dims& out) {
  builder.Leaf({.name = name,
                .qualified_class_name = class_name::kContiguous,
                .input = in,
                .output = out,
                .operators = {{CategoryId::kCopy, [out](const Frame& f) {
                                 const int64_t elements = Product(f, out);
                                 return Copy{.read = elements, .written = elements};
                               }}}});
}

}  // namespace dsocr::analytic
