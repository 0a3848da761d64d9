#include "analytic/op/conv2d.h"

namespace dsocr::analytic {

Cost CostOf(const Conv2d& conv, Precision precision) {
  const int64_t element = ElementBytes(precision);
  const int64_t out_side = OutSide(conv);
  const int64_t in = conv.batch * conv.in_channels * conv.in_side * conv.in_side;
  const int64_t out = conv.batch * conv.out_channels * out_side * out_side;
  const int64_t k = conv.in_channels * conv.kernel * conv.kernel;
  Cost cost;
  cost.flops = 2 * out * k;
  cost.vector_flops = conv.has_bias ? out : 0;
  cost.read_bytes = in * element + MatrixBytes(precision, conv.out_channels * (k + (conv.has_bias ? 1 : 0)));
  cost.write_bytes = out * element;
  cost.matmul_elements = out;
  cost.live_bytes = (in + out) * element;
  return cost;
}

}  // namespace dsocr::analytic
