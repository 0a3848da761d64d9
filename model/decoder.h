// The language model: pre-norm layers of rotary attention with a KV cache and a dense or mixture-of-experts MLP.
#ifndef DSOCR_MODEL_DECODER_H_
#define DSOCR_MODEL_DECODER_H_

#include <ATen/core/Tensor.h>

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/decoder_ops.h"
#include "model/gated_mlp.h"
#include "model/layers.h"
#include "model/moe.h"
#include "model/phase.h"
#include "model/place.h"
#include "model/probe.h"
#include "model/weights/weight_map.h"

namespace dsocr::model {

// Keys (after rope) and values of all layers, allocated once for a whole request. Reused by setting length to 0.
struct KvCache {
  std::vector<at::Tensor> key;  // a layer: [1, heads, capacity, head size]
  std::vector<at::Tensor> value;
  int64_t capacity = 0;
  int64_t length = 0;  // positions filled

  int64_t size_bytes() const;
};

class SelfAttention {
 public:
  SelfAttention(const DecoderConfig& config, const std::string& range, const std::string& weight, WeightMap& weights);

  // x [T, hidden] at `place`; writes layer `layer` of the cache.
  at::Tensor Forward(const at::Tensor& x, int64_t layer, Phase phase, const Place& place, KvCache& cache) const;

 private:
  int64_t heads_;
  Linear q_proj_;
  Linear k_proj_;
  Linear v_proj_;
  Linear o_proj_;

  PhaseNames self_range_;
  PhaseNames q_proj_range_;
  PhaseNames k_proj_range_;
  PhaseNames v_proj_range_;
  PhaseNames rope_range_;
  PhaseNames kv_cache_range_;
  PhaseNames core_range_;
  PhaseNames merge_heads_range_;
  PhaseNames o_proj_range_;
};

class DecoderLayer {
 public:
  DecoderLayer(const DecoderConfig& config, int64_t index, WeightMap& weights);

  // x [T, hidden], overwritten and returned.
  at::Tensor Forward(at::Tensor x, Phase phase, const Place& place, KvCache& cache, const Probe& probe) const;

  void StackExperts();

 private:
  int64_t index_;
  RmsNorm input_layernorm_;
  SelfAttention self_attn_;
  RmsNorm post_attention_layernorm_;
  std::optional<GatedMlp> mlp_;  // exactly one of the two
  std::optional<Moe> moe_;

  PhaseNames self_range_;
  PhaseNames input_layernorm_range_;
  PhaseNames attn_residual_range_;
  PhaseNames post_attention_layernorm_range_;
  PhaseNames mlp_residual_range_;
};

class Decoder {
 public:
  Decoder(const DecoderConfig& config, WeightMap& weights);

  // An empty cache for `capacity` positions. Not thread-safe: past max_position_embeddings it also lengthens the rope
  // table.
  KvCache MakeCache(int64_t capacity);

  // Rows of the embedding: ids int64 [T] on the model's device -> [T, hidden].
  at::Tensor Embed(const at::Tensor& ids, Phase phase) const;

  // All layers and the final norm: x [T, hidden] -> [T, hidden]; the cache grows by T. T > 1 only with an empty cache.
  at::Tensor Forward(at::Tensor x, Phase phase, KvCache& cache, const Probe& probe) const;

  // The same for x [1, hidden] of a decode step, launching the same work at every `position` (place.h) and experts: the
  // host reads nothing. The caller counts cache.length up. REQUIRES: StackExperts.
  at::Tensor ForwardStatic(at::Tensor x, const at::Tensor& position, int64_t span, KvCache& cache,
                           const Probe& probe) const;

  // Moe::StackExperts of every layer.
  void StackExperts();

  // Logits of the last row: hidden [T, hidden] -> [1, vocab].
  at::Tensor LastLogits(const at::Tensor& hidden, Phase phase) const;

  // Logits of all rows, under no range: what `verify` compares, and nobody else needs.
  at::Tensor AllLogits(const at::Tensor& hidden) const { return lm_head_(hidden); }

 private:
  RopeTable MakeRope(int64_t positions) const;
  at::Tensor RunLayers(at::Tensor x, Phase phase, const Place& place, KvCache& cache, const Probe& probe) const;

  DecoderConfig config_;
  at::Tensor embed_tokens_;  // [vocab, hidden]
  std::deque<DecoderLayer> layers_;
  RmsNorm norm_;
  Linear lm_head_;
  RopeTable rope_;

  PhaseNames embed_tokens_range_;
  PhaseNames norm_range_;
  PhaseNames lm_head_range_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_DECODER_H_
