// Cost of a normalisation over the last dimension: LayerNorm (mean and variance, scale and shift) and RMSNorm (scale
// alone).
//
// Bytes: input and affine parameters read once, output written once. Vector FLOPs for each element: LayerNorm 8 (two
// reductions at 1 and 3, subtract, multiply, scale, shift), RMSNorm 4 (square, sum, multiply, scale).
#ifndef DSOCR_ANALYTIC_OP_NORM_H_
#define DSOCR_ANALYTIC_OP_NORM_H_

#include <cstdint>

#include "analytic/op/cost.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

enum class NormKind {
  kLayer,
  kLayer2d,  // LayerNorm over the channels of [B,C,H,W], written as separate operators in the reference
  kRms,
};

struct Norm {
  NormKind kind = NormKind::kLayer;
  int64_t rows = 0;
  int64_t width = 0;
};

Cost CostOf(const Norm& norm, Precision precision);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_OP_NORM_H_
