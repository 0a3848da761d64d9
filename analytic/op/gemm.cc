#include "analytic/op/gemm.h"

namespace dsocr::analytic {

Cost CostOf(const Gemm& gemm, Precision precision) {
  const int64_t element = ElementBytes(precision);
  const int64_t a = gemm.batch * gemm.m * gemm.k;
  const int64_t b = gemm.batch * gemm.k * gemm.n;
  const int64_t c = gemm.batch * gemm.m * gemm.n;
  Cost cost;
  cost.flops = 2 * c * gemm.k;
  cost.vector_flops = gemm.has_bias ? c : 0;
  const int64_t right = b + (gemm.has_bias ? gemm.n : 0);
  cost.read_bytes = a * element + (gemm.b_is_weight ? MatrixBytes(precision, right) : right * element);
  cost.write_bytes = c * element;
  cost.matmul_elements = c;
  cost.live_bytes = (a + c + (gemm.b_is_weight ? 0 : b)) * element;
  return cost;
}

}  // namespace dsocr::analytic
