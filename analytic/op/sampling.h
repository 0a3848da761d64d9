// Cost of choosing the next token: logits to fp32, tokens banned by the n-gram rule (one pass over the sequence),
// arg-max, token to the host.
#ifndef DSOCR_ANALYTIC_OP_SAMPLING_H_
#define DSOCR_ANALYTIC_OP_SAMPLING_H_

#include <cstdint>

#include "analytic/op/cost.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

struct Sampling {
  int64_t rows = 1;  // sequences
  int64_t vocabulary = 0;
  int64_t context = 0;  // tokens so far, searched for repeated n-grams
};
Cost CostOf(const Sampling& op, Precision precision);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_OP_SAMPLING_H_
