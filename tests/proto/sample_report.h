// A small but complete report: the values of the standard workload, seven modules, one measurement each. Valid by
// Validate.
#ifndef DSOCR_TESTS_PROTO_SAMPLE_REPORT_H_
#define DSOCR_TESTS_PROTO_SAMPLE_REPORT_H_

#include "dsocr/v1/report.pb.h"

namespace dsocr {

v1::AnalyticModelReport SampleReport();     // predicted and measured on a CPU
v1::AnalyticModelReport PredictedOnly();    // the same before its run
v1::AnalyticModelReport SampleGpuReport();  // the same on a GPU: every field of the recording itself is there

}  // namespace dsocr

#endif  // DSOCR_TESTS_PROTO_SAMPLE_REPORT_H_
