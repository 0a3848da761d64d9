#include "analytic/op/attention.h"

namespace dsocr::analytic {
Cost CostOf(const Attention& attention, Precision precision) {
  const int64_t element = ElementBytes(precision);
  const int64_t scores = attention.batch * attention.heads * attention.query_len * attention.kv_len;
  const int64_t q = attention.batch * attention.heads * attention.query_len * attention.head_dim;
  const int64_t kv = 2 * attention.batch * attention.kv_heads * attention.kv_len * attention.head_dim;
  const int64_t bias = attention.has_bias ? scores : 0;
  const int64_t mask = attention.has_mask ? attention.batch * attention.query_len * attention.kv_len : 0;
  Cost cost;
  cost.flops = 4 * scores * attention.head_dim;
  cost.vector_flops = (kSoftmaxFlops + 1) * scores + bias + (attention.has_mask ? scores : 0);
  cost.read_bytes = (q + kv + bias + mask) * element;
  cost.write_bytes = q * element;
  cost.matmul_elements = scores + q;
  cost.live_bytes = (2 * q + (attention.kv_is_cached ? 0 : kv) + bias + mask) * element;
  return cost;
}

}  // namespace dsocr::analytic
