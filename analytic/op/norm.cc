#include "analytic/op/norm.h"

namespace dsocr::analytic {
namespace {

constexpr int64_t kLayerNormFlops = 8;
constexpr int64_t kRmsNormFlops = 4;
// RMSNorm as the reference writes it: cast, square, mean, add eps, rsqrt, multiply, cast, scale.
constexpr int64_t kRmsNormLaunches = 8;
// LayerNorm2d: mean, subtract, square, mean, add eps, sqrt, divide, scale, shift.
constexpr int64_t kLayerNorm2dLaunches = 9;

}  // namespace

Cost CostOf(const Norm& norm, Precision precision) {
  const int64_t element = ElementBytes(precision);
  const int64_t elements = norm.rows * norm.width;
  const bool is_rms = norm.kind == NormKind::kRms;
  Cost cost;
  cost.vector_flops = elements * (is_rms ? kRmsNormFlops : kLayerNormFlops);
  cost.read_bytes = (elements + norm.width * (is_rms ? 1 : 2)) * element;
  cost.write_bytes = elements * element;
  cost.live_bytes = 2 * elements * element;
  if (is_rms && element < kFp32Bytes) {
    cost.live_bytes += 2 * elements * kFp32Bytes;  // the input and the quotient in fp32
  }
  cost.launches = is_rms ? kRmsNormLaunches : norm.kind == NormKind::kLayer2d ? kLayerNorm2dLaunches : 1;
  return cost;
}

}  // namespace dsocr::analytic
