#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <tuple>

#include "analytic/law/correction.h"
#include "analytic/law/law.h"
#include "analytic/law/physics.h"
#include "analytic/law/work.h"

namespace dsocr::analytic {
namespace {

// Standard deviations of ln(time), on top of what the law's own errors are: of a repeat of a measurement; of another
// format; of another device of the generation and of another generation; of a datasheet alone.
constexpr double kRepeatSigma = 0.02;
// Of a CPU: an operator among others of the model against the same one alone, weighted by time (docs/operator-laws.md).
constexpr double kCpuRepeatSigma = 0.15;
constexpr double kFormatSigma = 0.25;
constexpr double kGenerationSigma = 0.06;
constexpr double kAcrossSigma = 0.22;
constexpr double kDatasheetSigma = 0.35;
constexpr double kNormal50 = 0.6745;
constexpr double kNormal90 = 1.6449;

// What the correction says at a place, and how near it was asked.
struct Corrected {
  double log_ratio = 0;
  size_t nearest = 0;  // centre
  double squared = std::numeric_limits<double>::infinity();
};

// Blocks on the stack, so that the arithmetic runs in vectors.
template <size_t kDimensions>
Corrected CorrectionAt(const LawFit& fit, const LawCoordinates& x) {
  constexpr size_t kBlock = 64;
  const size_t n = fit.weights.size();
  Corrected result;
  for (size_t first = 0; first < n; first += kBlock) {
    const size_t count = std::min(kBlock, n - first);
    double squared[kBlock] = {};
    double parts[kBlock] = {};
    for (size_t d = 0; d < kDimensions; ++d) {
      const double* centres = &fit.centres[d * n + first];
      for (size_t i = 0; i < count; ++i) {
        const double off = x[d] - centres[i];
        squared[i] += off * off;
      }
    }
    const double* weights = &fit.weights[first];
    for (size_t i = 0; i < count; ++i) {
      parts[i] = weights[i] * Covariance(squared[i]);
    }
    double sums[4] = {};
    for (size_t i = 0; i < kBlock; i += 4) {
      for (size_t j = 0; j < 4; ++j) {
        sums[j] += parts[i + j];
      }
    }
    result.log_ratio += (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (size_t i = 0; i < count; ++i) {
      if (squared[i] < result.squared) {
        result.squared = squared[i];
        result.nearest = first + i;
      }
    }
  }
  return result;
}

// As many as CoordinateCount has.
Corrected CorrectionAt(const LawFit& fit, const LawCoordinates& x) {
  switch (fit.lengths.size()) {
    case 3:
      return CorrectionAt<3>(fit, x);
    case 4:
      return CorrectionAt<4>(fit, x);
    default:
      return CorrectionAt<6>(fit, x);
  }
}

const LawFit* FindFit(const LawModel& model, LawClass family, Precision precision) {
  const LawFit* other = nullptr;
  for (const LawFit& fit : model.fits) {
    if (fit.law_class == family) {
      if (fit.precision == precision) {
        return &fit;
      }
      other = &fit;
    }
  }
  return other;
}

// The sample of exactly this size, or -1.
int FindSample(const LawModel& model, const OperatorSize& size, Precision precision) {
  const auto at =
      std::lower_bound(model.samples.begin(), model.samples.end(), std::tie(size, precision),
                       [](const Sample& sample, const std::tuple<const OperatorSize&, const Precision&>& key) {
                         return std::tie(sample.size, sample.precision) < key;
                       });
  const bool is_there = at != model.samples.end() && at->size == size && at->precision == precision;
  return is_there ? static_cast<int>(at - model.samples.begin()) : -1;
}

// Half widths of the intervals, as logarithms.
void SetIntervals(double half_50, double half_90, Estimate* estimate) {
  estimate->low_50_ns = estimate->ns * std::exp(-half_50);
  estimate->high_50_ns = estimate->ns * std::exp(half_50);
  estimate->low_90_ns = estimate->ns * std::exp(-half_90);
  estimate->high_90_ns = estimate->ns * std::exp(half_90);
}

}  // namespace

Estimate PredictOperator(const LawModel& model, const Device& target, const OperatorSize& size, Precision precision) {
  const LawClass law_class = LawClassOf(size);
  const LawClass family = FamilyOf(law_class);
  const LawWork work = WorkOf(size, precision);
  const LawRates rates = LawRatesOf(target, precision);
  const LawFit* fit = FindFit(model, family, precision);
  Estimate estimate;
  if (fit == nullptr) {
    const LawTerms terms = TermsOf(PriorOf(family, target).mean, work, rates);
    estimate.ns = terms.ns;
    estimate.bound = BoundOfTerms(terms);
    SetIntervals(kNormal50 * kDatasheetSigma, kNormal90 * kDatasheetSigma, &estimate);
    return estimate;
  }

  LawParameters law;
  std::copy_n(fit->law.begin(), law.size(), law.begin());
  const bool is_transfer = target.name != model.device.name;
  const LawTerms terms = TermsOf(is_transfer ? Transferred(family, law, model.device, target) : law, work, rates);
  estimate.bound = BoundOfTerms(terms);

  // Outside of what was measured the correction of the edge holds: the efficiency of the largest, the floor of the
  // smallest.
  const LawCoordinates octaves = CoordinatesOf(size);
  const size_t dimensions = fit->lengths.size();
  LawCoordinates inside = {};
  double outside = 0;
  for (size_t d = 0; d < dimensions; ++d) {
    const double x = octaves[d] / fit->lengths[d];
    inside[d] = std::clamp(x, fit->box[d], fit->box[dimensions + d]);
    outside += (x - inside[d]) * (x - inside[d]);
  }
  const Corrected corrected = CorrectionAt(*fit, inside);
  estimate.nearest = fit->rows[corrected.nearest];
  const LawCoordinates there = CoordinatesOf(model.samples[static_cast<size_t>(estimate.nearest)].size);
  estimate.distance = std::sqrt(SquaredDistance(octaves.data(), there.data(), dimensions));

  const int exact = FindSample(model, size, precision);
  if (exact >= 0) {
    estimate.nearest = exact;
    estimate.distance = 0;
  }
  if (exact >= 0 && !is_transfer) {
    estimate.ns = model.samples[static_cast<size_t>(exact)].time_ns;
    estimate.provenance = Provenance::kExact;
    const double sigma = target.kind == DeviceKind::kCpu ? kCpuRepeatSigma : kRepeatSigma;
    SetIntervals(kNormal50 * sigma, kNormal90 * sigma, &estimate);
    return estimate;
  }

  double log_ratio = corrected.log_ratio, extra = 0;
  if (is_transfer) {
    const bool is_near = IsOneGeneration(model.device, target);
    if (is_near && exact >= 0) {
      const LawTerms at_home = TermsOf(law, work, LawRatesOf(model.device, precision));
      log_ratio = std::log(model.samples[static_cast<size_t>(exact)].time_ns / at_home.ns);
    }
    log_ratio = is_near ? log_ratio : 0;
    extra += is_near ? kGenerationSigma * kGenerationSigma : kAcrossSigma * kAcrossSigma;
  }
  extra += fit->precision == precision ? 0 : kFormatSigma * kFormatSigma;
  estimate.ns = std::max(terms.ns * std::exp(log_ratio), work.flops / rates.fastest_flops);
  estimate.provenance = extra > 0     ? Provenance::kTransferred
                        : outside > 0 ? Provenance::kExtrapolated
                                      : Provenance::kInterpolated;
  const size_t of_class = law_class == LawClass::kSkinnyGemm ? 2 : 0;
  const double stray = StrayVariance(corrected.squared + outside);
  const auto half = [stray, extra](double quantile, double normal) {
    return std::sqrt(quantile * quantile * stray + normal * normal * extra);
  };
  SetIntervals(half(fit->spread[of_class], kNormal50), half(fit->spread[of_class + 1], kNormal90), &estimate);
  return estimate;
}

}  // namespace dsocr::analytic
