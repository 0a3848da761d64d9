#include "analytic/operator_time.h"

#include <algorithm>
#include <cmath>

#include "analytic/law/device_laws.h"

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
  const double launch_ns = rates.is_cpu ? work.launches * rates.launch_ns : 0;
  const double floor_ns = rates.is_cpu ? 0 : work.launches * rates.min_kernel_ns;
  if (launch_ns > work_ns) {
    return Bound::kLaunch;
  }
  if (floor_ns > work_ns) {
    return Bound::kLatency;
  }
  return compute_ns > memory_ns ? Bound::kCompute : Bound::kMemory;
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
  return {.ns = PieceNs(work, rates) * cost.pieces, .bound = BoundOf(work, rates)};
}

OperatorTime TimeOf(const Operator& op, const Cost& cost, CategoryId category, Precision precision,
                    const Device& device) {
  OperatorTime time = DatasheetTime(cost, category, precision, device);
  if (device.laws == nullptr || cost.pieces <= 0) {
    return time;
  }
  const LawAnswer answer = AskLaws(*device.laws, op, cost, category, precision);
  if (!answer.is_known) {
    return time;
  }
  const TimeRates rates = RatesOf(precision, device);
  const PieceWork piece = PieceOf(cost);
  const PieceWork over = Over(piece, EfficiencyOf(category, precision, device));
  const double least_ns_per_flop = kNsPerS / device.fastest_flops_per_s(precision);
  const double ns = MeasuredNs(piece, over, rates, answer.ratio, least_ns_per_flop);
  return {.ns = ns * cost.pieces,
          .bound = answer.bound,
          .error = answer.error,
          .provenance = answer.provenance,
          .nearest = answer.nearest,
          .distance = answer.distance};
}

}  // namespace dsocr::analytic
