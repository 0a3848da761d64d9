// The decoder's pointwise operators that ATen has no fused form of, each in as few dispatched calls as it takes: a
// decode step makes about two thousand, and each costs the host, a profiler's callback included. The micro-suite of
// `calibrate` times these same functions.
#ifndef DSOCR_MODEL_DECODER_OPS_H_
#define DSOCR_MODEL_DECODER_OPS_H_

#include <ATen/core/Tensor.h>

namespace dsocr::model {

// Rotary angles by position, in the model's dtype. A head's two halves are rotated against each other, so both tables
// span a whole head: cos twice, sin negated and as it is.
struct RopeTable {
  at::Tensor cos;  // [positions, 1, head size]
  at::Tensor sin;

  // Rows first .. first + count.
  RopeTable Rows(int64_t first, int64_t count) const;
  // The row of `position`, int64 [1], copied: the host need not know which it is.
  RopeTable RowAt(const at::Tensor& position) const;
};

// x * gain / rms(x), the quotient in fp32 and rounded before the gain.
struct RmsNorm {
  at::Tensor weight;  // [width]
  at::Tensor eps;     // fp32 [1]

  RmsNorm(const at::Tensor& weight, double eps);

  // [..., width] -> the same.
  at::Tensor operator()(const at::Tensor& x) const;
};

// x [1, T, heads, head size], rows of the table [T, 1, head size]: (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin).
at::Tensor Rotate(const at::Tensor& x, const RopeTable& rows);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_DECODER_OPS_H_
