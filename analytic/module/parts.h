// The models of the family and the parts that they share. A model is one file of composition: it opens the stages and
// adds parts (below) and layers (layers.h) in execution order.
#ifndef DSOCR_ANALYTIC_MODULE_PARTS_H_
#define DSOCR_ANALYTIC_MODULE_PARTS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "analytic/model_spec.h"
#include "analytic/module/builder.h"

namespace dsocr::analytic {

// deepseek_ocr.cc: SAM, CLIP over its features, both to the projector. Source of classes and structure: deepencoder.py,
// modeling_deepseekocr.py, modeling_deepseekv2.py of the published model.
ModuleTree Compose(const ModelSpec& model, const ClipSpec& clip);

// deepseek_ocr2.cc: SAM, a Qwen2 decoder over its features and learned queries, the queries to the projector. Source:
// deepencoderv2.py, modeling_deepseekocr2.py, modeling_deepseekv2.py of the published model.
ModuleTree Compose(const ModelSpec& model, const QueryEncoderSpec& encoder);

NodeSpec RootOf(const ModelSpec& model, std::string qualified_class_name);

// `sam`: SAM ViT encoder, neck and the two stride-2 convolutions; [B,3,H,H] -> [B,C,q,q]. `package`: the Python module
// of its classes.
void AddSam(TreeBuilder& builder, const SamSpec& sam, std::string_view package);

// `clip`: CLIP ViT over the SAM features; [B,C,q,q] -> [B,1+q^2,C].
void AddClip(TreeBuilder& builder, const ClipSpec& clip);

// `projector`: the linear over each view group, and the assembly of its rows for the prompt.
struct ProjectorPart {
  std::string model_class;
  std::string projector_class;
  NodeSpec gather;           // the leaf that lays out the linear's input, [.., in]; in is a constant
  int64_t learned_rows = 0;  // that the assembly adds: separator, newline
};
void AddProjector(TreeBuilder& builder, ProjectorPart part, const DecoderSpec& decoder);

// `prefill` and `decode`: the language model over the prompt, and once for each new token but the first.
void AddLanguageStages(TreeBuilder& builder, const DecoderSpec& decoder, const std::string& qualified_class_name);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_MODULE_PARTS_H_
