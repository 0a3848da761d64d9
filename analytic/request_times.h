// Every operator of a request in every pass, with its time and what it waits: what the figures of modules and their
// explanations are made of.
#ifndef DSOCR_ANALYTIC_REQUEST_TIMES_H_
#define DSOCR_ANALYTIC_REQUEST_TIMES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "analytic/device/device.h"
#include "analytic/module/frame.h"
#include "analytic/module/tree.h"
#include "analytic/op/cost.h"
#include "analytic/operator_time.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

// One operator of a leaf in the passes of one frame.
struct OperatorPass {
  int64_t calls = 0;        // 0: it does not run there, and nothing below means anything
  Cost cost;                // of one call
  OperatorTime time;        // of one call, on the device
  double idle_ns = 0;       // of all calls: a GPU waits for the host
  double sync_idle_ns = 0;  // of that, after the host had waited for the device
};

class RequestTimes {
 public:
  RequestTimes(const ModuleTree& tree, const Frames& frames, Precision precision, const Device& device);

  // Of the operator at `index` of leaf `node`, in the passes of frames[frame] of the leaf's set.
  const OperatorPass& At(const ModuleTree& tree, size_t node, size_t index, size_t frame) const {
    const auto set = static_cast<size_t>(tree.nodes[node].frames);
    return passes_[set][frame][first_slot_[node] + index];
  }

 private:
  void AddIdle(const ModuleTree& tree, const Frames& frames, const Device& device);

  std::array<std::vector<std::vector<OperatorPass>>, kFrameSetCount> passes_;  // by set, frame and slot
  std::vector<size_t> first_slot_;                                             // by node; of a leaf
};

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_REQUEST_TIMES_H_
