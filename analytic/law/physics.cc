#include "analytic/law/physics.h"

#include <algorithm>
#include <cmath>

namespace dsocr::analytic {
namespace {

constexpr double kPerNs = 1e-9;
constexpr double kL2BytesPerClock = 64;  // that a multiprocessor can take
// Clock and smallest kernel of the device whose public tables the priors of tau were read from (H100 SXM).
constexpr double kReferenceClockHz = 1.98e9;
// A parameter that a family does not use, as its logarithm: a step that costs nothing.
constexpr double kNothing = -60;
constexpr double kNeverSplit = 60;

// e_c: no kernel of the public tables passes 0.89 of the dense peak. e_b: 0.74 to 0.91 for cold weights.
constexpr double kMostCompute = 0.95;
constexpr double kMostMemory = 1.05;  // part of the operands is warm
// The catalogue's CPU stands for many, and what fits into its caches does not come from memory.
constexpr double kMostOfACpu = 50;

double ClockShare(const Device& device) {
  return device.boost_clock_hz > 0 ? kReferenceClockHz / device.boost_clock_hz : 1;
}

// (x^p + y^p)^(1/p), without overflow.
double SoftMax(double x, double y, double p) {
  const double top = std::max(x, y);
  return top > 0 ? top * std::exp(std::log1p(std::exp(p * std::log(std::min(x, y) / top))) / p) : 0;
}

// The share of `bytes` that has left a cache of `size` before it is used again, `reuse` bytes later.
double ColdShare(double reuse, double size) {
  if (size <= 0) {
    return 1;
  }
  const double ratio = reuse / size;
  const double fourth = ratio * ratio * ratio * ratio;
  return fourth / (1 + fourth);
}

// Of operators that are known by their work, and of all on a CPU: wide, because a category is many kernels, and a
// catalogue CPU many machines.
LawPrior WorkPriorOf(const Device& device) {
  const bool is_cpu = device.kind == DeviceKind::kCpu;
  LawPrior prior;
  prior.mean = {std::log(std::max(is_cpu ? device.launch_ns : device.min_kernel_ns, 1.0)),
                std::log(0.7),
                std::log(0.8),
                std::log(3.0),
                0,
                kNothing,
                kNeverSplit,
                0};
  prior.sigma = is_cpu ? LawParameters{1, 1.5, 1, 0.5, 0, 0, 0, 0} : LawParameters{0.5, 0.5, 0.5, 0.5, 0, 0, 0, 0};
  return prior;
}

}  // namespace

LawClass FamilyOf(LawClass law_class) { return law_class == LawClass::kSkinnyGemm ? LawClass::kGemm : law_class; }

LawPrior PriorOf(LawClass family, const Device& device) {
  if (device.kind == DeviceKind::kCpu) {
    return WorkPriorOf(device);
  }
  const double floor = device.min_kernel_ns > 0 ? device.min_kernel_ns : 2500;
  const double clock = ClockShare(device);
  // Floors of whole operators in multiples of the smallest kernel: attention starts several, a mixture a dozen.
  const auto prior = [](double t0, double e_c, double e_b, double p, double tau) {
    return LawPrior{.mean = {std::log(t0), std::log(e_c), std::log(e_b), std::log(p), 0, std::log(tau), kNeverSplit, 0},
                    .sigma = {0.5, 0.35, 0.25, 0.5, 0, 1, 0, 0}};
  };
  const auto without_steps = [](LawPrior some) {
    some.mean[kLogTau] = kNothing;
    some.sigma[kLogTau] = 0;
    return some;
  };
  switch (family) {
    case LawClass::kGemm:
    case LawClass::kSkinnyGemm: {
      LawPrior gemm = prior(floor, 0.8, 0.85, 4, 2.5 * clock);
      gemm.mean[kLogE2] = std::log(0.25);
      gemm.mean[kLogS0] = std::log(2000);
      gemm.mean[kLogRho] = std::log(0.6);
      gemm.sigma = {0.3, 0.25, 0.15, 0.5, 0.5, 0.7, 0.7, 0.4};
      return gemm;
    }
    case LawClass::kEncoderAttention:
    case LawClass::kPrefillAttention:
      return prior(4 * floor, 0.55, 0.6, 2, 3 * clock);
    case LawClass::kDecodeAttention:
      return without_steps(prior(4 * floor, 0.3, 0.6, 2, 1));  // keys are split over the device
    case LawClass::kMoe:
      return without_steps(prior(10 * floor, 0.55, 0.75, 2, 1));
    default:
      return WorkPriorOf(device);
  }
}

bool IsOneGeneration(const Device& a, const Device& b) {
  return a.compute_capability > 0 && a.compute_capability == b.compute_capability;
}

LawParameters Transferred(LawClass family, const LawParameters& parameters, const Device& from, const Device& to) {
  constexpr double kCarriedAcross = 0.25;
  const double carried = IsOneGeneration(from, to) ? 1 : kCarriedAcross;
  const LawParameters before = PriorOf(family, from).mean;
  LawParameters after = PriorOf(family, to).mean;
  for (size_t i = 0; i < after.size(); ++i) {
    after[i] += carried * (parameters[i] - before[i]);
  }
  return after;
}

LawRates LawRatesOf(const Device& device, Precision precision) {
  // What vector arithmetic reaches of its peak over what matrix products reach of theirs (operator_time.cc).
  constexpr double kCpuVectorShare = 0.25 / 0.9, kGpuVectorShare = 0.5 / 0.7;
  const bool is_cpu = device.kind == DeviceKind::kCpu;
  const double boost = device.tensor_clock_hz > 0 ? std::max(device.boost_clock_hz / device.tensor_clock_hz, 1.0) : 1.0;
  return {.flops = device.matrix_flops_per_s(precision) * kPerNs,
          .vector_flops = device.vector_flops_per_s * (is_cpu ? kCpuVectorShare : kGpuVectorShare) * kPerNs,
          .fastest_flops = device.fastest_flops_per_s(precision) * boost * kPerNs,
          .bytes = device.memory_bytes_per_s * kPerNs,
          .l2_bandwidth = static_cast<double>(device.sm_count) * kL2BytesPerClock * device.boost_clock_hz * kPerNs,
          .l2_bytes = static_cast<double>(device.l2_bytes),
          .most_compute = is_cpu ? kMostOfACpu : kMostCompute,
          .most_memory = is_cpu ? kMostOfACpu : kMostMemory};
}

LawTerms TermsOf(const LawParameters& parameters, const LawWork& work, const LawRates& rates) {
  const double p = std::exp(std::clamp(parameters[kLogP], 0.0, std::log(8.0)));
  const double e_c = std::min(std::exp(parameters[kLogEc]), rates.most_compute);
  const double e_b = std::min(std::exp(parameters[kLogEb]), rates.most_memory);
  const double cache = std::exp(parameters[kLogRho]) * rates.l2_bytes;
  const double rows = work.bytes - work.weight_bytes;
  LawTerms terms;
  terms.latency = std::exp(parameters[kLogT0]) * work.launches +
                  std::exp(parameters[kLogTau]) * work.steps / (1 + work.steps * std::exp(-parameters[kLogS0]));
  terms.compute = work.flops / (e_c * rates.flops);
  if (work.vector_flops > 0) {
    terms.compute += work.vector_flops / (e_c * rates.vector_flops);
  }
  double cold = work.bytes;
  if (work.reuse_bytes > 0 && rates.l2_bandwidth > 0) {
    cold = work.weight_bytes * ColdShare(work.reuse_bytes, cache) + rows * ColdShare(rows, cache);
    terms.l2 = (work.bytes - cold) / (std::exp(parameters[kLogE2]) * rates.l2_bandwidth);
  }
  terms.memory = cold / (e_b * rates.bytes);
  terms.ns = terms.latency + SoftMax(terms.compute, terms.memory + terms.l2, p);
  return terms;
}

Bound BoundOfTerms(const LawTerms& terms) {
  const double most = std::max({terms.latency, terms.compute, terms.memory, terms.l2});
  return most == terms.compute   ? Bound::kCompute
         : most == terms.memory  ? Bound::kMemory
         : most == terms.latency ? Bound::kLatency
                                 : Bound::kL2;
}

}  // namespace dsocr::analytic
