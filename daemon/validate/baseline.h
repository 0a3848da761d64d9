// A validation against an earlier one: which cases can be compared, what else has changed, and what that fails.
//
// Pure functions; safe from any thread.
#ifndef DSOCR_DAEMON_VALIDATE_BASELINE_H_
#define DSOCR_DAEMON_VALIDATE_BASELINE_H_

#include <vector>

#include "dsocr/v1/verdict.pb.h"

namespace dsocr::validate {

// What is not the same in two runs and may be the reason: tool, device and its cores, driver, weights.
std::vector<v1::Circumstance> Differences(const v1::Provenance& before, const v1::Provenance& now);

// Compares each measured case of `validation` with the one of the same name in `baseline`; a regression fails it.
// A case that the baseline lacks, or that cannot be compared, says so in its `regression.why` and is not failed.
void CompareWithBaseline(const v1::Validation& baseline, v1::Validation* validation);

}  // namespace dsocr::validate

#endif  // DSOCR_DAEMON_VALIDATE_BASELINE_H_
