#include "analytic/law/fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "analytic/law/correction.h"
#include "analytic/law/linear.h"
#include "analytic/law/physics.h"
#include "analytic/law/work.h"

namespace dsocr::analytic {
namespace {

// The rows of a fit, as the mathematics sees them.
struct FitData {
  LawRates rates;
  LawPrior prior;
  std::vector<LawWork> work;
  std::vector<double> log_ns;
  size_t dimensions = 0;
  std::vector<double> points;  // row by row, over the lengths
  std::vector<size_t> unit;    // of hold-out, numbered from 0
  std::vector<bool> is_skinny;

  size_t size() const { return work.size(); }
  const double* point(size_t i) const { return &points[i * dimensions]; }
};

FitData Prepare(const Device& profile, const LawPrior& prior, const std::vector<Sample>& samples,
                const std::vector<int>& rows) {
  const Sample& first = samples[static_cast<size_t>(rows.front())];
  const LawClass family = FamilyOf(LawClassOf(first.size));
  FitData data;
  data.rates = LawRatesOf(profile, first.precision);
  data.prior = prior;
  data.dimensions = static_cast<size_t>(CoordinateCount(family));
  const LawCoordinates lengths = LengthsOf(family);
  std::map<std::array<int64_t, 7>, size_t> units;
  for (const int row : rows) {
    const Sample& sample = samples[static_cast<size_t>(row)];
    const LawCoordinates coordinates = CoordinatesOf(sample.size);
    data.work.push_back(WorkOf(sample.size, sample.precision));
    data.log_ns.push_back(std::log(sample.time_ns));
    for (size_t d = 0; d < data.dimensions; ++d) {
      data.points.push_back(coordinates[d] / lengths[d]);
    }
    data.unit.push_back(units.emplace(HoldOutUnit(sample.size), units.size()).first->second);
    data.is_skinny.push_back(LawClassOf(sample.size) == LawClass::kSkinnyGemm);
  }
  return data;
}

// Each centre is the row farthest from those before it; of equals the first. All rows, if they are few.
std::vector<size_t> ChooseCentres(const FitData& data) {
  std::vector<size_t> centres;
  if (data.size() <= kMostCentres) {
    for (size_t i = 0; i < data.size(); ++i) {
      centres.push_back(i);
    }
    return centres;
  }
  std::vector<double> nearest(data.size(), std::numeric_limits<double>::infinity());
  for (size_t next = 0; centres.size() < kMostCentres;) {
    centres.push_back(next);
    for (size_t i = 0; i < data.size(); ++i) {
      nearest[i] = std::min(nearest[i], SquaredDistance(data.point(i), data.point(next), data.dimensions));
    }
    next = static_cast<size_t>(std::max_element(nearest.begin(), nearest.end()) - nearest.begin());
  }
  std::sort(centres.begin(), centres.end());
  return centres;
}

FitData Subset(const FitData& data, const std::vector<size_t>& rows) {
  FitData subset{.rates = data.rates, .prior = data.prior, .dimensions = data.dimensions};
  for (const size_t i : rows) {
    subset.work.push_back(data.work[i]);
    subset.log_ns.push_back(data.log_ns[i]);
    subset.points.insert(subset.points.end(), data.point(i), data.point(i) + data.dimensions);
    subset.unit.push_back(data.unit[i]);
    subset.is_skinny.push_back(data.is_skinny[i]);
  }
  return subset;
}

// Covariances of `x` with every point of `data`.
void CovariancesWith(const FitData& data, const double* x, double* out) {
  for (size_t i = 0; i < data.size(); ++i) {
    out[i] = Covariance(SquaredDistance(x, data.point(i), data.dimensions));
  }
}

std::vector<double> CovarianceMatrix(const FitData& data) {
  std::vector<double> matrix(data.size() * data.size());
  for (size_t i = 0; i < data.size(); ++i) {
    CovariancesWith(data, data.point(i), &matrix[i * data.size()]);
  }
  return matrix;
}

std::vector<double> Residuals(const FitData& data, const LawParameters& law) {
  std::vector<double> residuals(data.size());
  for (size_t i = 0; i < data.size(); ++i) {
    residuals[i] = data.log_ns[i] - std::log(TermsOf(law, data.work[i], data.rates).ns);
  }
  return residuals;
}

// Derivatives of ln(time) by the parameters that are fitted: one row a parameter.
std::vector<double> Derivatives(const FitData& data, const LawParameters& law, const std::vector<size_t>& fitted) {
  constexpr double kStep = 1e-4;
  std::vector<double> derivatives;
  for (const size_t parameter : fitted) {
    LawParameters more = law, less = law;
    more[parameter] += kStep;
    less[parameter] -= kStep;
    for (const LawWork& work : data.work) {
      const double ratio = TermsOf(more, work, data.rates).ns / TermsOf(less, work, data.rates).ns;
      derivatives.push_back(std::log(ratio) / (2 * kStep));
    }
  }
  return derivatives;
}

std::vector<size_t> FittedParameters(const LawPrior& prior) {
  std::vector<size_t> fitted;
  for (size_t i = 0; i < kLawParameters; ++i) {
    if (prior.sigma[i] > 0) {
      fitted.push_back(i);
    }
  }
  return fitted;
}

// How unlikely the rows and the parameters are together: what the fit makes small.
double Misfit(const FitData& data, const LawParameters& law, const Cholesky& covariance) {
  std::vector<double> whitened = Residuals(data, law);
  covariance.SolveLower(whitened.data());
  double misfit = Dot(whitened.data(), whitened.data(), whitened.size());
  for (const size_t i : FittedParameters(data.prior)) {
    const double off = (law[i] - data.prior.mean[i]) / data.prior.sigma[i];
    misfit += off * off;
  }
  return misfit;
}

// The most likely parameters, by damped Gauss-Newton steps on rows whose errors are correlated as the correction has
// it: the physics explains what is common to all sizes and leaves the rest to the correction.
LawParameters FitPhysics(const FitData& data, const Cholesky& covariance) {
  constexpr int kMostSteps = 15, kMostTries = 8;
  constexpr double kEnough = 1e-5;
  const std::vector<size_t> fitted = FittedParameters(data.prior);
  const size_t count = fitted.size(), n = data.size();
  LawParameters law = data.prior.mean;
  double misfit = Misfit(data, law, covariance), damping = 1e-3;
  for (int step = 0; step < kMostSteps; ++step) {
    std::vector<double> slopes = Derivatives(data, law, fitted), residuals = Residuals(data, law);
    covariance.SolveLower(residuals.data());
    for (size_t a = 0; a < count; ++a) {
      covariance.SolveLower(&slopes[a * n]);
    }
    std::vector<double> curvature(count * count), gradient(count);
    for (size_t a = 0; a < count; ++a) {
      const double precision = 1 / (data.prior.sigma[fitted[a]] * data.prior.sigma[fitted[a]]);
      for (size_t b = 0; b < count; ++b) {
        curvature[a * count + b] = Dot(&slopes[a * n], &slopes[b * n], n) + (a == b ? precision : 0);
      }
      gradient[a] =
          Dot(&slopes[a * n], residuals.data(), n) - (law[fitted[a]] - data.prior.mean[fitted[a]]) * precision;
    }
    bool is_better = false;
    double gain = 0;
    for (int attempt = 0; attempt < kMostTries && !is_better; ++attempt) {
      std::vector<double> damped = curvature, change = gradient;
      for (size_t a = 0; a < count; ++a) {
        damped[a * count + a] *= 1 + damping;
      }
      LawParameters next = law;
      Cholesky(std::move(damped), count).Solve(change.data());
      for (size_t a = 0; a < count; ++a) {
        next[fitted[a]] += std::clamp(change[a], -1.0, 1.0);
      }
      const double next_misfit = Misfit(data, next, covariance);
      is_better = next_misfit < misfit;
      if (is_better) {
        gain = misfit - next_misfit;
        law = next;
        misfit = next_misfit;
      }
      damping *= is_better ? 0.2 : 5;
    }
    if (!is_better || gain < kEnough * misfit) {
      break;
    }
  }
  return law;
}

// Rows of each unit.
std::vector<std::vector<size_t>> RowsByUnit(const FitData& data) {
  std::vector<std::vector<size_t>> rows;
  for (size_t i = 0; i < data.size(); ++i) {
    rows.resize(std::max(rows.size(), data.unit[i] + 1));
    rows[data.unit[i]].push_back(i);
  }
  return rows;
}

// Errors of ln(time) of each row, had its unit not been there: in closed form, parameters of the physics included as
// far as they act linearly. With the covariance C of everything that varies, a held-out unit B is missed by
// (C^-1)_BB^-1 (C^-1 z)_B (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, section 5.4.2).
std::vector<double> HeldOutErrors(const FitData& data, const LawParameters& law, std::vector<double> covariance) {
  const size_t n = data.size();
  const std::vector<size_t> fitted = FittedParameters(data.prior);
  const std::vector<double> slopes = Derivatives(data, law, fitted);
  std::vector<double> errors = Residuals(data, law);
  for (size_t a = 0; a < fitted.size(); ++a) {
    const double* slope = &slopes[a * n];
    const double sigma = data.prior.sigma[fitted[a]], off = law[fitted[a]] - data.prior.mean[fitted[a]];
    for (size_t i = 0; i < n; ++i) {
      errors[i] += slope[i] * off;
      for (size_t j = 0; j <= i; ++j) {
        covariance[i * n + j] += sigma * sigma * slope[i] * slope[j];
      }
    }
  }
  const Cholesky factor(std::move(covariance), n);
  factor.Solve(errors.data());
  const std::vector<double> columns = factor.InverseLowerColumns();
  for (const std::vector<size_t>& unit : RowsByUnit(data)) {
    std::vector<double> block, values;
    for (const size_t i : unit) {
      for (const size_t j : unit) {
        const size_t from = std::max(i, j);
        block.push_back(Dot(&columns[i * n + from], &columns[j * n + from], n - from));
      }
      values.push_back(errors[i]);
    }
    Cholesky(std::move(block), unit.size()).Solve(values.data());
    for (size_t b = 0; b < unit.size(); ++b) {
      errors[unit[b]] = values[b];
    }
  }
  return errors;
}

// Many rows: least squares over the centres alone, all rows and each of a few folds of units left out.
struct CentreFit {
  std::vector<double> weights;
  std::vector<double> errors;  // held out
};

CentreFit FitCentres(const FitData& data, const FitData& centres, const std::vector<double>& residuals) {
  constexpr size_t kFolds = 5, kRowsAtOnce = 4;
  const size_t m = centres.size();
  std::vector<double> all(m * m, 0.0), all_right(m, 0.0);
  std::array<std::vector<double>, kFolds> matrix, right;
  const auto fold_of = [&data](size_t i) { return data.unit[i] % kFolds; };
  std::vector<double> rows(kRowsAtOnce * m);
  for (size_t fold = 0; fold < kFolds; ++fold) {
    matrix[fold].assign(m * m, 0.0);
    right[fold].assign(m, 0.0);
    std::vector<size_t> members;
    for (size_t i = 0; i < data.size(); ++i) {
      if (fold_of(i) == fold) {
        members.push_back(i);
      }
    }
    for (size_t first = 0; first < members.size(); first += kRowsAtOnce) {
      std::fill(rows.begin(), rows.end(), 0.0);
      for (size_t r = 0; r < std::min(kRowsAtOnce, members.size() - first); ++r) {
        CovariancesWith(centres, data.point(members[first + r]), &rows[r * m]);
        for (size_t a = 0; a < m; ++a) {
          right[fold][a] += rows[r * m + a] * residuals[members[first + r]];
        }
      }
      const double *r0 = &rows[0], *r1 = r0 + m, *r2 = r1 + m, *r3 = r2 + m;
      for (size_t a = 0; a < m; ++a) {
        double* out = &matrix[fold][a * m];
        const double w0 = r0[a], w1 = r1[a], w2 = r2[a], w3 = r3[a];
        for (size_t b = 0; b <= a; ++b) {
          out[b] += (w0 * r0[b] + w1 * r1[b]) + (w2 * r2[b] + w3 * r3[b]);
        }
      }
    }
    for (size_t a = 0; a < m * m; ++a) {
      all[a] += matrix[fold][a];
    }
    for (size_t a = 0; a < m; ++a) {
      all_right[a] += right[fold][a];
    }
  }
  const std::vector<double> prior = CovarianceMatrix(centres);
  const auto solve = [&prior, m](std::vector<double> normal, std::vector<double> values) {
    constexpr double kJitter = 1e-9;
    for (size_t a = 0; a < m * m; ++a) {
      normal[a] += kNoiseVariance * prior[a];
    }
    for (size_t a = 0; a < m; ++a) {
      normal[a * m + a] += kJitter;
    }
    Cholesky(std::move(normal), m).Solve(values.data());
    return values;
  };
  CentreFit fit{.weights = solve(all, all_right), .errors = std::vector<double>(data.size())};
  for (size_t fold = 0; fold < kFolds; ++fold) {
    std::vector<double> without = all, values = all_right;
    for (size_t a = 0; a < m * m; ++a) {
      without[a] -= matrix[fold][a];
    }
    for (size_t a = 0; a < m; ++a) {
      values[a] -= right[fold][a];
    }
    const std::vector<double> weights = solve(std::move(without), std::move(values));
    for (size_t i = 0; i < data.size(); ++i) {
      if (fold_of(i) == fold) {
        CovariancesWith(centres, data.point(i), rows.data());
        fit.errors[i] = residuals[i] - Dot(rows.data(), weights.data(), m);
      }
    }
  }
  return fit;
}

// The squared distance of each row to the nearest centre of another unit.
std::vector<double> DistancesOut(const FitData& data, const FitData& centres) {
  std::vector<double> distances;
  for (size_t i = 0; i < data.size(); ++i) {
    double nearest = std::numeric_limits<double>::infinity();
    for (size_t c = 0; c < centres.size(); ++c) {
      if (centres.unit[c] != data.unit[i]) {
        nearest = std::min(nearest, SquaredDistance(data.point(i), centres.point(c), data.dimensions));
      }
    }
    distances.push_back(nearest);
  }
  return distances;
}

// The conformal quantile: the smallest score that at least a share `level` of n + 1 scores does not pass. Few scores
// say little about their tail: below twenty they are mixed with what a normal error, a little widened, would have.
double ConformalQuantile(const std::vector<double>& sorted, double level, double usual) {
  constexpr double kEnough = 20;
  const double n = static_cast<double>(sorted.size());
  const size_t rank = static_cast<size_t>(std::ceil((n + 1) * level));
  const double quantile = sorted.empty() ? 0 : sorted[std::min(rank, sorted.size()) - 1];
  const double trust = std::min(n / kEnough, 1.0);
  return trust * quantile + (1 - trust) * std::max(usual, quantile);
}

// Appends spread and scores of the rows that `is_of` takes.
template <typename IsOf>
void Judge(const std::vector<double>& errors, const std::vector<double>& distances, IsOf&& is_of, LawFit* fit) {
  std::vector<double> normalised, shares;
  double sum = 0;
  for (size_t i = 0; i < errors.size(); ++i) {
    if (is_of(i) && std::isfinite(distances[i])) {
      normalised.push_back(std::abs(errors[i]) / std::sqrt(StrayVariance(distances[i])));
      shares.push_back(std::abs(std::expm1(-errors[i])));
      sum += shares.back();
    }
  }
  std::sort(normalised.begin(), normalised.end());
  std::sort(shares.begin(), shares.end());
  fit->spread.push_back(ConformalQuantile(normalised, 0.5, 0.8));
  fit->spread.push_back(ConformalQuantile(normalised, 0.9, 2.0));
  const double n = static_cast<double>(shares.size());
  fit->scores.insert(fit->scores.end(), {n, n > 0 ? sum / n : 0, n > 0 ? shares[shares.size() / 2] : 0});
}

}  // namespace

LawFit FitLaw(const Device& profile, const LawPrior& prior, const std::vector<Sample>& samples,
              const std::vector<int>& rows) {
  const Sample& first = samples[static_cast<size_t>(rows.front())];
  const FitData data = Prepare(profile, prior, samples, rows);
  const std::vector<size_t> chosen = ChooseCentres(data);
  const FitData centres = Subset(data, chosen);
  std::vector<double> covariance = CovarianceMatrix(centres);
  for (size_t i = 0; i < centres.size(); ++i) {
    covariance[i * centres.size() + i] += kNoiseVariance;
  }
  const Cholesky factor(covariance, centres.size());
  const LawParameters law = FitPhysics(centres, factor);

  LawFit fit{.law_class = FamilyOf(LawClassOf(first.size)), .precision = first.precision};
  fit.law.assign(law.begin(), law.end());
  const LawCoordinates lengths = LengthsOf(fit.law_class);
  fit.lengths.assign(lengths.begin(), lengths.begin() + static_cast<int>(data.dimensions));
  for (const bool is_low : {true, false}) {
    for (size_t d = 0; d < data.dimensions; ++d) {
      double edge = data.point(0)[d];
      for (size_t i = 1; i < data.size(); ++i) {
        edge = is_low ? std::min(edge, data.point(i)[d]) : std::max(edge, data.point(i)[d]);
      }
      fit.box.push_back(edge);
    }
  }
  for (const size_t i : chosen) {
    fit.rows.push_back(rows[i]);
  }
  for (size_t d = 0; d < data.dimensions; ++d) {
    for (size_t i = 0; i < centres.size(); ++i) {
      fit.centres.push_back(centres.point(i)[d]);
    }
  }
  std::vector<double> errors;
  if (centres.size() == data.size()) {
    fit.weights = Residuals(data, law);
    factor.Solve(fit.weights.data());
    errors = HeldOutErrors(data, law, std::move(covariance));
  } else {
    CentreFit of_all = FitCentres(data, centres, Residuals(data, law));
    fit.weights = std::move(of_all.weights);
    errors = std::move(of_all.errors);
  }
  const std::vector<double> distances = DistancesOut(data, centres);
  Judge(
      errors, distances, [&](size_t i) { return !data.is_skinny[i]; }, &fit);
  if (fit.law_class == LawClass::kGemm) {
    Judge(
        errors, distances, [&](size_t i) { return data.is_skinny[i]; }, &fit);
  }
  return fit;
}

}  // namespace dsocr::analytic
