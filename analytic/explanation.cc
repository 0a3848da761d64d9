#include "analytic/explanation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "analytic/cost_model.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

DistinctCall CallOf(const Explanation& explanation, const RequestTimes& times, size_t place, size_t index,
                    Precision precision, const Device& device) {
  const Node& node = explanation.tree.nodes[place];
  const std::vector<Frame>& frames = explanation.frames.Of(node.frames);
  const Frame& frame = frames[index];
  DistinctCall call;
  call.frame = index;
  call.label = FrameLabel(node.frames, frames, index);
  call.passes = frame.passes;
  call.calls = frame.passes * node.instances;
  call.input = ShapeIn(frame, node.spec.input);
  call.output = ShapeIn(frame, node.spec.output);
  call.kv_cache_elements = node.spec.kv_cache.empty() ? 0 : Product(frame, node.spec.kv_cache);
  call.held = ShapeIn(frame, node.spec.held);
  call.held_bytes = node.spec.held.empty() ? 0 : Product(frame, node.spec.held) * ElementBytes(precision);
  for (size_t i = 0; i < node.spec.operators.size(); ++i) {
    const LeafOperator& leaf_operator = node.spec.operators[i];
    const OperatorPass& pass = times.At(explanation.tree, place, i, index);
    call.operators.push_back({leaf_operator.category, Describe(leaf_operator.at(frame), precision),
                              ExplainTime(pass, leaf_operator.category, precision, device)});
    call.peak_bytes = std::max(call.peak_bytes, call.operators.back().description.live_bytes.Integer());
  }
  return call;
}

// The largest moment of a parent's call: in one of its children, whose passes are the parent's own or, where their sets
// differ (views within a request), any.
void FindPeak(const ModuleTree& tree, const std::vector<ModuleExplanation>& modules, const Node& node,
              DistinctCall* call) {
  for (const int index : node.children) {
    const bool is_other_set = tree.nodes[static_cast<size_t>(index)].frames != node.frames;
    for (const DistinctCall& inner : modules[static_cast<size_t>(index)].calls) {
      const int64_t moment = inner.peak_bytes + inner.held_bytes;
      if ((is_other_set || inner.frame == call->frame) && (call->peak_child < 0 || moment > call->peak_bytes)) {
        call->peak_bytes = moment;
        call->peak_child = index;
      }
    }
  }
}

int64_t LaunchesOf(const DistinctCall& call, bool has_census) {
  int64_t launches = 0;
  if (has_census) {
    for (const CensusEntry& entry : call.census) {
      launches += std::llround(entry.count() * static_cast<double>(call.calls));
    }
    return launches;
  }
  for (const OperatorUse& use : call.operators) {
    launches += call.calls * use.description.launches.Integer();
  }
  return launches;
}

void AddCall(const DistinctCall& call, Precision precision, Account* account) {
  account->calls += call.calls;
  account->peak_bytes = std::max(account->peak_bytes, call.peak_bytes);
  account->kv_cache_bytes += call.calls * call.kv_cache_elements * ElementBytes(precision);
  for (const OperatorUse& use : call.operators) {
    const OperatorDescription& op = use.description;
    account->flops += call.calls * op.flops.Integer();
    account->vector_flops += call.calls * op.vector_flops.Integer();
    account->read_bytes += call.calls * op.read_bytes.Integer();
    account->write_bytes += call.calls * op.write_bytes.Integer();
    account->time_ns += static_cast<double>(call.calls) * use.time.ns;
  }
}

void AddChild(const Account& child, Account* parent) {
  parent->flops += child.flops;
  parent->vector_flops += child.vector_flops;
  parent->read_bytes += child.read_bytes;
  parent->write_bytes += child.write_bytes;
  parent->launches += child.launches;
  parent->parameters += child.parameters;
  parent->weight_bytes += child.weight_bytes;
  parent->kv_cache_bytes += child.kv_cache_bytes;
  parent->time_ns += child.time_ns;
}

}  // namespace

std::string FrameLabel(FrameSet set, const std::vector<Frame>& frames, size_t index) {
  switch (set) {
    case FrameSet::kRequest:
      return "request";
    case FrameSet::kViews:
      return frames.size() == 1 ? "view" : index == 0 ? "crops" : "global view";
    case FrameSet::kPrefill:
      return "prefill";
    case FrameSet::kDecode:
      return fmt::format("step over {} keys", frames[index].keys);
  }
  return "call";
}

TimeTerms ExplainTime(const OperatorPass& pass, CategoryId category, Precision precision, const Device& device) {
  constexpr double kNsPerS = 1e9;
  const Cost& cost = pass.cost;
  TimeTerms terms;
  terms.share = EfficiencyOf(category, precision, device);
  terms.matrix_ns =
      static_cast<double>(cost.flops) * kNsPerS / (device.matrix_flops_per_s(precision) * terms.share.matrix);
  terms.vector_ns = static_cast<double>(cost.vector_flops) * kNsPerS / (device.vector_flops_per_s * terms.share.vector);
  terms.memory_ns = static_cast<double>(cost.bytes()) * kNsPerS / (device.memory_bytes_per_s * terms.share.memory);
  terms.launch_ns = static_cast<double>(cost.launches) * device.launch_ns;
  terms.floor_ns =
      device.min_kernel_ns * (device.kind == DeviceKind::kCpu ? cost.pieces : static_cast<double>(cost.launches));
  terms.datasheet_ns = DatasheetTime(cost, category, precision, device).ns;
  terms.correction = terms.datasheet_ns > 0 ? pass.time.ns / terms.datasheet_ns : 1;
  terms.idle_ns = pass.calls > 0 ? pass.idle_ns / static_cast<double>(pass.calls) : 0;
  terms.ns = pass.time.ns + terms.idle_ns;
  terms.bound = terms.idle_ns > pass.time.ns ? Bound::kLaunch : pass.time.bound;
  return terms;
}

Explanation Explain(const ModelSpec& model, const Workload& workload, const Device& device) {
  Explanation explanation;
  explanation.tree = BuildTree(model);
  explanation.frames = FramesOf(model, workload);
  explanation.has_census = device.kind == DeviceKind::kCpu && HasCensus(explanation.tree);
  explanation.modules.resize(explanation.tree.nodes.size());
  const RequestTimes times(explanation.tree, explanation.frames, workload.precision, device);
  // Depth-first order backwards: every child is complete before its parent is.
  for (size_t i = explanation.tree.nodes.size(); i-- > 0;) {
    const Node& node = explanation.tree.nodes[i];
    ModuleExplanation& module = explanation.modules[i];
    const std::vector<Frame>& frames = explanation.frames.Of(node.frames);
    for (size_t j = 0; j < frames.size(); ++j) {
      if (node.RunsIn(frames[j])) {
        DistinctCall& call = module.calls.emplace_back(CallOf(explanation, times, i, j, workload.precision, device));
        if (explanation.has_census) {
          call.census = CensusOf(explanation.tree, node, frames[j], explanation.frames.Of(FrameSet::kViews).size());
        }
        FindPeak(explanation.tree, explanation.modules, node, &call);
        AddCall(call, workload.precision, &module.account);
        module.account.launches += LaunchesOf(call, explanation.has_census);
      }
    }
    if (node.is_leaf() && node.owns_weights) {
      module.account.parameters = node.spec.parameters * node.instances;
      module.account.weight_bytes = WeightBytes(node, workload.precision) * node.instances;
    }
    if (node.parent >= 0) {
      AddChild(module.account, &explanation.modules[static_cast<size_t>(node.parent)].account);
    }
  }
  return explanation;
}

}  // namespace dsocr::analytic
