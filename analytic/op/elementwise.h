// Costs of operators that touch each element a fixed number of times: pointwise arithmetic, activations, copies, rotary
// embedding.
//
// Bytes: every operand read once, every result written once. Vector FLOPs: a fixed number for each result.
#ifndef DSOCR_ANALYTIC_OP_ELEMENTWISE_H_
#define DSOCR_ANALYTIC_OP_ELEMENTWISE_H_

#include <cstdint>

#include "analytic/op/cost.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

// Pointwise arithmetic: residual additions, products, the sum of two broadcast biases.
struct Elementwise {
  int64_t read = 0;  // elements of all operands, broadcast ones once
  int64_t written = 0;
  int64_t flops_per_element = 1;
  double pieces = 1;
  int64_t contiguous = 0;     // elements in which no operand is broadcast; 0: all
  bool is_in_place = false;   // the result overwrites an operand
  int64_t widened_bytes = 0;  // alive besides, in precisions below fp32: copies of operands in fp32
};
Cost CostOf(const Elementwise& op, Precision precision);

// Moves data without arithmetic: layout changes, concatenation, padding, cache writes.
struct Copy {
  int64_t read = 0;
  int64_t written = 0;
};
Cost CostOf(const Copy& op, Precision precision);

enum class ActivationKind {
  kGelu,       // x Phi(x) with erf: 8 (scale, erf as 4, add, two products)
  kQuickGelu,  // x sigmoid(1.702 x): 6 (scale, sigmoid as 4, product), with the sigmoids beside x
  kSilu,       // x sigmoid(x): 5
};
// In place.
struct Activation {
  ActivationKind kind = ActivationKind::kGelu;
  int64_t elements = 0;
  double pieces = 1;
};
Cost CostOf(const Activation& op, Precision precision);

// Rotary embedding of queries and keys in the half-split layout: x cos + rotate_half(x) sin, 3 for each element; cos
// and sin are read from a table of `tokens` rows.
struct Rope {
  int64_t sequences = 1;
  int64_t tokens = 0;
  int64_t heads = 0;  // of queries and keys together
  int64_t head_dim = 0;
};
Cost CostOf(const Rope& op, Precision precision);

// Softmax over rows of `width`, in fp32 whatever the precision of its input: 5 for each element.
struct Softmax {
  int64_t rows = 0;
  int64_t width = 0;
};
Cost CostOf(const Softmax& op, Precision precision);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_OP_ELEMENTWISE_H_
