// SAM ViT-B as DeepSeek-OCR uses it: pixels -> a map of 1/64 of the side with 1024 channels.
//
// Twelve pre-norm blocks, windowed attention except in four, decomposed relative positions in all; then SAM's neck and
// two strided convolutions without activation. Differences to the original SAM are those of the published model: padded
// window positions take part in attention, position tables are resized with antialiasing, relative tables linearly.
#ifndef DSOCR_MODEL_SAM_H_
#define DSOCR_MODEL_SAM_H_

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

// Attention of one block over squares of n x n tokens: a window, or the whole grid.
class SamAttention {
 public:
  SamAttention(const std::string& range, const std::string& weight, int64_t heads, WeightMap& weights);

  // x [b, n, n, C], let go of as soon as it is read -> [b, n, n, C].
  at::Tensor Forward(at::Tensor x) const;

 private:
  // Queries, keys and values, each [b, heads, n*n, d].
  std::vector<at::Tensor> Project(at::Tensor x) const;
  // Additive bias [b, heads, n*n, n*n] from q [b, heads, n*n, d], unscaled.
  at::Tensor RelativePositionBias(const at::Tensor& q, int64_t n) const;

  int64_t heads_;
  Linear qkv_;
  Linear proj_;
  at::Tensor rel_pos_h_;  // [2 * native side - 1, d]
  at::Tensor rel_pos_w_;

  RangeName self_range_;
  RangeName qkv_range_;
  RangeName split_heads_range_;
  RangeName rel_pos_range_;
  RangeName resize_range_;
  RangeName gather_range_;
  RangeName scores_range_;
  RangeName bias_range_;
  RangeName core_range_;
  RangeName merge_heads_range_;
  RangeName proj_range_;
};

class SamBlock {
 public:
  SamBlock(const SamConfig& config, int64_t index, WeightMap& weights);

  // x [B, g, g, C], overwritten and returned.
  at::Tensor Forward(at::Tensor x, const Probe& probe) const;

 private:
  at::Tensor Attend(const at::Tensor& x, const Probe& probe) const;
  at::Tensor Mlp(const at::Tensor& x) const;

  int64_t window_;  // 0: attends over the whole grid
  LayerNorm norm1_;
  SamAttention attention_;
  LayerNorm norm2_;
  Linear lin1_;
  Linear lin2_;

  RangeName self_range_;
  RangeName norm1_range_;
  RangeName window_partition_range_;
  RangeName window_unpartition_range_;
  RangeName attn_residual_range_;
  RangeName norm2_range_;
  RangeName mlp_range_;
  RangeName lin1_range_;
  RangeName act_range_;
  RangeName lin2_range_;
  RangeName mlp_residual_range_;
};

class SamEncoder {
 public:
  SamEncoder(const SamConfig& config, WeightMap& weights);

  // pixels [B, 3, H, H], H a multiple of the patch side, normalised -> [B, out, q, q], q = ceil(g / 4), g = H / patch
  // side.
  at::Tensor Forward(const at::Tensor& pixels, const Probe& probe) const;

 private:
  at::Tensor AddPositions(const at::Tensor& x) const;
  at::Tensor Neck(const at::Tensor& x) const;

  int64_t patch_size_;
  at::Tensor pos_embed_;           // [1, native grid, native grid, C]
  at::Tensor patch_embed_weight_;  // [C, 3, patch, patch]
  at::Tensor patch_embed_bias_;
  std::deque<SamBlock> blocks_;
  at::Tensor neck_conv1_;
  LayerNorm neck_norm1_;
  at::Tensor neck_conv2_;
  LayerNorm neck_norm2_;
  at::Tensor net_2_;
  at::Tensor net_3_;

  RangeName self_range_;
  RangeName patch_embed_range_;
  RangeName pos_embed_range_;
  RangeName interpolate_range_;
  RangeName add_range_;
  RangeName neck_range_;
  RangeName conv1_range_;
  RangeName norm1_range_;
  RangeName conv2_range_;
  RangeName norm2_range_;
  RangeName net_2_range_;
  RangeName net_3_range_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_SAM_H_
