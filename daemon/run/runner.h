// dsocr-runner as the daemon sees it: commands over pipes (docs/runner-protocol.md). It may crash, lie or say
// nothing; each of these is an error here, and the process is gone when a call returns.
#ifndef DSOCR_DAEMON_RUN_RUNNER_H_
#define DSOCR_DAEMON_RUN_RUNNER_H_

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/run/runner_event.h"
#include "daemon/run/stop_source.h"
#include "daemon/run/subprocess.h"

namespace dsocr::run {

// Fits into an empty pipe, so that writing it never waits for the runner. A prompt of 8192 tokens has about 30 KB.
inline constexpr size_t kMaxRequestBytes = 48 * 1024;

struct ServeOptions {
  std::string request_json;  // at most kMaxRequestBytes
  absl::Duration silence;    // longest time without an event or a line of talk
  const StopSource* stop = nullptr;
  std::function<void(const RunnerEvent&)> on_event;  // never an ErrorEvent: that is the returned status
  std::function<void(std::string_view)> on_talk;     // a line of its stderr
};

// Executes one request: OK after "done" and exit code 0. CANCELLED once stopped; DEADLINE_EXCEEDED for silence; the
// runner's own error; INTERNAL if it died, broke the protocol, or left without "done", saying which.
absl::Status Serve(const Command& command, const ServeOptions& options);

// Runs a command that prints one document and ends, such as inspect and calibrate. Its error line and exit code become
// the status. `input`: all that it finds on its stdin, at most kMaxRequestBytes.
absl::StatusOr<std::string> Ask(const Command& command, absl::Duration limit, const StopSource& stop,
                                std::string_view input = "");

}  // namespace dsocr::run

#endif  // DSOCR_DAEMON_RUN_RUNNER_H_
