#include <cstdint>

#include "analytic/module/layers.h"
#include "analytic/module/parts.h"

namespace dsocr::analytic {
namespace {

using F = Frame;

}  // namespace

void AddProjector(TreeBuilder& builder, const ModelSpec& model) {
  const int64_t in = 2 * model.clip.width;
  const int64_t out = model.decoder.hidden_size;
  const Dims rows = {&F::batch, &F::query_tokens};
  {
    const auto linear = builder.Open(
        {.name = "linear",
         .qualified_class_name = "deepencoder.MlpProjector",
         .constructor_params = {{"input_dim", in}, {"n_embed", out}, {"projector_type", std::string("linear")}},
         .input = {&F::batch, &F::clip_tokens, model.clip.width},
         .output = Append(rows, {out})},
        FrameSet::kViews);
    builder.Leaf({.name = "concat",
                  .qualified_class_name = class_name::kCat,
                  .input = {&F::batch, &F::clip_tokens, model.clip.width},
                  .output = Append(rows, {in}),
                  .operators = {{CategoryId::kCopy, [rows, in](const Frame& f) {
                                   const int64_t elements = Product(f, rows) * in;
                                   return Copy{.read = elements, .written = elements};
                                 }}}});
    AddLinear(builder, {.name = "matmul", .in = in, .out = out}, rows);
  }
  // Rows of the raster with a newline after each, crops before the global view, a separator at the end.
  builder.Leaf({.name = "assemble",
                .qualified_class_name = class_name::kCat,
                .input = {&F::batch, &F::feature_rows, out},
                .output = {&F::batch, &F::image_tokens, out},
                .operators = {{CategoryId::kCopy,
                               [out](const Frame& f) {
                                 const int64_t elements = f.batch * f.image_tokens * out;
                                 return Copy{.read = elements, .written = elements};
                               }}},
                .parameters = 2 * out});
}

}  // namespace dsocr::analytic
