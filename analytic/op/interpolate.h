// Cost of resizing a table of `channels` values at each position, one axis after the other.
//
// An axis that shrinks or grows is resampled with `taps` inputs for each output: 2 taps FLOPs a value. With
// antialiasing the window widens by the reduction: taps * max(1, in / out). The result is computed in fp32 and cast
// back; bytes count the table as stored. Alive meanwhile: the result in fp32 and as stored, and, where that is not
// fp32, the table in fp32; the stored table is a weight.
#ifndef DSOCR_ANALYTIC_OP_INTERPOLATE_H_
#define DSOCR_ANALYTIC_OP_INTERPOLATE_H_

#include <cstdint>

#include "analytic/op/cost.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

struct Interpolate {
  int64_t channels = 0;
  int64_t in_height = 1;
  int64_t in_width = 0;
  int64_t out_height = 1;
  int64_t out_width = 0;
  int64_t taps = 4;  // bicubic 4, linear 2
  bool is_antialiased = false;
};
Cost CostOf(const Interpolate& op, Precision precision);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_OP_INTERPOLATE_H_
