// A trace of PyTorch's profiler, folded: its ranges and operations in the order in which an agent would have told them.
#ifndef DSOCR_DAEMON_ATTACH_TRACE_FOLD_H_
#define DSOCR_DAEMON_ATTACH_TRACE_FOLD_H_

#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "cupti/attribution/attribution.h"
#include "daemon/attach/chrome_trace.h"

namespace dsocr::attach {

struct FoldedTrace {
  attribution::Result attribution;
  int64_t module_calls = 0;
  int64_t operations = 0;       // of the device where it did any, else outermost operators
  int64_t without_launch = 0;   // operations of the device of which the trace does not say who launched them
  int64_t ranges_left_out = 0;  // nested too deep, or on too many different paths; their time is the enclosing range's
};

// What encloses what on a thread is told by time alone; of two ranges that overlap the later one is cut at the earlier
// one's end. An operator in which a range begins is no operation: those inside it are. An operation of the device
// belongs to the innermost range around its launch (by correlation id, else around the operator of its external id).
// The steps of torch.profiler are one range, ProfilerStep.
//
// `is_cancelled` is asked now and then; CANCELLED where it said so.
absl::StatusOr<FoldedTrace> FoldTrace(ChromeTrace trace, attribution::Options options,
                                      const std::function<bool()>& is_cancelled);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_TRACE_FOLD_H_
