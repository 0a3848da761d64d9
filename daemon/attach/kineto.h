// A live job by PyTorch's own profiler: what the route `kineto` of docs/attach.md does.
#ifndef DSOCR_DAEMON_ATTACH_KINETO_H_
#define DSOCR_DAEMON_ATTACH_KINETO_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cupti/attribution/attribution.h"
#include "daemon/attach/kineto_server.h"

namespace dsocr::attach {

struct KinetoRecording {
  attribution::Result attribution;
  std::vector<std::string> notes;  // what a reader of the numbers must know: what it cost, what is missing
};

// Blocks until the trace is there and folded. Errors: those of TakeKinetoTrace() and ReadChromeTrace(), and
// FAILED_PRECONDITION where nothing of PyTorch ran meanwhile.
absl::StatusOr<KinetoRecording> RecordWithKineto(const Target& target, const KinetoRequest& request,
                                                 attribution::Options options, int stop_fd);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_KINETO_H_
