#include "daemon/validate/counterpart.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace dsocr::validate {
namespace {

// Of the sum of squares of a predictor. A hundred modules over sixty repeats need a strong one; ten times as much
// leaves 25 % more of the noise of the small model on a CPU, a tenth as much none less.
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

// Of a symmetric and positive definite matrix, by Gauss and Jordan's method, which needs no pivots there.
Matrix Inverse(Matrix matrix) {
  const size_t n = matrix.size();
  for (size_t k = 0; k < n; ++k) {
    const double pivot = 1 / matrix[k][k];
    matrix[k][k] = 1;
    for (double& value : matrix[k]) {
      value *= pivot;
    }
    for (size_t i = 0; i < n; ++i) {
      if (i == k) {
        continue;
      }
      const double factor = matrix[i][k];
      matrix[i][k] = 0;
      for (size_t j = 0; j < n; ++j) {
        matrix[i][j] -= factor * matrix[k][j];
      }
    }
  }
  return matrix;
}

// The products of all entries with each other, summed over `rows`.
Matrix Products(const Matrix& rows, size_t length) {
  Matrix products(length, std::vector<double>(length));
  for (const std::vector<double>& row : rows) {
    for (size_t i = 0; i < length; ++i) {
      for (size_t j = 0; j < length; ++j) {
        products[i][j] += row[i] * row[j];
      }
    }
  }
  return products;
}

// `matrix` x = `right` for the unknowns outside of [begin, end) and the rows that belong to them; the others are 0.
// `inverse`: of all of `matrix`. With right sides in [begin, end) that make its unknowns 0, the whole system has the
// same solution, and those are found from a system of that block alone.
std::vector<double> SolveWithout(const Matrix& inverse, std::vector<double> right, size_t begin, size_t end) {
  std::fill(right.begin() + static_cast<std::ptrdiff_t>(begin), right.begin() + static_cast<std::ptrdiff_t>(end), 0.0);
  const auto product = [&](size_t row) {
    return std::inner_product(right.begin(), right.end(), inverse[row].begin(), 0.0);
  };
  Matrix block;
  std::vector<double> excess;
  for (size_t i = begin; i < end; ++i) {
    block.emplace_back(inverse[i].begin() + static_cast<std::ptrdiff_t>(begin),
                       inverse[i].begin() + static_cast<std::ptrdiff_t>(end));
    excess.push_back(product(i));
  }
  block = Inverse(std::move(block));
  for (size_t i = begin; i < end; ++i) {
    right[i] = -std::inner_product(excess.begin(), excess.end(), block[i - begin].begin(), 0.0);
  }
  std::vector<double> solution(right.size());
  for (size_t i = 0; i < right.size(); ++i) {
    solution[i] = i < begin || i >= end ? product(i) : 0.0;
  }
  return solution;
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

// In the dual form: one unknown an entry, not one a predictor, so that one inverse serves all blocks.
std::vector<double> LessCounterpart(const std::vector<double>& series,
                                    const std::vector<const std::vector<double>*>& others, const Blocks& blocks) {
  Matrix learnt;  // what weights are fitted to, and what they are applied to
  Matrix applied;
  const std::vector<double> machine = Medians(others, blocks.length);
  for (const std::vector<double>* other : others) {
    learnt.push_back(Standardised(Less(*other, machine), blocks));
    applied.push_back(Scaled(Less(*other, machine), blocks));
  }
  Matrix matrix = Products(learnt, blocks.length);
  for (size_t i = 0; i < blocks.length; ++i) {
    matrix[i][i] += kRidge * static_cast<double>(blocks.length);
  }
  const Matrix inverse = Inverse(std::move(matrix));
  const std::vector<double> relative = Less(series, machine);
  std::vector<double> rest = relative;
  for (const auto& [begin, end] : blocks.extents) {
    const std::vector<double> of_entry = SolveWithout(inverse, Centred(relative, blocks, begin, end), begin, end);
    for (size_t k = 0; k < learnt.size(); ++k) {
      const double weight = std::inner_product(of_entry.begin(), of_entry.end(), learnt[k].begin(), 0.0);
      for (size_t at = begin; at < end; ++at) {
        rest[at] -= weight * applied[k][at];
      }
    }
  }
  return rest;
}

}  // namespace dsocr::validate
