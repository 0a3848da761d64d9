// The smooth correction to the physics of a law: a Gaussian process over scaled coordinates.
//
// Its covariance is a sum of two rational quadratics of the squared distance u, a wide and a narrow one: no
// exponential, so that six hundred terms take about a microsecond and have the same bits everywhere.
#ifndef DSOCR_ANALYTIC_LAW_CORRECTION_H_
#define DSOCR_ANALYTIC_LAW_CORRECTION_H_

#include <cstddef>

namespace dsocr::analytic {

// Standard deviations of ln(time): of the wide part, of the narrow part, of what no neighbour shares. The wide part
// reaches eight times as far. Chosen once for all classes by held-out error on two public tables (H100, A100); the
// error is flat around them.
inline constexpr double kWideVariance = 0.2 * 0.2;
inline constexpr double kNarrowVariance = 0.08 * 0.08;
inline constexpr double kNoiseVariance = 0.004;
inline constexpr double kWideReach = 8;

inline double Covariance(double u) {
  const double wide = 1 + u * (1 / (4 * kWideReach * kWideReach));
  const double narrow = 1 + u * 0.5;
  const double wide_squared = wide * wide;
  return (kWideVariance * narrow + kNarrowVariance * wide_squared) / (wide_squared * narrow);
}

// The squared distance of scaled coordinates.
inline double SquaredDistance(const double* x, const double* y, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    sum += (x[i] - y[i]) * (x[i] - y[i]);
  }
  return sum;
}

// How far ln(time) strays between neighbours with the squared distance u, as a variance.
inline double StrayVariance(double u) { return kNoiseVariance + 2 * (kWideVariance + kNarrowVariance - Covariance(u)); }

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_LAW_CORRECTION_H_
