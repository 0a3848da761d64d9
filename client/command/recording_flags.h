// What every command that records a job can be told: --overhead-budget, --depth, --module-map.
#ifndef DSOCR_CLIENT_COMMAND_RECORDING_FLAGS_H_
#define DSOCR_CLIENT_COMMAND_RECORDING_FLAGS_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/command_line.h"
#include "client/io.h"
#include "dsocr/v1/profile.pb.h"

namespace dsocr::client {

Flag OverheadBudgetFlag();

// The share of the job's time that recording may take; 0, for no limit, where the flag was not given. INVALID_ARGUMENT
// for anything but a percentage (1%) or a share (0.01), above 0 and at most half.
absl::StatusOr<double> OverheadBudget(const CommandLine& line);

Flag DepthFlag();
v1::Depth Depth(const CommandLine& line);

Flag ModuleMapFlag();
// The file's text; empty where the flag was not given. Errors are ReadFile's.
absl::StatusOr<std::string> ModuleMap(const CommandLine& line, const Io& io);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_COMMAND_RECORDING_FLAGS_H_
