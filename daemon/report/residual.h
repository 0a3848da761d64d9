// The residual, explained: why a measured request took longer, or less long, than predicted.
#ifndef DSOCR_DAEMON_REPORT_RESIDUAL_H_
#define DSOCR_DAEMON_REPORT_RESIDUAL_H_

#include "analytic/prediction.h"
#include "cupti/attribution/attribution.h"
#include "daemon/report/contention.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::report {

// Splits measured - predicted into causes. It is an identity, not a model: every nanosecond of the request is an
// operation of a module, an operation of none, or a gap, and each is held against its prediction. The parts are whole
// nanoseconds and add up to the whole (docs/residual.md).
//
// REQUIRES: CheckSums(measured) is OK, and measured modules are nodes of `prediction`.
v1::Residual ExplainResidual(const attribution::Result& measured, const analytic::Prediction& prediction,
                             const Contention& contention);

}  // namespace dsocr::report

#endif  // DSOCR_DAEMON_REPORT_RESIDUAL_H_
