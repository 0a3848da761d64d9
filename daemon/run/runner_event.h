// The events of `dsocr-runner serve` (docs/runner-protocol.md), read from hostile JSON.
#ifndef DSOCR_DAEMON_RUN_RUNNER_EVENT_H_
#define DSOCR_DAEMON_RUN_RUNNER_EVENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/calibrate/calibration.h"
#include "daemon/report/report.h"
#include "dsocr/v1/profile.pb.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::run {

struct StateEvent {
  v1::RunState state = v1::RUN_STATE_LOADING;  // LOADING, WARMUP or MEASURING
  std::string message;
  std::optional<double> progress;  // 0 to 1
};

struct LoadedEvent {
  v1::DeviceInfo device;
  int64_t parameters = 0;
};

struct PreparedEvent {
  int64_t seq_len = 0;
  int64_t image_tokens = 0;
};

struct RequestEvent {
  int64_t index = 0;
  bool is_warmup = false;
  int64_t wall_ns = 0;
  int64_t off_cpu_ns = 0;                      // of that, the request's thread had no core
  std::optional<calibrate::ProbeTimes> probe;  // around it; none on a GPU, and in warm-up
  int64_t tokens = 0;                          // how many were generated
};

// Experts that at least one token picked and how often each was, by layer; of the first warm-up request.
struct ExpertsEvent {
  std::vector<report::ExpertsHit> layers;
};

struct DoneEvent {
  std::optional<std::string> text;
  int64_t peak_rss_bytes = 0;
};

// What the runner says went wrong, with its code; the message is "WHAT: WHY; WHAT TO DO".
struct ErrorEvent {
  absl::Status status;
};

using RunnerEvent =
    std::variant<StateEvent, LoadedEvent, PreparedEvent, RequestEvent, ExpertsEvent, DoneEvent, ErrorEvent>;

// INVALID_ARGUMENT, naming the key, for anything else than an event of the protocol. Unknown keys are allowed: a newer
// runner may say more.
absl::StatusOr<RunnerEvent> ParseRunnerEvent(std::string_view json);

}  // namespace dsocr::run

#endif  // DSOCR_DAEMON_RUN_RUNNER_EVENT_H_
