#include "analytic/step.h"

#include <algorithm>
#include <limits>

namespace dsocr::analytic {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// The group of layers that a leaf is in; -1: none.
int GroupOf(const ModuleTree& tree, int node) {
  while (node >= 0) {
    const NodeSpec& spec = tree.nodes[static_cast<size_t>(node)].spec;
    if (spec.repetition == Repetition::kFor && !spec.repeats_with_passes) {
      return node;
    }
    node = tree.nodes[static_cast<size_t>(node)].parent;
  }
  return node;
}

StepPlan::Scratch::Change ChangeOf(const DeviceCall& call, const HostCosts& host) {
  const bool runs = call.launches > 0;  // chosen at the end, so that a loop of these is one of vectors
  const double kernel_ns = call.device_ns / (runs ? call.launches : 1);
  const double ahead_ns = kernel_ns - host.launch_ns;
  const double reset = host.latency_ns + kernel_ns + (call.launches - 1) * (ahead_ns > 0 ? ahead_ns : 0);
  return {call.device_ns - call.launches * host.launch_ns, runs ? reset : kNever};
}

// Runs `once` so many times, one after another, and tells `keep` for how many of them the last one stands: the rest
// follow without being run once the lead comes back, or the device is never caught up with. `once` takes the lead and
// says whether the device waited.
template <typename Once, typename Keep>
double Repeat(int64_t times, double lead, Once once, Keep keep) {
  while (times > 0) {
    const double before = lead;
    bool is_reset = false;
    lead = once(before, &is_reset);
    int64_t alike = 1;
    if (lead == before) {
      alike = times;
    } else if (!is_reset && lead > before) {
      alike = times;
      lead += static_cast<double>(times - 1) * (lead - before);
    }
    keep(static_cast<double>(alike));
    times -= alike;
  }
  return lead;
}

}  // namespace

HostCosts HostOf(const Device& device) {
  return {.launch_ns = device.launch_ns, .latency_ns = kQueueLatencyNs, .sync_ns = device.sync_ns};
}

StepPlan::StepPlan(const ModuleTree& tree, FrameSet set) {
  int group = -1;
  bool has_graph_end = false;
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    const Node& node = tree.nodes[i];
    if (!node.is_leaf() || node.frames != set || node.spec.operators.empty()) {
      continue;
    }
    if (node.spec.host_wait == HostWait::kAlways && !has_graph_end) {
      has_graph_end = true;
      graph_end_ = waits_.size();
    }
    const int own_group = GroupOf(tree, static_cast<int>(i));
    if (groups_.empty() || own_group != group) {
      groups_.push_back({.first = waits_.size(), .end = waits_.size(), .repeats = node.instances});
      group = own_group;
    }
    waits_.resize(waits_.size() + node.spec.operators.size(), HostWait::kNever);
    waits_.back() = node.spec.host_wait;
    groups_.back().end = waits_.size();
  }
  graph_end_ = has_graph_end ? graph_end_ : waits_.size();
  follows_itself_ = set == FrameSet::kDecode && !waits_.empty() && waits_.back() == HostWait::kAlways;
}

bool StepPlan::FollowsWait(size_t slot, bool is_replayed) const {
  if (slot == 0) {
    return follows_itself_;
  }
  const HostWait before = waits_[slot - 1];
  return before == HostWait::kAlways || (before == HostWait::kUnlessReplayed && !is_replayed);
}

double StepPlan::RunGroup(const Group& group, const Scratch& scratch, const uint32_t* entry_of_slot, double sync_ns,
                          double lead, bool* is_reset, double* idle_ns) const {
  for (size_t i = group.first; i < group.end; ++i) {
    const Scratch::Change& change = scratch.changes[entry_of_slot[i]];
    const double ahead = lead + change.drift;
    const bool waits = ahead < change.reset;
    idle_ns[i] = waits ? change.reset - ahead : 0;
    lead = waits ? change.reset : ahead;
    *is_reset |= waits;
    if (waits_[i] != HostWait::kNever) {
      lead = -sync_ns;  // nothing is left to do when the host goes on
      *is_reset = true;
    }
  }
  return lead;
}

double StepPlan::RunPass(const Scratch& scratch, const uint32_t* entry_of_slot, bool is_replayed, double sync_ns,
                         double lead, bool* is_reset, double* once, double* idle_ns) const {
  size_t start = 0;
  if (is_replayed && graph_end_ > 0) {
    // All of a graph is one launch; what the device waits for it stands at its first operator.
    const double ahead = lead + scratch.replay.drift;
    lead = std::max(ahead, scratch.replay.reset);
    std::fill_n(idle_ns, graph_end_, 0.0);
    idle_ns[0] = lead - ahead;
    *is_reset |= lead > ahead;
    start = graph_end_;
  }
  for (Group group : groups_) {
    group.first = std::max(group.first, start);
    if (group.first >= group.end) {
      continue;
    }
    if (group.repeats == 1) {
      lead = RunGroup(group, scratch, entry_of_slot, sync_ns, lead, is_reset, idle_ns);
      continue;
    }
    std::fill(idle_ns + group.first, idle_ns + group.end, 0.0);
    lead = Repeat(
        group.repeats, lead,
        [&](double before, bool* is_group_reset) {
          const double after = RunGroup(group, scratch, entry_of_slot, sync_ns, before, is_group_reset, once);
          *is_reset |= *is_group_reset;
          return after;
        },
        [&](double times) {
          for (size_t i = group.first; i < group.end; ++i) {
            idle_ns[i] += once[i] * times;
          }
        });
  }
  return lead;
}

double StepPlan::Run(const std::vector<DeviceCall>& calls, const uint32_t* entry_of_slot, const Frame& frame,
                     const HostCosts& host, double lead, Scratch* scratch, double* idle_ns) const {
  scratch->changes.resize(calls.size());
  for (size_t i = 0; i < calls.size(); ++i) {
    scratch->changes[i] = ChangeOf(calls[i], host);
  }
  scratch->once.resize(slots());
  scratch->pass.resize(slots());
  if (frame.is_replayed) {
    DeviceCall graph = {.device_ns = 0, .launches = 1};
    for (const Group& group : groups_) {
      for (size_t i = group.first; i < std::min(group.end, graph_end_); ++i) {
        graph.device_ns += calls[entry_of_slot[i]].device_ns * static_cast<double>(group.repeats);
      }
    }
    scratch->replay = ChangeOf(graph, host);
  }
  std::fill_n(idle_ns, slots(), 0.0);
  double* const pass = scratch->pass.data();
  return Repeat(
      frame.passes, lead,
      [&](double before, bool* is_reset) {
        return RunPass(*scratch, entry_of_slot, frame.is_replayed, host.sync_ns, before, is_reset, scratch->once.data(),
                       pass);
      },
      [&](double times) {
        for (size_t i = 0; i < slots(); ++i) {
          idle_ns[i] += pass[i] * times;
        }
      });
}

}  // namespace dsocr::analytic
