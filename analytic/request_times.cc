#include "analytic/request_times.h"

#include <algorithm>
#include <numeric>

#include "analytic/step.h"

namespace dsocr::analytic {

RequestTimes::RequestTimes(const ModuleTree& tree, const Frames& frames, Precision precision, const Device& device)
    : first_slot_(tree.nodes.size()) {
  std::array<size_t, kFrameSetCount> slots = {};
  for (size_t set = 0; set < kFrameSetCount; ++set) {
    passes_[set].resize(frames.sets[set].size());
  }
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    const Node& node = tree.nodes[i];
    if (!node.is_leaf()) {
      continue;
    }
    const auto set = static_cast<size_t>(node.frames);
    first_slot_[i] = slots[set];
    slots[set] += node.spec.operators.size();
    for (size_t frame = 0; frame < passes_[set].size(); ++frame) {
      const Frame& sizes = frames.sets[set][frame];
      const bool runs = node.RunsIn(sizes);
      for (const LeafOperator& leaf_operator : node.spec.operators) {
        OperatorPass& pass = passes_[set][frame].emplace_back();
        if (runs) {
          const Operator op = leaf_operator.at(sizes);
          pass.calls = sizes.passes * node.instances;
          pass.cost = CostOf(op, precision);
          pass.time = TimeOf(op, pass.cost, leaf_operator.category, precision, device);
        }
      }
    }
  }
  if (device.kind != DeviceKind::kCpu) {
    AddIdle(tree, frames, device);
  }
}

void RequestTimes::AddIdle(const ModuleTree& tree, const Frames& frames, const Device& device) {
  const HostCosts host = HostOf(device);
  StepPlan::Scratch scratch;
  std::vector<DeviceCall> calls;
  std::vector<uint32_t> itself;
  std::vector<double> idle_ns;
  double lead = 0;
  for (const FrameSet set : kExecutionOrder) {
    const StepPlan plan(tree, set);
    itself.resize(plan.slots());
    std::iota(itself.begin(), itself.end(), 0U);
    idle_ns.resize(plan.slots());
    for (size_t frame = 0; frame < frames.Of(set).size(); ++frame) {
      std::vector<OperatorPass>& passes = passes_[static_cast<size_t>(set)][frame];
      calls.clear();
      for (const OperatorPass& pass : passes) {
        const double launches = pass.cost.pieces > 0 ? static_cast<double>(pass.cost.launches) : 0;
        calls.push_back(pass.calls > 0 ? DeviceCall{pass.time.ns, launches} : DeviceCall{});
      }
      const Frame& sizes = frames.Of(set)[frame];
      lead = plan.Run(calls, itself.data(), sizes, host, lead, &scratch, idle_ns.data());
      for (size_t slot = 0; slot < passes.size(); ++slot) {
        passes[slot].idle_ns = idle_ns[slot];
        if (plan.FollowsWait(slot, sizes.is_replayed)) {
          passes[slot].sync_idle_ns =
              std::min(idle_ns[slot], SyncIdleNs(host) * static_cast<double>(passes[slot].calls));
        }
      }
    }
  }
}

}  // namespace dsocr::analytic
