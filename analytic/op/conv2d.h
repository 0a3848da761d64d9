// Cost of a 2-D convolution with square kernel, stride and padding, as an implicit matrix product with
// m = batch * out_height * out_width, n = out_channels, k = in_channels * kernel^2.
//
// FLOPs 2 m n k; bytes: input, weights and bias read once, output written once. Pure: safe from any thread.
#ifndef DSOCR_ANALYTIC_OP_CONV2D_H_
#define DSOCR_ANALYTIC_OP_CONV2D_H_

#include <cstdint>

#include "analytic/op/cost.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

struct Conv2d {
  int64_t batch = 1;
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t in_side = 0;  // square images
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t padding = 0;
  bool has_bias = false;
};

// REQUIRES: in_side + 2 padding >= kernel.
constexpr int64_t OutSide(const Conv2d& conv) {
  return (conv.in_side + 2 * conv.padding - conv.kernel) / conv.stride + 1;
}

// Example: 16x16 patches of a 1024 pixel image, 3 -> 768 channels: 4'831'838'208 FLOPs.
Cost CostOf(const Conv2d& conv, Precision precision);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_OP_CONV2D_H_
