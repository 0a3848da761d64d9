#include "analytic/op/interpolate.h"

#include <algorithm>

namespace dsocr::analytic {
namespace {

// To channels-first, to fp32, resample, back to the storage type, back to channels-last.
constexpr int64_t kInterpolateLaunches = 5;

int64_t AxisFlops(const Interpolate& op, int64_t in, int64_t out, int64_t lines) {
  if (in == out) {
    return 0;
  }
  const int64_t taps = op.is_antialiased ? op.taps * std::max<int64_t>(1, (in + out - 1) / out) : op.taps;
  return 2 * taps * out * lines * op.channels;
}

}  // namespace

Cost CostOf(const Interpolate& op, Precision precision) {
  const int64_t in_bytes = op.in_height * op.in_width * op.channels * ElementBytes(precision);
  const int64_t out_bytes = op.out_height * op.out_width * op.channels * ElementBytes(precision);
  Cost cost;
  cost.vector_flops =
      AxisFlops(op, op.in_width, op.out_width, op.in_height) + AxisFlops(op, op.in_height, op.out_height, op.out_width);
  cost.read_bytes = in_bytes;
  cost.write_bytes = out_bytes;
  const int64_t wide_in = ElementBytes(precision) < kFp32Bytes ? op.in_height * op.in_width * op.channels : 0;
  cost.live_bytes = (wide_in + op.out_height * op.out_width * op.channels) * kFp32Bytes + out_bytes;
  cost.launches = kInterpolateLaunches;
  return cost;
}

}  // namespace dsocr::analytic
