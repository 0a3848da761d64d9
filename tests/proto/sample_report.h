// A small but complete report: the values of the standard workload, seven modules, one measurement each. Valid by
// Validate.
#ifndef DSOCR_TESTS_PROTO_SAMPLE_REPORT_H_
#define DSOCR_TESTS_PROTO_SAMPLE_REPORT_H_

#include "dsocr/v1/report.pb.h"

namespace dsocr {

v1::AnalyticModelReport SampleReport();   // predicted and measured
v1::AnalyticModelReport PredictedOnly();  // the same before its run

}  // namespace dsocr

#endif  // DSOCR_TESTS_PROTO_SAMPLE_REPORT_H_
