#include "daemon/attach/translate.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "daemon/attach/translator_state.h"

namespace dsocr::attach {

using record::Kind;
using record::Owner;
using record::Record;

// --- Calls of the job

// REQUIRES: number < kMaxThreads.
JobThread& Translator::State::ThreadOf(uint32_t number) {
  if (number >= threads.size()) {
    threads.resize(number + 1);
  }
  return threads[number];
}

void Translator::State::Push(const Record& record) {
  const record::PathId path = record::OwnerPath(record.range.owner);
  if (record.thread >= record::kMaxThreads || record::OwnerEntry(record.range.owner) == 0 || path == 0 ||
      !names.HasPath(path)) {
    return;
  }
  JobThread& thread = ThreadOf(record.thread);
  while (!thread.calls.empty() && record::OwnerPath(thread.calls.back().owner) != names.path(path).parent) {
    Leave(record.thread, record.range.time_ns);  // its pop was lost
  }
  if (thread.calls.empty()) {
    thread.inverse_q16 = record.range.inverse_probability_q16;
  }
  JobCall call{.owner = record.range.owner, .target = names.path(path).target, .push_ns = record.range.time_ns};
  if (call.target != kNoTarget && !names.target(call.target).has_phase && !thread.phase && IsInPass(thread)) {
    SetPhase(record.thread, Phase::kPrefill);  // the vision runs in no other
  }
  call.is_pending = call.target != kNoTarget;
  thread.calls.push_back(call);
  if (IsOutlying(thread) && !thread.phase && !names.target(call.target).has_token_ids) {
    EnterOutlying(record.thread, thread.last_phase);
  } else if (call.is_pending &&
             (thread.phase || !names.target(call.target).has_phase || names.target(call.target).is_root)) {
    Enter(record.thread, thread.calls.back());
  }
  RememberCalls(thread);
}

void Translator::State::Pop(const Record& record) {
  if (record.thread >= threads.size()) {
    return;
  }
  std::vector<JobCall>& calls = threads[record.thread].calls;
  const auto popped =
      std::find_if(calls.begin(), calls.end(), [&](const JobCall& call) { return call.owner == record.range.owner; });
  for (auto left = calls.end() - popped; left > 0; --left) {
    Leave(record.thread, record.range.time_ns);
  }
}

// --- Operations

void Translator::State::Note(const JobThread& thread, const JobCall& call) {
  JobPath& path = names.path(record::OwnerPath(call.owner));
  if (bool& is_noted = path.is_noted[static_cast<size_t>(thread.phase.value_or(Phase::kPrefill))]; !is_noted) {
    is_noted = true;
    const NodeIndex node = names.target(call.target).is_root ? names.root() : ChainOf(thread, call).back();
    observation.job_paths[names.node(node).id].insert(path.module_path);
  }
}

// Where operations of the thread's calls go from now on.
void Translator::State::RememberCalls(const JobThread& thread) {
  const Pass* const prefill = thread.phase == Phase::kPrefill ? memory.FindPass(thread.pass) : nullptr;
  const size_t pieces = prefill == nullptr ? 0 : prefill->pieces.size();
  Resolution resolution{.pass = prefill == nullptr ? 0 : thread.pass};
  for (const JobCall& call : thread.calls) {
    Resolution& place = memory.PlaceOf(call.owner);
    if (call.target != kNoTarget && !call.is_pending) {
      const std::vector<NodeIndex>& chain = ChainOf(thread, call);
      if (CommonWith(thread, chain) == chain.size()) {
        resolution.owner = thread.open[chain.size() - 1].owner;
        resolution.is_any_piece = prefill != nullptr && chain.back() == names.prefill();
        const bool is_inside = chain.size() > 1 && chain[1] == names.prefill() && pieces > 0;
        resolution.piece = static_cast<uint32_t>(pieces - (is_inside ? 1 : 0));
      } else if (place.job_owner == call.owner) {
        resolution = place;  // interrupted
      }
    }
    resolution.job_owner = call.owner;
    place = resolution;
  }
}

// Of an operation that comes when its call may be over.
Owner Translator::State::OwnerOfCall(Owner job_owner, bool is_operation) {
  const std::optional<Owner> owner = memory.OwnerOf(job_owner, is_operation);
  return owner ? *owner : names.OwnerOfPath(record::OwnerPath(job_owner));
}

bool Translator::State::CpuOperation(Record& record) {
  if (record.thread >= record::kMaxThreads) {
    return false;
  }
  std::vector<JobCall>& calls = ThreadOf(record.thread).calls;
  const Owner job_owner = record.operation.owner;
  const auto owner =
      std::find_if(calls.begin(), calls.end(), [&](const JobCall& call) { return call.owner == job_owner; });
  if (job_owner != 0 && owner == calls.end()) {
    record.operation.owner = OwnerOfCall(job_owner, false);
    return true;
  }
  for (auto left = calls.end() - owner - (job_owner != 0 ? 1 : 0); left > 0; --left) {
    Leave(record.thread, record.operation.start_ns);
  }
  if (job_owner == 0) {
    for (size_t left = calls.size(); left > 0; --left) {
      Leave(record.thread, record.operation.start_ns);
    }
  }
  if (!calls.empty() && calls.back().is_pending && !names.target(calls.back().target).has_token_ids) {
    SetPhase(record.thread, Phase::kDecode);
  }
  Settle(record.thread);
  const std::vector<OpenRange>& open = threads[record.thread].open;
  record.operation.owner = open.empty() ? names.OwnerOfPath(record::OwnerPath(job_owner)) : open.back().owner;
  return true;
}

void Translator::State::Consume(Record record) {
  switch (record.kind) {
    case Kind::kNameDefinition:
      names.DefineName(record.name_definition);
      return;
    case Kind::kPathDefinition:
      names.DefinePath(record.path_definition);
      return;
    case Kind::kRangePush:
      Push(record);
      return;
    case Kind::kRangePop:
      Pop(record);
      return;
    case Kind::kCallShape:
      CallShaped(record.thread, record.call_shape);
      return;
    case Kind::kModule:
      return;
    case Kind::kThread:
      if (record.thread < threads.size()) {
        EndRequest(threads[record.thread]);
        threads[record.thread] = JobThread();
      }
      break;
    case Kind::kCpuOperation:
    case Kind::kKernel:
    case Kind::kCopy:
    case Kind::kSet:
    case Kind::kWait:
    case Kind::kOverhead:
      if (!names.HasPath(record::OwnerPath(record.operation.owner)) || !names.HasName(record.operation.name)) {
        return;
      }
      record.operation.name = names.Translated(record.operation.name);
      if (record.kind != Kind::kCpuOperation) {
        record.operation.owner = OwnerOfCall(record.operation.owner, true);
      } else if (!CpuOperation(record)) {
        return;
      }
      break;
    case Kind::kGraphNode:
    case Kind::kGraphLaunch:
    case Kind::kMemory: {
      Owner& owner = record.kind == Kind::kGraphNode     ? record.graph_node.owner
                     : record.kind == Kind::kGraphLaunch ? record.graph_launch.owner
                                                         : record.memory.owner;
      if (!names.HasPath(record::OwnerPath(owner))) {
        return;
      }
      owner = OwnerOfCall(owner, false);
      break;
    }
    case Kind::kIncident:
      if (!names.HasName(record.incident.name)) {
        return;
      }
      record.incident.name = names.Translated(record.incident.name);
      break;
    default:
      break;
  }
  writer.Write(record);
}

Translator::Translator(const RecognisedModel& model, const absl::flat_hash_map<std::string, int>& node_of_range,
                       RecordWriter::Sink sink)
    : state_(std::make_unique<State>(model, node_of_range, std::move(sink))) {}
Translator::~Translator() = default;

void Translator::Consume(const Record& record) { state_->Consume(record); }

Observation Translator::Finish() {
  State& state = *state_;
  for (JobThread& thread : state.threads) {
    state.EndRequest(thread);
  }
  // The root is a request; its ranges are passes.
  state.names.node(state.names.root()).resumed = std::max<int64_t>(0, state.root_ranges - state.requests_ended);
  for (const TreeNode& node : state.names.nodes()) {
    if (node.resumed > 0) {
      state.observation.resumed[node.id] = node.resumed;
    }
  }
  return std::move(state.observation);
}

}  // namespace dsocr::attach
