#include "analytic/operator_time.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace dsocr::analytic {
namespace {

constexpr double kNsPerS = 1e9;

// GPUs. Matrix products 0.7 and cold weights at 0.8 of the bandwidth: fits of measured H100, H200, A100 and L40S tables
// give 0.65 to 0.8 and 0.74 to 0.88. Fused attention and implicit-GEMM convolutions stay further below (softmax, layout
// changes). Strided copies and gathers reach about half the bandwidth.
Efficiency GpuEfficiency(CategoryId category) {
  switch (category) {
    case CategoryId::kAttention:
    case CategoryId::kConv:
      return {0.45, 0.5, 0.8};
    case CategoryId::kCopy:
    case CategoryId::kIndex:
    case CategoryId::kRope:
    case CategoryId::kRouting:
      return {0.7, 0.5, 0.5};
    default:
      return {0.7, 0.5, 0.8};
  }
}

// CPUs (torch 2.11, oneDNN, 2 threads). Matrix products: 198 and 434 GFLOP/s measured of 237 and 474. Attention: 1.34
// GFLOP in 7.8 ms in fp32 and 16.8 ms in bf16, which converts around each block. The memory peak is a measured one
// already. Transcendental functions and bf16 conversions leave about a quarter of the vector peak.
Efficiency CpuEfficiency(CategoryId category, Precision precision) {
  const bool is_fp32 = precision == Precision::kFp32 || precision == Precision::kTf32;
  switch (category) {
    case CategoryId::kAttention:
      return {is_fp32 ? 0.72 : 0.17, HUGE_VAL, 1};  // the softmax is inside the measured rate
    case CategoryId::kConv:
      return {0.6, 0.25, 1};
    default:
      return {is_fp32 ? 0.84 : 0.9, 0.25, 1};
  }
}

Bound BoundOf(const PieceWork& work, const TimeRates& rates) {
  const double matrix_ns = work.flops * rates.ns_per_flop;
  const double vector_ns = work.vector_flops * rates.ns_per_vector_flop;
  const double memory_ns = work.bytes * rates.ns_per_byte;
  const double compute_ns = rates.is_cpu ? matrix_ns + vector_ns : std::max(matrix_ns, vector_ns);
  const double work_ns = std::max(compute_ns, memory_ns);
  const double launch_ns = work.launches * rates.launch_ns;
  const double floor_ns = rates.is_cpu ? 0 : work.launches * rates.min_kernel_ns;
  if (launch_ns > std::max(work_ns, floor_ns)) {
    return Bound::kLaunch;
  }
  if (floor_ns > work_ns) {
    return Bound::kLatency;
  }
  return compute_ns > memory_ns ? Bound::kCompute : Bound::kMemory;
}

// Of a piece's time, what a GPU waits for the host. A CPU is its own host.
double IdleNs(const PieceWork& work, const TimeRates& rates) {
  TimeRates ahead = rates;
  ahead.launch_ns = 0;
  return rates.is_cpu ? 0 : PieceNs(work, rates) - PieceNs(work, ahead);
}

double Log2OfWork(double work) { return std::log2(work + 1); }

// Correction at one place from the nearest measured points, weighted by the inverse square of their distance in
// octaves. Outside the measured range the nearest correction holds: the roofline carries the trend.
double Log2Ratio(const std::vector<CurvePoint>& curve, double log2_flops, double log2_bytes) {
  constexpr size_t kNeighbours = 3;
  constexpr double kSameShape = 1e-4;  // squared octaves under which a point is this very operator
  double distances[kNeighbours] = {HUGE_VAL, HUGE_VAL, HUGE_VAL};
  double ratios[kNeighbours] = {0, 0, 0};
  for (const CurvePoint& point : curve) {
    const double df = point.log2_flops - log2_flops;
    const double db = point.log2_bytes - log2_bytes;
    double distance = df * df + db * db;
    double ratio = point.log2_ratio;
    for (size_t i = 0; i < kNeighbours; ++i) {
      if (distance < distances[i]) {
        std::swap(distance, distances[i]);
        std::swap(ratio, ratios[i]);
      }
    }
  }
  double weight_sum = 0;
  double sum = 0;
  for (size_t i = 0; i < std::min(kNeighbours, curve.size()); ++i) {
    const double weight = 1 / (distances[i] + kSameShape);
    weight_sum += weight;
    sum += weight * ratios[i];
  }
  return sum / weight_sum;
}

}  // namespace

Efficiency EfficiencyOf(CategoryId category, Precision precision, const Device& device) {
  return device.kind == DeviceKind::kCpu ? CpuEfficiency(category, precision) : GpuEfficiency(category);
}

PieceWork PieceOf(const Cost& cost) {
  return {static_cast<double>(cost.flops) / cost.pieces, static_cast<double>(cost.vector_flops) / cost.pieces,
          static_cast<double>(cost.bytes()) / cost.pieces, static_cast<double>(cost.launches) / cost.pieces};
}

PieceWork Over(const PieceWork& piece, const Efficiency& share) {
  return {piece.flops * (1 / share.matrix), piece.vector_flops * (1 / share.vector), piece.bytes * (1 / share.memory),
          piece.launches};
}

TimeRates RatesOf(Precision precision, const Device& device) {
  return {.is_cpu = device.kind == DeviceKind::kCpu,
          .ns_per_flop = kNsPerS / device.matrix_flops_per_s(precision),
          .ns_per_vector_flop = kNsPerS / device.vector_flops_per_s,
          .ns_per_byte = kNsPerS / device.memory_bytes_per_s,
          .launch_ns = device.launch_ns,
          .min_kernel_ns = device.min_kernel_ns};
}

OperatorTime DatasheetTime(const Cost& cost, CategoryId category, Precision precision, const Device& device) {
  if (cost.pieces <= 0) {
    return {};
  }
  const TimeRates rates = RatesOf(precision, device);
  const PieceWork work = Over(PieceOf(cost), EfficiencyOf(category, precision, device));
  return {PieceNs(work, rates) * cost.pieces, IdleNs(work, rates) * cost.pieces, BoundOf(work, rates)};
}

double CurveRatio(const PieceWork& piece, const std::vector<CurvePoint>& curve) {
  return std::exp2(Log2Ratio(curve, Log2OfWork(piece.flops + piece.vector_flops), Log2OfWork(piece.bytes)));
}

OperatorTime TimeOf(const Cost& cost, CategoryId category, Precision precision, const Device& device) {
  OperatorTime time = DatasheetTime(cost, category, precision, device);
  const std::vector<CurvePoint>& curve = device.curves[static_cast<size_t>(category)];
  if (!curve.empty() && cost.pieces > 0) {
    const double ratio = CurveRatio(PieceOf(cost), curve);
    time.ns =
        std::max(time.ns * ratio, static_cast<double>(cost.flops) * (kNsPerS / device.fastest_flops_per_s(precision)));
    time.idle_ns *= ratio;
  }
  return time;
}

}  // namespace dsocr::analytic
