// The repeats of a case, as a later validation compares with them: from the reports of its runs.
//
// Pure functions; safe from any thread.
#ifndef DSOCR_DAEMON_VALIDATE_REPEATS_H_
#define DSOCR_DAEMON_VALIDATE_REPEATS_H_

#include "dsocr/v1/report.pb.h"
#include "dsocr/v1/verdict.pb.h"

namespace dsocr::validate {

// What each module itself took in each request of a measured run; empty where the report keeps none.
v1::RunRepeats RepeatsOf(const v1::AnalyticModelReport& report);

// One repeat of each `best_of` consecutive requests: of each module the mean of its faster half (of three: two), which
// interruptions do not reach and which varies less than the fastest alone. What is left at the end is left out.
// Measured, 100 requests of the small model: 2.1 % from repeat to repeat that nothing explains, of the fastest 4.3 %,
// of the median 2.9 % (2026-11-22, 2 cores of an AMD EPYC).
v1::RunRepeats BestOf(const v1::RunRepeats& requests, int best_of);

// Adds the repeats of another run. Modules that are not in both are left out.
void Append(const v1::RunRepeats& more, v1::RunRepeats* repeats);

}  // namespace dsocr::validate

#endif  // DSOCR_DAEMON_VALIDATE_REPEATS_H_
