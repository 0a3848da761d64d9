// --overhead-budget, of every command that records.
#ifndef DSOCR_CLIENT_COMMAND_OVERHEAD_BUDGET_H_
#define DSOCR_CLIENT_COMMAND_OVERHEAD_BUDGET_H_

#include "absl/status/statusor.h"
#include "client/command_line.h"

namespace dsocr::client {

Flag OverheadBudgetFlag();

// The share of the job's time that recording may take; 0, for no limit, where the flag was not given. INVALID_ARGUMENT
// for anything but a percentage (1%) or a share (0.01), above 0 and at most half.
absl::StatusOr<double> OverheadBudget(const CommandLine& line);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_COMMAND_OVERHEAD_BUDGET_H_
