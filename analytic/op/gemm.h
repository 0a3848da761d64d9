// Cost of a matrix product C[m,n] = A[m,k] * B[k,n], `batch` times.
//
// FLOPs 2 m n k; bytes: A and B read once, C written once; a bias adds n reads and m n additions. Pure: safe from any
// thread.
#ifndef DSOCR_ANALYTIC_OP_GEMM_H_
#define DSOCR_ANALYTIC_OP_GEMM_H_

#include <cstdint>

#include "analytic/op/cost.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

struct Gemm {
  int64_t batch = 1;
  int64_t m = 0;  // rows of A: tokens (batch of sequences folded in)
  int64_t n = 0;  // columns of B: output features
  int64_t k = 0;  // shared dimension: input features
  bool has_bias = false;
  bool b_is_weight = true;  // weights are not activations
};

// Example: m=n=k=1024 in bf16 -> 2'147'483'648 FLOPs, 6'291'456 bytes. An empty product costs nothing but its launch.
Cost CostOf(const Gemm& gemm, Precision precision);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_OP_GEMM_H_
