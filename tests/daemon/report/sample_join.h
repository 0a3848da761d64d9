// A small prediction and a measurement of it whose figures a reader can add up by hand, and a measurement of any
// prediction.
#ifndef DSOCR_TESTS_DAEMON_REPORT_SAMPLE_JOIN_H_
#define DSOCR_TESTS_DAEMON_REPORT_SAMPLE_JOIN_H_

#include "analytic/prediction.h"
#include "cupti/attribution/attribution.h"
#include "daemon/report/report.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::report {

// dsocr-tiny-v1 of the published model on the first device of the catalogue, which does 1e12 FLOP/s in either precision
// here.
ReportInput SampleInput();

//   deepseek_ocr              3 ms
//     prefill                 3 ms
//       layer[0,2]            1 ms   two instances, one leaf each: gemm, 4e9 FLOPs, 1e6 bytes
//         q_proj              1 ms
//       sample                2 ms   sampling
//     decode                  never runs
analytic::Prediction SamplePrediction();

// One request of SamplePrediction: 2 ms in q_proj, 1 ms in sample, 0.5 ms in prefill itself, 0.25 ms in no module; 4 ms
// from first to last.
attribution::Result SampleMeasurement();

// The report of SamplePrediction, with that measurement beside it.
v1::AnalyticModelReport JoinedReport(const attribution::Result& measured = SampleMeasurement());

// A measurement in which every leaf that runs takes `leaf_ns`, and its modules the sum.
attribution::Result MeasurementOf(const analytic::Prediction& prediction, int64_t leaf_ns);

}  // namespace dsocr::report

#endif  // DSOCR_TESTS_DAEMON_REPORT_SAMPLE_JOIN_H_
