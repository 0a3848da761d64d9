// Cost of scaled dot-product attention, softmax(Q K^T / sqrt(d) + bias) V, in one fused operator.
//
// FLOPs 4 b h q k d (two products over the full q x k square: no saving for a causal mask, as PyTorch's counter and an
// unfused kernel have it); vector FLOPs: scale, bias, mask, and 5 for each softmax element (max, subtract, exp, sum,
// divide). Bytes: Q, K, V, bias and mask read once, the output written once; the scores stay on chip (Dao et al.,
// "FlashAttention", 2022).
#ifndef DSOCR_ANALYTIC_OP_ATTENTION_H_
#define DSOCR_ANALYTIC_OP_ATTENTION_H_

#include <cstdint>

#include "analytic/op/cost.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

struct Attention {
  int64_t batch = 1;  // sequences
  int64_t heads = 1;
  int64_t kv_heads = 1;
  int64_t query_len = 0;
  int64_t kv_len = 0;
  int64_t head_dim = 0;
  bool kv_is_cached = false;  // keys and values stand in the KV cache, which is no activation
  bool has_bias = false;      // one value for each head and pair of positions, materialised
  bool has_mask = false;      // one value for each pair of positions, the same for all heads, materialised
};

Cost CostOf(const Attention& attention, Precision precision);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_OP_ATTENTION_H_
