#include "analytic/law/linear.h"

#include <cmath>
#include <utility>

namespace dsocr::analytic {

double Dot(const double* x, const double* y, size_t n) {
  // Eight sums side by side: a compiler may not reorder one, but it can run these in vectors.
  double sums[8] = {};
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (size_t j = 0; j < 8; ++j) {
      sums[j] += x[i + j] * y[i + j];
    }
  }
  for (; i < n; ++i) {
    sums[0] += x[i] * y[i];
  }
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

Cholesky::Cholesky(std::vector<double> matrix, size_t n) : lower_(std::move(matrix)), n_(n) {
  for (size_t i = 0; i < n_; ++i) {
    double* row = &lower_[i * n_];
    for (size_t j = 0; j < i; ++j) {
      const double* other = &lower_[j * n_];
      row[j] = (row[j] - Dot(row, other, j)) / other[j];
    }
    const double pivot = row[i] - Dot(row, row, i);
    if (!(pivot > 0)) {
      ok_ = false;
      return;
    }
    row[i] = std::sqrt(pivot);
  }
}

void Cholesky::SolveLower(double* x) const {
  for (size_t i = 0; i < n_; ++i) {
    const double* row = &lower_[i * n_];
    x[i] = (x[i] - Dot(row, x, i)) / row[i];
  }
}

void Cholesky::Solve(double* x) const {
  SolveLower(x);
  for (size_t i = n_; i-- > 0;) {
    const double* row = &lower_[i * n_];
    x[i] /= row[i];
    for (size_t j = 0; j < i; ++j) {
      x[j] -= row[j] * x[i];
    }
  }
}

std::vector<double> Cholesky::InverseLowerColumns() const {
  std::vector<double> columns(n_ * n_, 0.0);
  for (size_t i = 0; i < n_; ++i) {
    double* column = &columns[i * n_];
    column[i] = 1 / lower_[i * n_ + i];
    for (size_t j = i + 1; j < n_; ++j) {
      const double* row = &lower_[j * n_];
      column[j] = -Dot(row + i, column + i, j - i) / row[j];
    }
  }
  return columns;
}

}  // namespace dsocr::analytic
