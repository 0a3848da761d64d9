// What CUPTI's subscriber hears: launches, on the thread that makes them, and CUDA graphs as they are captured.
//
// A launch tells its correlation id; the range open on that thread is its owner. A call of the runtime API calls the
// driver's: the outermost launch function counts, both correlation ids are remembered. A call during which a graph node
// was made was captured, not launched.
//
// CUPTI calls us on the job's threads: nothing here waits, throws or prints.
#ifndef DSOCR_CUPTI_AGENT_LAUNCH_CALLBACKS_H_
#define DSOCR_CUPTI_AGENT_LAUNCH_CALLBACKS_H_

#include <atomic>
#include <cstdint>

#include "cupti/agent/cupti_library.h"
#include "cupti/agent/graph_table.h"
#include "cupti/agent/launch_table.h"
#include "cupti/agent/ledger.h"

namespace dsocr::agent {

// What the callbacks write to. Lives for ever.
struct LaunchBooks {
  LaunchTable launches;
  StreamLedger ledger;
  GraphTable graphs;
  std::atomic<bool> is_on;            // false: launches are not heard
  std::atomic<bool> has_kinds;        // false: operations are not recorded now, so launches are not looked at
  std::atomic<uint64_t> calls;        // launch functions heard
  std::atomic<uint64_t> callback_ns;  // in callbacks: an estimate from one in kCostSample
  std::atomic<int64_t> last_launch_ns;
  std::atomic<int64_t> last_wait_ns;  // the host has waited for all that a stream or context had to do
};

// The longest name of another tool that CUPTI tells, its end included.
inline constexpr int kHolderBytes = CUPTI_OLD_SUBSCRIBER_NAME_MIN_LEN;

// False: refused; `holder` is the name of who holds CUPTI, or empty where it does not say.
bool Subscribe(const CuptiLibrary& library, LaunchBooks* books, char (&holder)[kHolderBytes]) noexcept;
void Unsubscribe(const CuptiLibrary& library) noexcept;

// Records of the driver API's launch functions alone: what CUPTI writes external correlation ids beside, where
// launches are not heard. False: this CUPTI has no such choice.
bool EnableLaunchRecords(const CuptiLibrary& library, bool enabled) noexcept;

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_LAUNCH_CALLBACKS_H_
