#include <cstdint>

#include "analytic/module/layers.h"
#include "analytic/module/parts.h"

namespace dsocr::analytic {
namespace {

using F = Frame;
constexpr char kModelClass[] = "modeling_deepseekocr.DeepseekOCRModel";
constexpr char kTopClass[] = "modeling_deepseekocr.DeepseekOCRForCausalLM";
constexpr int64_t kLearnedRows = 2;  // newline, separator

// CLIP's features without the class token, and SAM's, side by side on the channels.
NodeSpec Concat(const ClipSpec& clip) {
  const Dims joined = {&F::batch, &F::features, 2 * clip.width};
  return {.name = "concat",
          .qualified_class_name = class_name::kCat,
          .input = {&F::batch, &F::encoder_tokens, clip.width},
          .output = joined,
          .operators = {{CategoryId::kCopy, [joined](const Frame& f) {
                           return Copy{.read = Product(f, joined), .written = Product(f, joined)};
                         }}}};
}

}  // namespace

ModuleTree Compose(const ModelSpec& model, const ClipSpec& clip) {
  ModuleTree tree;
  TreeBuilder builder(&tree, RootOf(model, kTopClass));
  {
    const auto vision = builder.OpenStage({.name = "vision",
                                           .qualified_class_name = kModelClass,
                                           .input = {&F::batch, 3, &F::side, &F::side},
                                           .output = {&F::batch, &F::encoder_tokens, clip.width}},
                                          Stage::kVision, FrameSet::kViews);
    AddSam(builder, model.sam, "deepencoder");
    AddClip(builder, clip);
  }
  AddProjector(builder,
               {.model_class = kModelClass,
                .projector_class = "deepencoder.MlpProjector",
                .gather = Concat(clip),
                .learned_rows = kLearnedRows},
               model.decoder);
  AddLanguageStages(builder, model.decoder, kTopClass);
  return tree;
}

}  // namespace dsocr::analytic
