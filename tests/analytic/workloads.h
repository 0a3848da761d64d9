#ifndef DSOCR_TESTS_ANALYTIC_WORKLOADS_H_
#define DSOCR_TESTS_ANALYTIC_WORKLOADS_H_

#include "analytic/workload.h"

namespace dsocr::analytic {

inline Workload Standard() { return *FindWorkload("dsocr-standard-v1"); }

}  // namespace dsocr::analytic

#endif  // DSOCR_TESTS_ANALYTIC_WORKLOADS_H_
