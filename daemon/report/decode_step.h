// What one decode step launches: with it the nodes of a CUDA graph find their modules when nobody saw it captured.
#ifndef DSOCR_DAEMON_REPORT_DECODE_STEP_H_
#define DSOCR_DAEMON_REPORT_DECODE_STEP_H_

#include <vector>

#include "analytic/prediction.h"
#include "cupti/attribution/attribution.h"

namespace dsocr::report {

// An entry for each leaf below `decode` that a graph of the step launches something for (not for sampling, which the
// host is in), for each instance of a group, in order of execution. Empty where the workload has no decode step.
std::vector<attribution::ExpectedOperation> DecodeStep(const analytic::Prediction& prediction);

}  // namespace dsocr::report

#endif  // DSOCR_DAEMON_REPORT_DECODE_STEP_H_
