#include "analytic/module/tree.h"

#include <utility>

#include "analytic/module/builder.h"
#include "analytic/module/layers.h"
#include "analytic/module/parts.h"

namespace dsocr::analytic {
namespace {

using F = Frame;
constexpr std::string_view kModelClass = "modeling_deepseekocr.DeepseekOCRModel";
constexpr std::string_view kTopClass = "modeling_deepseekocr.DeepseekOCRForCausalLM";

}  // namespace

ModuleTree BuildTree(const ModelSpec& model) {
  const int64_t hidden = model.decoder.hidden_size;
  const Dims tokens = {&F::batch, &F::tokens};
  const Dims next_token = {&F::batch, 1};
  ModuleTree tree;
  TreeBuilder builder(&tree,
                      {.name = "deepseek_ocr",
                       .qualified_class_name = kTopClass,
                       .constructor_params = {{"vocab_size", model.decoder.vocab_size}, {"hidden_size", hidden}}});
  {
    const auto vision = builder.OpenStage({.name = "vision",
                                           .qualified_class_name = kModelClass,
                                           .input = {&F::batch, 3, &F::side, &F::side},
                                           .output = {&F::batch, &F::clip_tokens, model.clip.width}},
                                          Stage::kVision, FrameSet::kViews);
    AddSam(builder, model.sam);
    AddClip(builder, model.clip);
  }
  {
    const auto projector = builder.OpenStage({.name = "projector",
                                              .qualified_class_name = kModelClass,
                                              .input = {&F::batch, &F::feature_rows, 2 * model.clip.width},
                                              .output = {&F::batch, &F::image_tokens, hidden}},
                                             Stage::kProjector, FrameSet::kRequest);
    AddProjector(builder, model);
  }
  {
    const auto prefill =
        builder.OpenStage({.name = "prefill", .qualified_class_name = kTopClass, .input = tokens, .output = next_token},
                          Stage::kPrefill, FrameSet::kPrefill);
    AddDecoder(builder, model.decoder, /*is_prefill=*/true);
  }
  {
    const auto decode = builder.OpenStage({.name = "decode",
                                           .qualified_class_name = kTopClass,
                                           .input = tokens,
                                           .output = next_token,
                                           .repetition = Repetition::kFor,
                                           .repeats_with_passes = true},
                                          Stage::kDecode, FrameSet::kDecode);
    AddDecoder(builder, model.decoder, /*is_prefill=*/false);
  }
  return tree;
}

}  // namespace dsocr::analytic
