#include <cstdint>
#include <utility>

#include "analytic/module/layers.h"
#include "analytic/module/parts.h"

namespace dsocr::analytic {
namespace {

using F = Frame;

}  // namespace

void AddProjector(TreeBuilder& builder, ProjectorPart part, const DecoderSpec& decoder) {
  const int64_t out = decoder.hidden_size;
  const Dims joined = part.gather.output;
  const int64_t in = joined.back().In(Frame());
  const Dims rows(joined.begin(), joined.end() - 1);
  const auto stage = builder.OpenStage({.name = "projector",
                                        .qualified_class_name = std::move(part.model_class),
                                        .input = {&F::batch, &F::feature_rows, in},
                                        .output = {&F::batch, &F::image_tokens, out}},
                                       Stage::kProjector, FrameSet::kRequest);
  {
    const auto linear = builder.Open(
        {.name = "linear",
         .qualified_class_name = std::move(part.projector_class),
         .constructor_params = {{"input_dim", in}, {"n_embed", out}, {"projector_type", std::string("linear")}},
         .input = part.gather.input,
         .output = Append(rows, {out})},
        FrameSet::kViews);
    builder.Leaf(std::move(part.gather));
    AddLinear(builder, {.name = "matmul", .in = in, .out = out, .held = joined}, rows);
  }
  // Crops before the global view, and the model's own rows among them.
  builder.Leaf({.name = "assemble",
                .qualified_class_name = class_name::kCat,
                .input = {&F::batch, &F::feature_rows, out},
                .output = {&F::batch, &F::image_tokens, out},
                .held = {&F::batch, &F::feature_rows, in + out},  // features, and what became of each
                .operators = {{CategoryId::kCopy,
                               [out](const Frame& f) {
                                 const int64_t elements = f.batch * f.image_tokens * out;  // views, then all in one
                                 return Copy{.read = elements, .written = elements};
                               }}},
                .parameters = part.learned_rows * out,
                .is_outside_stages = true});
}

}  // namespace dsocr::analytic
