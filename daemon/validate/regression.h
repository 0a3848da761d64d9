// Whether a module has become slower than it was, by a test that knows the noise of both measurements.
//
// What changes between two minutes is first of all the machine: its clock, its neighbours. Other modules feel that too,
// so each module is set against what the others, in the same repeat, say that it should have taken (counterpart.h).
// Repeats that follow each other are alike, so blocks of consecutive ones are exchanged, never single ones. And there
// are many modules, so the chance of a false alarm is held for the largest of all their statistics
// (block_permutation.h). A slow-down that all modules share is invisible to it, and stated apart (machine_change_pct).
//
// Pure functions; equal inputs give equal verdicts. Safe from any thread.
#ifndef DSOCR_DAEMON_VALIDATE_REGRESSION_H_
#define DSOCR_DAEMON_VALIDATE_REGRESSION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "dsocr/v1/verdict.pb.h"

namespace dsocr::validate {

struct RegressionOptions {
  double alpha = 0.01;         // chance of a false alarm, over all modules together, if blocks were independent
  double min_change = 0.03;    // slow-downs below it are none, however certain
  double min_excess = 0.0005;  // nor are those that cost less than this share of the request
  // Added to min_change, times the machine's own change: what modules have in common is known from smaller changes.
  double min_change_of_machine = 0.05;
  double min_share = 0.005;          // of the request's time: smaller modules are judged with their parents alone
  double min_witness_share = 0.001;  // smaller ones say nothing of what the machine did to the others
  int max_repeats = 30;              // of each side; later ones are left out
  int blocks = 10;                   // of each side, of consecutive repeats
  int permutations = 10'000;         // drawn where there are more; where there are fewer, all of them
};

// `now` and `before`: of the same case. INVALID_ARGUMENT where they have no module in common, or either has under
// kMinRepeats. baseline_id, baseline_started_at and changed are left to the caller.
inline constexpr int kMinRepeats = 5;
absl::StatusOr<v1::RegressionVerdict> FindRegression(const v1::RunRepeats& now, const v1::RunRepeats& before,
                                                     const RegressionOptions& options = {});

}  // namespace dsocr::validate

#endif  // DSOCR_DAEMON_VALIDATE_REGRESSION_H_
