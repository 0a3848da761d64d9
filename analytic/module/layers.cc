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

void AddBinary(TreeBuilder& builder, const std::string& name, std::string_view qualified_class_name,
               const Dims& shape) {
  builder.Leaf({.name = name,
                .qualified_class_name = qualified_class_name,
                .input = shape,
                .output = shape,
                .operators = {{CategoryId::kElementwise, [shape](const Frame& f) {
                                 const int64_t elements = Product(f, shape);
                                 return Elementwise{.read = 2 * elements, .written = elements};
                               }}}});
}

void AddPositions(TreeBuilder& builder, const PositionTable& table, const Dims& tokens) {
  const auto [native, grid, extra_rows, width] = table;
  builder.Leaf({.name = "interpolate",
                .qualified_class_name = class_name::kInterpolate,
                .constructor_params = {{"mode", std::string("bicubic")}, {"antialias", true}, {"align_corners", false}},
                .input = {1, native, native, width},
                .output = {1, grid, grid, width},
                .held = tokens,
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
