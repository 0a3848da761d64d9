// Dense symmetric systems, small enough to solve outright. Row-major; sums in a fixed order.
#ifndef DSOCR_ANALYTIC_LAW_LINEAR_H_
#define DSOCR_ANALYTIC_LAW_LINEAR_H_

#include <cstddef>
#include <vector>

namespace dsocr::analytic {

double Dot(const double* x, const double* y, size_t n);

// A = L L^T. REQUIRES: A is symmetric; only its lower half is read.
class Cholesky {
 public:
  Cholesky(std::vector<double> matrix, size_t n);

  bool ok() const { return ok_; }  // false: not positive definite
  size_t size() const { return n_; }
  void SolveLower(double* x) const;  // x := L^-1 x
  void Solve(double* x) const;       // x := A^-1 x
  // Columns of L^-1, as rows of the result: entry (i, j) of A^-1 is the dot product of its rows i and j.
  std::vector<double> InverseLowerColumns() const;

 private:
  std::vector<double> lower_;
  size_t n_;
  bool ok_ = true;
};

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_LAW_LINEAR_H_
