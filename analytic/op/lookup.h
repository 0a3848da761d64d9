// Costs of operators that move rows by index: embedding lookup, gather, put.
//
// Bytes: the rows read and written, plus one 8-byte index a row.
#ifndef DSOCR_ANALYTIC_OP_LOOKUP_H_
#define DSOCR_ANALYTIC_OP_LOOKUP_H_

#include <cstdint>

#include "analytic/op/cost.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

struct Gather {
  int64_t rows = 0;
  int64_t width = 0;
  bool from_weights = false;  // the rows that are read are no activations
};
Cost CostOf(const Gather& op, Precision precision);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_OP_LOOKUP_H_
