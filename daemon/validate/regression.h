// Whether a module has become slower than it was, by a test that knows the noise of both measurements.
//
// What changes between two minutes is first of all the machine: its clock, its neighbours. Other modules feel that too,
// so each module is set against what the others, in the same repeat, say that it should have taken (counterpart.h).
// Repeats that follow each other are alike, so blocks of consecutive ones are exchanged, never single ones. And there
// are many modules, so the chance of a false alarm is held for the largest of all their rank statistics
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

// One repeat of each `best_of` consecutive ones: the fastest time of each module, which an interruption spoils least
// (Chen and Revels, "Robust benchmarking in noisy environments", 2016). What is left at the end is left out.
v1::RunRepeats BestOf(const v1::RunRepeats& repeats, int best_of);

struct RegressionOptions {
  double alpha = 0.003;  // chance of a false alarm, over all modules together, if blocks were independent
  // Added to min_change, times the machine's own change: what modules have in common is known from smaller changes.
  double min_change_of_machine = 0.15;
  double min_change = 0.025;  // slow-downs below it are none, however certain
  double min_share = 0.005;   // of the request's time: smaller modules are judged with their parents alone
  int max_repeats = 30;       // of each side; later ones are left out
  int blocks = 6;  // of each side, of consecutive repeats: longer ones leave too few arrangements to be sure of any
  int permutations = 10'000;  // drawn where there are more; where there are fewer, all of them
};

// `now` and `before`: of the same case. INVALID_ARGUMENT where they have no module in common, or either has under
// kMinRepeats. baseline_id, baseline_started_at and changed are left to the caller.
inline constexpr int kMinRepeats = 5;
absl::StatusOr<v1::RegressionVerdict> FindRegression(const v1::RunRepeats& now, const v1::RunRepeats& before,
                                                     const RegressionOptions& options = {});

// What is not the same in two runs and may be the reason: tool, device and its cores, driver, weights.
std::vector<v1::Circumstance> Differences(const v1::Provenance& before, const v1::Provenance& now);

// Compares each measured case of `validation` with the one of the same name in `baseline`; a regression fails it.
// A case that the baseline lacks, or that cannot be compared, says so in its `regression.why` and is not failed.
void CompareWithBaseline(const v1::Validation& baseline, v1::Validation* validation);

}  // namespace dsocr::validate

#endif  // DSOCR_DAEMON_VALIDATE_REGRESSION_H_
