// Time of one operator call on a device: the cost model proper. docs/cost-model.md has the formulas with their reasons.
#ifndef DSOCR_ANALYTIC_OPERATOR_TIME_H_
#define DSOCR_ANALYTIC_OPERATOR_TIME_H_

#include "analytic/category.h"
#include "analytic/device/device.h"
#include "analytic/op/cost.h"
#include "analytic/op/operator.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

// What limits an operator: arithmetic, memory traffic, the shortest possible kernel, the host that starts it, the
// host's own work, traffic of the shared cache.
enum class Bound { kCompute, kMemory, kLatency, kLaunch, kHost, kL2 };
inline constexpr int kBoundCount = 6;

// Where a predicted time comes from, the best first.
enum class Provenance { kExact, kInterpolated, kExtrapolated, kTransferred, kDatasheet };
inline constexpr int kProvenanceCount = 5;

// Half widths of the 50 % and the 90 % interval of a time, as logarithms: [ns / e^x, ns e^x].
struct PredictionError {
  double half_50 = 0;
  double half_90 = 0;
};
// Of a time that the datasheet alone predicts.
inline constexpr PredictionError kDatasheetError = {0.35 * 0.6745, 0.35 * 1.6449};

// Of a GPU what the device itself takes; what it waits for the host depends on the operators before (step.h).
struct OperatorTime {
  double ns = 0;
  Bound bound = Bound::kMemory;
  PredictionError error = kDatasheetError;
  Provenance provenance = Provenance::kDatasheet;
  int nearest = -1;     // of the laws' samples, the one closest in size; -1: none
  double distance = 0;  // to it, in octaves
};

// Shares of the device's peaks that well-shaped operators of a category reach.
struct Efficiency {
  double matrix = 1;
  double vector = 1;  // infinite where the matrix share has the vector work in it
  double memory = 1;
};
Efficiency EfficiencyOf(CategoryId category, Precision precision, const Device& device);

// Work of one of the equal pieces of a call.
struct PieceWork {
  double flops = 0;
  double vector_flops = 0;
  double bytes = 0;
  double launches = 1;
};
PieceWork PieceOf(const Cost& cost);  // REQUIRES: cost.pieces > 0
// What the device's peaks take as long for as the device takes for the piece.
PieceWork Over(const PieceWork& piece, const Efficiency& share);

// The reciprocals of a device's peaks in one precision, and what it costs to start an operator.
struct TimeRates {
  bool is_cpu = false;
  double ns_per_flop = 0;
  double ns_per_vector_flop = 0;
  double ns_per_byte = 0;
  double launch_ns = 0;  // of a CPU: a GPU's host starts operators meanwhile
  double min_kernel_ns = 0;
};
TimeRates RatesOf(Precision precision, const Device& device);

// The roofline itself, of a piece over its shares, once the device has been told what to do: the one formula behind
// every predicted time. A CPU tells itself.
inline double PieceNs(const PieceWork& work, const TimeRates& rates) {
  const auto max = [](double a, double b) { return a > b ? a : b; };
  const double matrix_ns = work.flops * rates.ns_per_flop;
  const double vector_ns = work.vector_flops * rates.ns_per_vector_flop;
  const double memory_ns = work.bytes * rates.ns_per_byte;
  if (rates.is_cpu) {
    // Both kinds of arithmetic share the units; one thread starts an operator and takes part in it.
    return work.launches * rates.launch_ns + max(max(matrix_ns + vector_ns, memory_ns), rates.min_kernel_ns);
  }
  // Tensor cores and CUDA cores work side by side: the slowest of all sets the pace.
  return max(max(max(matrix_ns, vector_ns), memory_ns), work.launches * rates.min_kernel_ns);
}

// A piece on a device that was measured to take `ratio` times its PieceNs. `piece`: its work, and `over` that over the
// shares of the peaks; never faster than `least_ns_per_flop`.
inline double MeasuredNs(const PieceWork& piece, const PieceWork& over, const TimeRates& rates, double ratio,
                         double least_ns_per_flop) {
  const double ns = PieceNs(over, rates) * ratio;
  const double least_ns = piece.flops * least_ns_per_flop;
  return ns > least_ns ? ns : least_ns;
}

// Roofline with minimum kernel time, and of a CPU launch cost, from the datasheet and flat efficiencies.
OperatorTime DatasheetTime(const Cost& cost, CategoryId category, Precision precision, const Device& device);

// DatasheetTime, corrected by the device's laws where it has one for the operator. Deterministic; never faster than the
// device's peak. `cost`: CostOf(op, precision).
OperatorTime TimeOf(const Operator& op, const Cost& cost, CategoryId category, Precision precision,
                    const Device& device);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_OPERATOR_TIME_H_
