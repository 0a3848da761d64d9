// CLIP-L over SAM's features: pixels are never looked at, SAM's map takes the place of the patch embedding.
#ifndef DSOCR_MODEL_CLIP_H_
#define DSOCR_MODEL_CLIP_H_

#include <ATen/core/Tensor.h>

#include <deque>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/layers.h"
#include "model/probe.h"
#include "model/ranges.h"
#include "model/weights/weight_map.h"

namespace dsocr::model {

class ClipLayer {
 public:
  ClipLayer(const ClipConfig& config, int64_t index, WeightMap& weights);

  // x [B, s, C], overwritten and returned.
  at::Tensor Forward(at::Tensor x) const;

 private:
  // Both let go of x as soon as it is read.
  at::Tensor Attention(at::Tensor x) const;
  at::Tensor Mlp(at::Tensor x) const;
  // Queries, keys and values, each [B, heads, s, d].
  std::vector<at::Tensor> Project(at::Tensor x) const;

  int64_t heads_;
  LayerNorm layer_norm1_;
  Linear qkv_proj_;
  Linear out_proj_;
  LayerNorm layer_norm2_;
  Linear fc1_;
  Linear fc2_;

  RangeName self_range_;
  RangeName layer_norm1_range_;
  RangeName self_attn_range_;
  RangeName qkv_proj_range_;
  RangeName split_heads_range_;
  RangeName core_range_;
  RangeName merge_heads_range_;
  RangeName out_proj_range_;
  RangeName attn_residual_range_;
  RangeName layer_norm2_range_;
  RangeName mlp_range_;
  RangeName fc1_range_;
  RangeName act_range_;
  RangeName fc2_range_;
  RangeName mlp_residual_range_;
};

class ClipEncoder {
 public:
  ClipEncoder(const ClipConfig& config, WeightMap& weights);

  // features [B, C, q, q] from SamEncoder -> [B, 1 + q*q, C], class token first; no final norm.
  at::Tensor Forward(const at::Tensor& features, const Probe& probe) const;

 private:
  at::Tensor Embed(const at::Tensor& features) const;

  int64_t native_grid_;
  at::Tensor class_embedding_;     // [C]
  at::Tensor patch_embedding_;     // [C, 3, p, p]: part of every checkpoint, never executed
  at::Tensor position_embedding_;  // [1 + native grid^2, C], class token first
  LayerNorm pre_layrnorm_;
  std::deque<ClipLayer> layers_;

  RangeName self_range_;
  RangeName embeddings_range_;
  RangeName concat_range_;
  RangeName interpolate_range_;
  RangeName add_range_;
  RangeName pre_layrnorm_range_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_CLIP_H_
