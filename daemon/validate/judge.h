// Whether one case of a suite is as it was predicted: times and operation counts of each stage, coverage of intervals.
//
// Pure functions; safe from any thread.
#ifndef DSOCR_DAEMON_VALIDATE_JUDGE_H_
#define DSOCR_DAEMON_VALIDATE_JUDGE_H_

#include <string>
#include <vector>

#include "dsocr/v1/report.pb.h"
#include "dsocr/v1/verdict.pb.h"

namespace dsocr::validate {

// `reports`: of the case's runs, with their measurements. What was predicted and launched is of the first.
// The error of a stage is |predicted - measured| / measured, measured being the median of all requests (the lower
// one of an even number); a stage that took no time and was predicted to take none has none.
// REQUIRES: there is one.
v1::CaseVerdict Judge(const v1::ValidationCase& of, const std::vector<v1::AnalyticModelReport>& reports);

// A case that could not be measured.
v1::CaseVerdict Failed(const v1::ValidationCase& of, std::string error);

// Fills in passed and summary from the cases.
void Summarize(v1::Validation* validation);

}  // namespace dsocr::validate

#endif  // DSOCR_DAEMON_VALIDATE_JUDGE_H_
