// The parts of DeepSeek-OCR. Each adds its nodes below the builder's open module, in execution order.
// Source of classes and structure: deepencoder.py, modeling_deepseekocr.py, modeling_deepseekv2.py of the published
// model.
#ifndef DSOCR_ANALYTIC_MODULE_PARTS_H_
#define DSOCR_ANALYTIC_MODULE_PARTS_H_

#include "analytic/model_spec.h"
#include "analytic/module/builder.h"

namespace dsocr::analytic {

// `sam`: SAM ViT encoder, neck and the two stride-2 convolutions; [B,3,H,H] -> [B,C,q,q].
void AddSam(TreeBuilder& builder, const SamSpec& sam);

// `clip`: CLIP ViT over the SAM features; [B,C,q,q] -> [B,1+q^2,C].
void AddClip(TreeBuilder& builder, const ClipSpec& clip);

// The children of `projector`: the linear over [CLIP, SAM] features of each view group, and the assembly of rows.
void AddProjector(TreeBuilder& builder, const ModelSpec& model);

// The children of `prefill` (is_prefill) or `decode`: one forward pass of the language model and the choice of a token.
void AddDecoder(TreeBuilder& builder, const DecoderSpec& decoder, bool is_prefill);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_MODULE_PARTS_H_
