// The daemon's end of PyTorch's on-demand profiler: asks one process for one trace.
//
// A process that was started with KINETO_USE_DAEMON asks every few seconds, by datagram, whether there is something to
// record. The answer says what, for how long, and into which file; when it is done the file is renamed into place.
//
// Anybody on the machine may send datagrams to that name. Who sent one is known from the kernel (SCM_CREDENTIALS), and
// only the wanted process of the wanted user is answered, once; everybody else is not heard.
#ifndef DSOCR_DAEMON_ATTACH_KINETO_SERVER_H_
#define DSOCR_DAEMON_ATTACH_KINETO_SERVER_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "daemon/attach/target.h"

namespace dsocr::attach {

inline constexpr absl::Duration kMinKinetoDuration = absl::Milliseconds(1);
inline constexpr absl::Duration kMaxKinetoDuration = absl::Seconds(30);
// The process asks every 5 s, or as often as ON_DEMAND_CONFIG_UPDATE_INTERVAL_SECS says in the file that its
// KINETO_CONFIG names.
inline constexpr absl::Duration kKinetoAskTimeout = absl::Seconds(6);

struct KinetoRequest {
  absl::Duration duration;  // of the recording, kMinKinetoDuration to kMaxKinetoDuration
  bool with_stacks =
      true;  // calls of modules are recorded, which slows Python code down 2.5 to 5 times, not 1.4 to 1.7
  absl::Duration ask_timeout = kKinetoAskTimeout;
};

// Asks for a trace and waits for it; the trace, open for reading. At return nothing of it is left in a file system.
//
// `stop_fd`: readable when waiting is to end (-1: never). Blocks for the duration and as long as the process takes to
// ask and to write: a few seconds. What is written while nobody waits any more has nowhere to go.
//
// REQUIRES: the target comes from Inspect(). Errors: INVALID_ARGUMENT for the duration; FAILED_PRECONDITION where it
// was started without KINETO_USE_DAEMON, another daemon serves the name, or the process
// has no /tmp to write to; DEADLINE_EXCEEDED, which says what did not happen; UNAVAILABLE where the process ended;
// CANCELLED; PERMISSION_DENIED.
absl::StatusOr<UniqueFd> TakeKinetoTrace(const Target& target, const KinetoRequest& request, int stop_fd);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_KINETO_SERVER_H_
