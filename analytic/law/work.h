// What an operator size asks of a device, whatever the device: arithmetic, traffic, and what stays in a cache.
#ifndef DSOCR_ANALYTIC_LAW_WORK_H_
#define DSOCR_ANALYTIC_LAW_WORK_H_

#include "analytic/law/law.h"

namespace dsocr::analytic {

struct LawWork {
  double flops = 0;
  double bytes = 0;         // each operand once: weights, keys and values of what is used, rows in and out
  double weight_bytes = 0;  // of those, what is the same in every call
};
LawWork WorkOf(const OperatorSize& size, Precision precision);

// Experts that `tokens` tokens reach, each choosing topk of them. REQUIRES: a routing that ParsesAsRouting.
double DistinctExperts(const MoeSize& size);
bool ParsesAsRouting(std::string_view routing);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_LAW_WORK_H_
