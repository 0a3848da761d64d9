// The inside of Translator: what is open on each thread of the job and of the translation, and the passes and requests
// that calls belong to. Its functions are in three files: translate.cc follows the job's records, translated_ranges.cc
// opens and closes ranges of the translation, observed_requests.cc tells prefill from decode.
#ifndef DSOCR_DAEMON_ATTACH_TRANSLATOR_STATE_H_
#define DSOCR_DAEMON_ATTACH_TRANSLATOR_STATE_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "cupti/record/record.h"
#include "daemon/attach/call_memory.h"
#include "daemon/attach/job_names.h"
#include "daemon/attach/recognise.h"
#include "daemon/attach/record_writer.h"
#include "daemon/attach/translate.h"

namespace dsocr::attach {

// A range of the translation.
struct OpenRange {
  NodeIndex node = 0;
  record::Owner owner = 0;
  std::vector<NodeIndex> children;  // that were entered in it
};

// A call that is open in the job.
struct JobCall {
  record::Owner owner = 0;
  TargetIndex target = kNoTarget;
  bool is_pending = false;  // waits for the phase
  bool is_shared = false;   // an outer call stands for the same node
  int64_t push_ns = 0;
};

struct JobThread {
  std::vector<JobCall> calls;
  std::vector<OpenRange> open;
  uint64_t inverse_q16 = 0;  // of the outermost call
  int64_t settled_ns = 0;    // the last pop: what is open beyond the innermost call is over since then
  std::optional<Phase> phase;
  bool is_outlying = false;            // `phase` is that of a call which is no pass
  Phase last_phase = Phase::kPrefill;  // of the pass that is over
  uint64_t pass = 0;
  int64_t tokens = 0;  // of the pass; 0: not told
  int64_t batch = 1;
  std::optional<ObservedRequest> request;
  std::vector<NodeIndex> in_vision;  // modules of its last call, where that is no module of the job
  std::vector<View> views;           // of calls of the vision outside of a pass: the next prefill's
};

inline bool IsIn(const std::vector<NodeIndex>& nodes, NodeIndex node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

struct Translator::State {
  State(const RecognisedModel& model, const absl::flat_hash_map<std::string, int>& node_of_range,
        RecordWriter::Sink sink)
      : writer(std::move(sink)), names(model, node_of_range, writer), root_chain{names.root()} {}

  void Consume(record::Record record);
  void Push(const record::Record& record);
  void Pop(const record::Record& record);
  void CallShaped(uint32_t number, const record::CallShape& shape);
  bool CpuOperation(record::Record& record);

  JobThread& ThreadOf(uint32_t number);
  const std::vector<NodeIndex>& ChainOf(const JobThread& thread, const JobCall& call) const;
  const JobCall* Innermost(const JobThread& thread) const;
  bool Continues(JobThread& thread, const std::vector<NodeIndex>& chain) const;
  // The embedding runs before the vision, so it does not tell whether that will run.
  bool ComesBeforeVision(const JobCall& call) const {
    const MappedModule& target = names.target(call.target);
    return target.has_token_ids && target.chain[0].back() != names.prefill();
  }
  bool IsInPass(const JobThread& thread) const {
    return std::any_of(thread.calls.begin(), thread.calls.end(), [this](const JobCall& call) {
      return call.target != kNoTarget && names.target(call.target).has_phase;
    });
  }
  // A part of the language model that its engine calls: vLLM has the embedding before a pass, the logits after it.
  bool IsOutlying(const JobThread& thread) const {
    const auto outermost = std::find_if(thread.calls.begin(), thread.calls.end(), [this](const JobCall& call) {
      return call.target != kNoTarget && names.target(call.target).has_phase;
    });
    return outermost != thread.calls.end() && !names.target(outermost->target).is_model;
  }

  void SetPhase(uint32_t number, Phase phase);
  void EnterOutlying(uint32_t number, Phase phase);
  void EndOutlying(JobThread& thread);
  void EndPass(JobThread& thread);
  void EndRequest(JobThread& thread);
  void Enter(uint32_t number, JobCall& call);
  void Settle(uint32_t number);
  void Leave(uint32_t number, int64_t time_ns);
  size_t CommonWith(const JobThread& thread, const std::vector<NodeIndex>& chain) const;
  void CloseFrom(uint32_t number, size_t depth, int64_t time_ns);
  void OpenTo(uint32_t number, const std::vector<NodeIndex>& chain, int64_t time_ns);

  void Note(const JobThread& thread, const JobCall& call);
  void RememberCalls(const JobThread& thread);
  record::Owner OwnerOfCall(record::Owner job_owner, bool is_operation);

  RecordWriter writer;
  JobNames names;
  CallMemory memory;
  const std::vector<NodeIndex> root_chain;  // of a call whose phase is not known
  std::vector<JobThread> threads;
  uint64_t passes_begun = 0;
  int64_t requests_ended = 0;
  int64_t root_ranges = 0;
  Observation observation;
};

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_TRANSLATOR_STATE_H_
