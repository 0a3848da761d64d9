// Any operator, as a value: which family, and the sizes of one call.
#ifndef DSOCR_ANALYTIC_OP_OPERATOR_H_
#define DSOCR_ANALYTIC_OP_OPERATOR_H_

#include <variant>

#include "analytic/op/attention.h"
#include "analytic/op/conv2d.h"
#include "analytic/op/cost.h"
#include "analytic/op/elementwise.h"
#include "analytic/op/gemm.h"
#include "analytic/op/interpolate.h"
#include "analytic/op/lookup.h"
#include "analytic/op/moe.h"
#include "analytic/op/norm.h"
#include "analytic/op/sampling.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

using Operator = std::variant<Gemm, Conv2d, Attention, Norm, Elementwise, Copy, Activation, Rope, Softmax, Gather,
                              Interpolate, TopK, Dispatch, GroupedGemm, Sampling>;

inline Cost CostOf(const Operator& op, Precision precision) {
  return std::visit([precision](const auto& family) { return CostOf(family, precision); }, op);
}

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_OP_OPERATOR_H_
