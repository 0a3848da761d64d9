// Where the tokens of one pass stand in the KV cache, and what of it they attend to.
//
// The host knows the place of most passes, and launches work cut to their length. A decode step that a CUDA graph is to
// replay must launch the same work wherever it stands: its position is a tensor that the kernels read, and it attends
// over a span of the cache, under a mask of what is not yet filled. That is all in which the two differ; the layers
// (decoder.h) are one.
#ifndef DSOCR_MODEL_PLACE_H_
#define DSOCR_MODEL_PLACE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "model/decoder_ops.h"

namespace dsocr::model {

class Place {
 public:
  // `tokens` positions from `start` on, each attending to what is before it and to itself. Several tokens need an empty
  // cache.
  static Place KnownToHost(const RopeTable& table, int64_t start, int64_t tokens);

  // One token at `position`, int64 [1] on the device and below `span`: the rows of the cache that attention reads, of
  // which those behind `position` count nothing but must be finite.
  static Place OnDevice(const RopeTable& table, const at::Tensor& position, int64_t span);

  bool is_known_to_host() const { return !position_.defined(); }
  const RopeTable& rope() const { return rope_; }

  // rows [1, heads, T, head size] into cache [1, heads, capacity, head size].
  void Write(const at::Tensor& rows, const at::Tensor& cache) const;
  // The part of the cache that attention reads.
  at::Tensor Read(const at::Tensor& cache) const { return cache.narrow(2, 0, span_); }
  // Added to the scores, [1, 1, 1, span] in the model's dtype; nothing where is_causal says it all.
  const std::optional<at::Tensor>& bias() const { return bias_; }
  bool is_causal() const { return tokens_ > 1; }

 private:
  RopeTable rope_;
  int64_t tokens_ = 1;
  int64_t span_ = 0;
  at::Tensor position_;
  std::optional<at::Tensor> bias_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_PLACE_H_
