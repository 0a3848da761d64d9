// The physics of a law: a floor and a soft roofline.
//
//   t = l t0 + tau * s / (1 + s / s0) + (C^p + (M + L)^p)^(1/p)
//   C = (flops / P + vector flops / V) / e_c,   M = bytes from memory / (e_b W),   L = bytes from the L2 / (e_2 W_2)
//
// l is how many operators the host starts, 1 but for operators that are known by their work alone. s is what a kernel
// has to do one step after another, whatever the width of the device: the k of a matrix product (s0: where libraries
// begin to split it), keys of attention. P, V and W are the device's peaks, W_2 is 64 bytes a clock and multiprocessor.
// docs/operator-laws.md says what each term buys.
#ifndef DSOCR_ANALYTIC_LAW_PHYSICS_H_
#define DSOCR_ANALYTIC_LAW_PHYSICS_H_

#include <array>
#include <string>

#include "analytic/law/law.h"
#include "analytic/law/work.h"

namespace dsocr::analytic {

// Laws are fitted by family: the two classes of matrix products share a fit, every other class has its own.
LawClass FamilyOf(LawClass law_class);

// Natural logarithms. t0 and tau are in ns, s0 in steps, the rest are shares and numbers. rho is the share of the L2 in
// which data survives until its next use.
enum LawParameter { kLogT0, kLogEc, kLogEb, kLogP, kLogE2, kLogTau, kLogS0, kLogRho };
inline constexpr int kLawParameters = 8;
using LawParameters = std::array<double, kLawParameters>;

// What a fit starts from and is drawn to where rows are few: mean and standard deviation; 0: not fitted.
struct LawPrior {
  LawParameters mean;
  LawParameters sigma;
};
LawPrior PriorOf(LawClass family, const Device& device);

bool IsOneGeneration(const Device& a, const Device& b);

// The parameters of a fit on `from`, on another device: what the fit found beyond the prior is carried over, whole
// within a generation and a quarter across, where it is part the device's and part the operator's.
LawParameters Transferred(LawClass family, const LawParameters& parameters, const Device& from, const Device& to);

// A device's peaks, in units a ns.
struct LawRates {
  double flops = 0;
  double vector_flops = 0;   // in matrix FLOPs' stead: less what well-shaped operators reach of that peak
  double fastest_flops = 0;  // at the boost clock: no kernel is faster
  double bytes = 0;
  double l2_bandwidth = 0;  // 0: no such cache
  double l2_bytes = 0;
  double most_compute = 0;  // shares of the peaks that no operator passes
  double most_memory = 0;
};
LawRates LawRatesOf(const Device& device, Precision precision);

// Parts of a time, in ns. They do not add up to it: the roofline is soft.
struct LawTerms {
  double ns = 0;
  double latency = 0;
  double compute = 0;
  double memory = 0;
  double l2 = 0;
};
LawTerms TermsOf(const LawParameters& parameters, const LawWork& work, const LawRates& rates);
Bound BoundOfTerms(const LawTerms& terms);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_LAW_PHYSICS_H_
