// What a GPU waits for its host: the two-clock recurrence over the operators of a pass.
//
// A host starts operators one after another and does not wait for them; the device runs them in that order. Operator i
// of n kernels that take d each is started by time c, at h a launch, and done at time f:
//
//   c' = c + h, s = max(c' + latency, f), f' = s + d     for each kernel
//   c  = max(c, f) + sync                                where the host waits for the device
//
// All that the next operator needs to know is the device's lead f - c, and what n equal kernels do to it is
//
//   lead' = max(lead + n (d - h), latency + d + (n - 1) max(d - h, 0))
//
// in which the device waits if the second is larger, for the difference. Such maps compose like matrices over (max, +)
// (Baccelli, Cohen, Olsder, Quadrat, "Synchronization and Linearity", 1992), and where the device waits at all, what
// was before it is forgotten: so the layers of a group are run until one ends with the lead that it began with, which
// takes two or three of them, and the rest are like that one.
//
// Of a pass the operators' times and these waits sum to the time from the first one's start to the last one's end.
#ifndef DSOCR_ANALYTIC_STEP_H_
#define DSOCR_ANALYTIC_STEP_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "analytic/device/device.h"
#include "analytic/module/frame.h"
#include "analytic/module/tree.h"

namespace dsocr::analytic {

// What the host's part costs, in ns.
struct HostCosts {
  double launch_ns = 0;   // of one operator, and of the replay of a graph: from the call to its return
  double latency_ns = 0;  // from that return to the start of the kernel, where the device has nothing else to do
  double sync_ns = 0;     // from the end of the last kernel to the host's next launch, where the host waited for it
};
HostCosts HostOf(const Device& device);

// One call of an operator. Neither time nor launches: it does not run.
struct DeviceCall {
  double device_ns = 0;
  double launches = 0;
};

// Sequences of sets in which a request runs them.
inline constexpr FrameSet kExecutionOrder[] = {FrameSet::kViews, FrameSet::kRequest, FrameSet::kPrefill,
                                               FrameSet::kDecode};

// The operators of a set of frames in the order of their execution. A slot is an operator of a leaf, in the order of
// the tree. Layers of two kinds run one kind after the other, as they stand in the tree. Immutable; any number of
// threads may read one.
class StepPlan {
 public:
  StepPlan(const ModuleTree& tree, FrameSet set);

  // What `Run` needs to write in; keep one for each thread.
  struct Scratch {
    struct Change {
      double drift = 0;
      double reset = 0;
    };
    std::vector<Change> changes;  // by entry
    Change replay;                // of the whole graph
    std::vector<double> once;     // idle time by slot: of one member of a group
    std::vector<double> pass;     // and of one pass
  };

  // Runs equal passes one after another. `calls` are those of entries, and entry_of_slot[i] the entry of slot i; passes
  // that are replayed are one launch, slots after the graph apart. Sets idle_ns[i] to what the device waits for its
  // host before and between the kernels of slot i, over all calls of all passes. Returns the lead after the last.
  double Run(const std::vector<DeviceCall>& calls, const uint32_t* entry_of_slot, const Frame& frame,
             const HostCosts& host, double lead, Scratch* scratch, double* idle_ns) const;

  // Whether the host has waited for the device before it starts a slot, in each call: then SyncIdleNs of the slot's
  // idle time are for that.
  bool FollowsWait(size_t slot, bool is_replayed) const;
  size_t slots() const { return waits_.size(); }

 private:
  // Consecutive slots that run so often, all of them in turn.
  struct Group {
    size_t first = 0;
    size_t end = 0;
    int64_t repeats = 1;
  };

  double RunPass(const Scratch& scratch, const uint32_t* entry_of_slot, bool is_replayed, double sync_ns, double lead,
                 bool* is_reset, double* once, double* idle_ns) const;
  double RunGroup(const Group& group, const Scratch& scratch, const uint32_t* entry_of_slot, double sync_ns,
                  double lead, bool* is_reset, double* idle_ns) const;

  std::vector<HostWait> waits_;  // by slot, after it
  std::vector<Group> groups_;
  size_t graph_end_ = 0;         // slots before it are in the graph of a pass that is replayed
  bool follows_itself_ = false;  // a pass begins after another one like it
};

// From the end of the kernel that the host waited for to the start of the next.
inline double SyncIdleNs(const HostCosts& host) { return host.sync_ns + host.launch_ns + host.latency_ns; }

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_STEP_H_
