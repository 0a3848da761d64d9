#include "daemon/validate/counterpart.h"

#include <algorithm>
#include <cmath>

namespace dsocr::validate {
namespace {

// Of the sum of squares of a predictor. Fifty modules over sixty repeats need a strong one; a tenth or ten times as
// much leaves 10 to 30 % more of the noise (docs/validation.md).
constexpr double kRidge = 0.3;
constexpr double kLongest = 4.0;  // standard deviations: what is further off counts as much

using Matrix = std::vector<std::vector<double>>;

// The mean of either part taken out, over the entries that are not in the block [begin, end).
std::vector<double> Centred(const std::vector<double>& values, const Blocks& blocks, size_t begin, size_t end) {
  double sum[2] = {0, 0};
  double count[2] = {0, 0};
  for (size_t i = 0; i < values.size(); ++i) {
    if (i < begin || i >= end) {
      sum[i >= blocks.before] += values[i];
      ++count[i >= blocks.before];
    }
  }
  std::vector<double> centred = values;
  for (size_t i = 0; i < values.size(); ++i) {
    const int part = i >= blocks.before;
    centred[i] -= count[part] > 0 ? sum[part] / count[part] : 0.0;
  }
  return centred;
}

double Deviation(const std::vector<double>& centred) {
  double sum = 0;
  for (const double value : centred) {
    sum += value * value;
  }
  return std::sqrt(sum / static_cast<double>(centred.size()));
}

// Standardised, both parts at one level; outliers drawn in.
std::vector<double> Standardised(const std::vector<double>& values, const Blocks& blocks) {
  std::vector<double> centred = Centred(values, blocks, 0, 0);
  const double deviation = Deviation(centred);
  if (deviation == 0) {
    return std::vector<double>(values.size());
  }
  for (double& value : centred) {
    value = std::clamp(value / deviation, -kLongest, kLongest);
  }
  return centred;
}

// As Standardised, the difference between the parts kept.
std::vector<double> Scaled(const std::vector<double>& values, const Blocks& blocks) {
  const double deviation = Deviation(Centred(values, blocks, 0, 0));
  double mean = 0;
  for (const double value : values) {
    mean += value / static_cast<double>(values.size());
  }
  std::vector<double> scaled(values.size());
  for (size_t i = 0; i < values.size() && deviation > 0; ++i) {
    scaled[i] = std::clamp((values[i] - mean) / deviation, -kLongest, kLongest);
  }
  return scaled;
}

// Solves `matrix` x = `right` by Cholesky's method. REQUIRES: symmetric and positive definite.
std::vector<double> Solve(Matrix matrix, std::vector<double> right) {
  const size_t n = right.size();
  for (size_t j = 0; j < n; ++j) {
    for (size_t k = 0; k < j; ++k) {
      matrix[j][j] -= matrix[j][k] * matrix[j][k];
    }
    matrix[j][j] = std::sqrt(matrix[j][j]);
    for (size_t i = j + 1; i < n; ++i) {
      for (size_t k = 0; k < j; ++k) {
        matrix[i][j] -= matrix[i][k] * matrix[j][k];
      }
      matrix[i][j] /= matrix[j][j];
    }
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < i; ++k) {
      right[i] -= matrix[i][k] * right[k];
    }
    right[i] /= matrix[i][i];
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; ++k) {
      right[i] -= matrix[k][i] * right[k];
    }
    right[i] /= matrix[i][i];
  }
  return right;
}

Matrix Products(const Matrix& a, const Matrix& b, size_t length) {
  Matrix products(length, std::vector<double>(length));
  for (size_t row = 0; row < a.size(); ++row) {
    for (size_t i = 0; i < length; ++i) {
      for (size_t j = 0; j < length; ++j) {
        products[i][j] += a[row][i] * b[row][j];
      }
    }
  }
  return products;
}

// Of each entry, the median of all series.
std::vector<double> Medians(const std::vector<const std::vector<double>*>& series, size_t length) {
  std::vector<double> medians(length);
  for (size_t i = 0; i < length && !series.empty(); ++i) {
    std::vector<double> values;
    for (const std::vector<double>* of : series) {
      values.push_back((*of)[i]);
    }
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    medians[i] = *middle;
  }
  return medians;
}

std::vector<double> Less(const std::vector<double>& series, const std::vector<double>& machine) {
  std::vector<double> less = series;
  for (size_t i = 0; i < less.size(); ++i) {
    less[i] -= machine[i];
  }
  return less;
}

}  // namespace

Blocks::Blocks(size_t before_given, size_t length_given, int count) : before(before_given), length(length_given) {
  const auto cut = [&](size_t begin, size_t end) {
    const size_t parts = std::min(static_cast<size_t>(count), end - begin);
    for (size_t i = 0; i < parts; ++i) {
      extents.emplace_back(begin + (end - begin) * i / parts, begin + (end - begin) * (i + 1) / parts);
    }
  };
  cut(0, before);
  before_count = extents.size();
  cut(before, length);
}

// In the dual form: one unknown an entry, not one a predictor, so that the products are made once for all blocks.
std::vector<double> LessCounterpart(const std::vector<double>& series,
                                    const std::vector<const std::vector<double>*>& others, const Blocks& blocks) {
  Matrix learnt;  // what weights are fitted to, and what they are applied to
  Matrix applied;
  const std::vector<double> machine = Medians(others, blocks.length);
  for (const std::vector<double>* other : others) {
    learnt.push_back(Standardised(Less(*other, machine), blocks));
    applied.push_back(Scaled(Less(*other, machine), blocks));
  }
  const Matrix fit = Products(learnt, learnt, blocks.length);
  const Matrix use = Products(learnt, applied, blocks.length);
  const std::vector<double> relative = Less(series, machine);
  std::vector<double> rest = relative;
  for (const auto& [begin, end] : blocks.extents) {
    const std::vector<double> target = Centred(relative, blocks, begin, end);
    std::vector<size_t> seen;
    for (size_t i = 0; i < blocks.length; ++i) {
      if (i < begin || i >= end) {
        seen.push_back(i);
      }
    }
    Matrix matrix(seen.size(), std::vector<double>(seen.size()));
    std::vector<double> right(seen.size());
    for (size_t i = 0; i < seen.size(); ++i) {
      right[i] = target[seen[i]];
      for (size_t j = 0; j < seen.size(); ++j) {
        matrix[i][j] = fit[seen[i]][seen[j]];
      }
      matrix[i][i] += kRidge * static_cast<double>(blocks.length);
    }
    const std::vector<double> weights = Solve(std::move(matrix), std::move(right));
    for (size_t at = begin; at < end; ++at) {
      for (size_t i = 0; i < seen.size(); ++i) {
        rest[at] -= weights[i] * use[seen[i]][at];
      }
    }
  }
  return rest;
}

}  // namespace dsocr::validate
