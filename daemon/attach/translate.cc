#include "daemon/attach/translate.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "cupti/attribution/dictionary.h"
#include "daemon/attach/model_call.h"

namespace dsocr::attach {
namespace {

using record::Kind;
using record::Owner;
using record::Record;

using NodeIndex = int;  // of State::nodes
constexpr int kNone = -1;

constexpr std::string_view kRootRange = "deepseek_ocr";
constexpr std::string_view kPrefill = "prefill";
constexpr std::string_view kProjector = "projector";
constexpr std::string_view kVision = "vision";

// A view beyond these is none that the model could be called with.
constexpr uint32_t kMaxViews = 1 << 16;
constexpr uint32_t kMaxSide = 1 << 13;

// Calls of the job whose operations may still come. Each is in the place of its entry, until a later one takes it.
constexpr size_t kRemembered = 1 << 17;
constexpr size_t kPasses = 1 << 12;
constexpr size_t kMaxPieces = 64;

// What a module of the job is mapped to.
struct Target : CallKind {
  std::array<std::vector<NodeIndex>, 2> chain;  // by phase: the nodes from the root down to it
};

struct JobPath {
  record::PathId parent = 0;
  int target = kNone;
  std::string module_path;
  std::array<bool, 2> is_noted = {};  // in job_paths, by phase
};

// A node that is not a range yet has no name.
struct Node {
  std::string id;
  record::NameId name = 0;
  int64_t resumed = 0;
};

struct OpenRange {
  NodeIndex node = kNone;
  Owner owner = 0;
  std::vector<NodeIndex> children;  // that were entered in it
};

// A call that is open in the job.
struct JobCall {
  Owner owner = 0;
  int target = kNone;
  bool is_pending = false;  // waits for the phase
  bool is_shared = false;   // an outer call stands for the same node
  int64_t push_ns = 0;
};

// A call of the model. Where the vision runs inside, its prefill is in pieces. To which of them an operation of the
// device belongs, its order says: one that comes after operations of the vision belongs to the piece after the vision.
struct Pass {
  uint64_t number = 0;
  std::vector<Owner> pieces;
  size_t reached = 0;
};

// Where the operations of a call go.
struct Resolution {
  Owner job_owner = 0;
  Owner owner = 0;
  uint64_t pass = 0;
  uint32_t piece = 0;         // that the call is in, or that follows it
  bool is_any_piece = false;  // the call goes on around the vision
};

struct Thread {
  std::vector<JobCall> calls;
  std::vector<OpenRange> open;
  uint64_t inverse_q16 = 0;  // of the outermost call
  int64_t settled_ns = 0;    // the last pop: what is open beyond the innermost call is over since then
  std::optional<Phase> phase;
  uint64_t pass = 0;
  int64_t tokens = 0;  // of the pass; 0: not told
  int64_t batch = 1;
  std::optional<ObservedRequest> request;
  std::vector<NodeIndex> in_vision;  // modules of its last call, where that is no module of the job
  std::vector<View> views;           // of calls of the vision outside of a pass: the next prefill's
};

bool IsIn(const std::vector<NodeIndex>& nodes, NodeIndex node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

}  // namespace

struct Translator::State {
  State(const RecognisedModel& recognised, const absl::flat_hash_map<std::string, int>& tree, RecordWriter::Sink sink)
      : model(recognised), node_of_range(tree), writer(std::move(sink)), remembered(kRemembered), passes(kPasses) {
    root = NodeOf(std::string(kRootRange));
    prefill = NodeOf(std::string(kPrefill));
    projector = NodeOf(std::string(kProjector));
    vision = NodeOf(std::string(kVision));
    root_chain = {root};
  }

  void Consume(Record record);
  void DefinePath(const record::PathDefinition& definition);
  void Push(const Record& record);
  void Pop(const Record& record);
  void CallShaped(uint32_t number, const record::CallShape& shape);
  bool CpuOperation(Record& record);

  NodeIndex NodeOf(const std::string& id);
  int TargetOf(const std::string& module_path);
  record::NameId NameOf(record::NameId job_name);

  Thread& ThreadOf(uint32_t number);
  const std::vector<NodeIndex>& ChainOf(const Thread& thread, const JobCall& call) const;
  const JobCall* Innermost(const Thread& thread) const;
  bool Continues(Thread& thread, const std::vector<NodeIndex>& chain) const;
  // The embedding runs before the vision, so it does not tell whether that will run.
  bool ComesBeforeVision(const JobCall& call) const {
    const Target& target = targets[call.target];
    return target.has_token_ids && target.chain[0].back() != prefill;
  }
  bool IsInPass(const Thread& thread) const {
    return std::any_of(thread.calls.begin(), thread.calls.end(),
                       [this](const JobCall& call) { return call.target != kNone && targets[call.target].has_phase; });
  }

  void SetPhase(uint32_t number, Phase phase);
  void EndPass(Thread& thread);
  void EndRequest(Thread& thread);
  void Enter(uint32_t number, JobCall& call);
  void Settle(uint32_t number);
  void Leave(uint32_t number, int64_t time_ns);
  size_t CommonWith(const Thread& thread, const std::vector<NodeIndex>& chain) const;
  void CloseFrom(uint32_t number, size_t depth, int64_t time_ns);
  void OpenTo(uint32_t number, const std::vector<NodeIndex>& chain, int64_t time_ns);

  void Note(const Thread& thread, const JobCall& call);
  void RememberCalls(const Thread& thread);
  Owner OwnerOfCall(Owner job_owner, bool is_operation);
  Owner OwnerOfPath(record::PathId path);

  const RecognisedModel& model;
  const absl::flat_hash_map<std::string, int>& node_of_range;
  RecordWriter writer;
  const attribution::Options no_options;
  attribution::Dictionary dictionary{no_options};  // of the job
  std::vector<JobPath> paths{1};                   // by the job's PathId
  std::vector<record::NameId> names{0};            // by the job's NameId; 0: not used yet
  std::vector<Node> nodes;
  absl::flat_hash_map<std::string, NodeIndex> node_by_id;
  std::vector<Target> targets;
  absl::flat_hash_map<std::string, int> target_by_text;
  std::vector<Thread> threads;
  std::vector<Resolution> remembered;  // by entry
  std::vector<Pass> passes;            // by number
  uint64_t passes_begun = 0;
  int64_t requests_ended = 0;
  int64_t root_ranges = 0;
  std::vector<NodeIndex> root_chain;  // of a call whose phase is not known
  NodeIndex root = kNone;
  NodeIndex prefill = kNone;
  NodeIndex projector = kNone;
  NodeIndex vision = kNone;
  Observation observation;
};

// --- Definitions
// -------------------------------------------------------------------------------------------------------------------

NodeIndex Translator::State::NodeOf(const std::string& id) {
  const auto [known, is_new] = node_by_id.try_emplace(id, static_cast<NodeIndex>(nodes.size()));
  if (is_new) {
    nodes.push_back({.id = id});
  }
  return known->second;
}

int Translator::State::TargetOf(const std::string& module_path) {
  const std::string text =
      model.map.Find(module_path, [this](const std::string& id) { return node_of_range.contains(id); });
  if (text.empty()) {
    return kNone;
  }
  const auto [known, is_new] = target_by_text.try_emplace(text, static_cast<int>(targets.size()));
  if (!is_new) {
    return known->second;
  }
  Target target{KindOf(text)};
  for (const Phase phase : {Phase::kPrefill, Phase::kDecode}) {
    std::vector<NodeIndex>& chain = target.chain[static_cast<size_t>(phase)];
    chain.push_back(root);
    const std::string id = InPhase(target.is_root ? kPhase : text, phase);
    for (size_t end = 0; end < id.size();) {
      end = std::min(id.find('/', end + 1), id.size());
      // What one phase does not have is part of what is around it.
      if (const std::string above = id.substr(0, end); node_of_range.contains(above)) {
        chain.push_back(NodeOf(above));
      }
    }
  }
  targets.push_back(std::move(target));
  return known->second;
}

void Translator::State::DefinePath(const record::PathDefinition& definition) {
  if (!dictionary.DefinePath(definition)) {
    return;
  }
  JobPath path;
  path.parent = definition.parent;
  if (definition.is_module == 1) {
    const std::string& name = dictionary.Text(definition.name);
    if (const std::optional<std::string_view> module_path = model.PathOf(name)) {
      path.target = TargetOf(std::string(*module_path));
      path.module_path = name;
    }
  }
  paths.push_back(std::move(path));
}

// REQUIRES: the dictionary has it.
record::NameId Translator::State::NameOf(record::NameId job_name) {
  names.resize(std::max<size_t>(names.size(), job_name + 1));
  if (names[job_name] == 0) {
    names[job_name] = writer.DefineName(dictionary.Text(job_name));
  }
  return names[job_name];
}

// --- Ranges of the translation
// ----------------------------------------------------------------------------------------------------------

size_t Translator::State::CommonWith(const Thread& thread, const std::vector<NodeIndex>& chain) const {
  size_t common = 0;
  while (common < thread.open.size() && common < chain.size() && thread.open[common].node == chain[common]) {
    ++common;
  }
  return common;
}

void Translator::State::CloseFrom(uint32_t number, size_t depth, int64_t time_ns) {
  std::vector<OpenRange>& open = threads[number].open;
  while (open.size() > depth) {
    writer.Range(Kind::kRangePop, number, time_ns, open.back().owner);
    open.pop_back();
  }
}

// REQUIRES: what is open begins `chain`.
void Translator::State::OpenTo(uint32_t number, const std::vector<NodeIndex>& chain, int64_t time_ns) {
  Thread& thread = threads[number];
  while (thread.open.size() < chain.size()) {
    const NodeIndex index = chain[thread.open.size()];
    Node& node = nodes[index];
    if (node.name == 0) {
      node.name = writer.DefineName(node.id);
    }
    record::PathId parent = 0;
    if (!thread.open.empty()) {
      parent = record::OwnerPath(thread.open.back().owner);
      if (!IsIn(thread.open.back().children, index)) {
        thread.open.back().children.push_back(index);
      }
    }
    const Owner owner = writer.NewOwner(writer.PathBelow(parent, node.name));
    if (Pass& pass = passes[thread.pass % kPasses];
        index == prefill && pass.number == thread.pass && pass.pieces.size() < kMaxPieces) {
      pass.pieces.push_back(owner);
    }
    root_ranges += index == root ? 1 : 0;
    writer.Range(Kind::kRangePush, number, time_ns, owner, thread.open.empty() ? thread.inverse_q16 : 0);
    thread.open.push_back({.node = index, .owner = owner});
  }
}

const std::vector<NodeIndex>& Translator::State::ChainOf(const Thread& thread, const JobCall& call) const {
  const Target& target = targets[call.target];
  return target.is_root && !thread.phase ? root_chain
                                         : target.chain[static_cast<size_t>(thread.phase.value_or(Phase::kDecode))];
}

// The innermost call that stands for a node; null: there is none.
const JobCall* Translator::State::Innermost(const Thread& thread) const {
  const auto call = std::find_if(thread.calls.rbegin(), thread.calls.rend(),
                                 [](const JobCall& c) { return c.target != kNone && !c.is_pending; });
  return call == thread.calls.rend() ? nullptr : &*call;
}

// A stage that is no module of the job is entered for one of its modules: whether that goes on with the stage's last
// call. The projector is called once a pass; the vision, until a module of it comes again.
bool Translator::State::Continues(Thread& thread, const std::vector<NodeIndex>& chain) const {
  const bool is_in_pass = IsIn(thread.open[0].children, chain[1]);
  if (chain[1] == projector) {
    return is_in_pass;
  }
  if (chain[1] != vision) {
    return false;
  }
  const bool continues = is_in_pass && !thread.in_vision.empty() && !IsIn(thread.in_vision, chain[2]);
  if (!continues) {
    thread.in_vision.clear();
  }
  thread.in_vision.push_back(chain[2]);
  return continues;
}

// Back to the innermost call: what was left open for a sibling to come is closed, what it interrupted goes on.
void Translator::State::Settle(uint32_t number) {
  Thread& thread = threads[number];
  const JobCall* call = Innermost(thread);
  if (call == nullptr) {
    CloseFrom(number, 0, thread.settled_ns);
    return;
  }
  const std::vector<NodeIndex>& chain = ChainOf(thread, *call);
  const size_t common = CommonWith(thread, chain);
  CloseFrom(number, common, thread.settled_ns);
  if (common == chain.size()) {
    return;
  }
  OpenTo(number, chain, thread.settled_ns);
  for (size_t i = common; i < chain.size(); ++i) {
    ++nodes[chain[i]].resumed;
  }
  RememberCalls(thread);
}

// A call begins. REQUIRES: it is pending, and calls around it are not.
void Translator::State::Enter(uint32_t number, JobCall& call) {
  Thread& thread = threads[number];
  const std::vector<NodeIndex>& chain = ChainOf(thread, call);
  // How much of what is open belongs to calls around this one. The rest was opened for modules that are over.
  size_t held = 0;
  for (const JobCall* outer = thread.calls.data(); outer != &call; ++outer) {
    if (outer->target != kNone) {
      const std::vector<NodeIndex>& around = ChainOf(thread, *outer);
      held = std::max(held, CommonWith(thread, around));
      call.is_shared = call.is_shared || around.back() == chain.back();
    }
  }
  size_t kept = CommonWith(thread, chain);
  // A module that is over, or had this one inside already, is entered anew.
  for (size_t i = std::max<size_t>(held, 1); i < kept; ++i) {
    if (i + 1 == chain.size() || IsIn(thread.open[i].children, chain[i + 1])) {
      kept = i;
    }
  }
  if (kept <= held) {
    Settle(number);
    kept = CommonWith(thread, chain);
  }
  const int64_t left_ns = kept > held ? thread.settled_ns : call.push_ns;
  if (targets[call.target].is_root && !call.is_shared) {
    kept = 0;
  }
  CloseFrom(number, kept, left_ns);
  if (kept == 1 && chain.size() > 2 && Continues(thread, chain)) {
    ++nodes[chain[1]].resumed;
  }
  OpenTo(number, chain, call.push_ns);
  call.is_pending = false;
  Note(thread, call);
}

// The innermost call of the job is over.
void Translator::State::Leave(uint32_t number, int64_t time_ns) {
  Thread& thread = threads[number];
  if (thread.calls.back().is_pending && !ComesBeforeVision(thread.calls.back())) {
    SetPhase(number, Phase::kDecode);
  }
  const JobCall call = thread.calls.back();
  if (call.target != kNone && !call.is_pending) {
    Settle(number);
    if (!call.is_shared) {
      const Target& target = targets[call.target];
      CloseFrom(number, target.is_root ? 0 : ChainOf(thread, call).size() - 1, time_ns);
    }
    thread.settled_ns = time_ns;
  }
  thread.calls.pop_back();
  if (thread.phase && !IsInPass(thread)) {
    EndPass(thread);
  }
}

// --- Passes and requests
// ----------------------------------------------------------------------------------------------------------------

void Translator::State::SetPhase(uint32_t number, Phase phase) {
  Thread& thread = threads[number];
  thread.phase = phase;
  thread.pass = ++passes_begun;
  passes[thread.pass % kPasses] = {.number = thread.pass};
  if (phase == Phase::kPrefill) {
    EndRequest(thread);
    thread.request = ObservedRequest{.views = std::move(thread.views), .batch = thread.batch};
    thread.views.clear();
  } else if (!thread.request) {
    thread.request = ObservedRequest{.batch = thread.batch};
  }
  for (JobCall& call : thread.calls) {
    if (call.target == kNone) {
      continue;
    }
    if (call.is_pending) {
      Enter(number, call);
    } else if (targets[call.target].is_root) {
      CloseFrom(number, CommonWith(thread, ChainOf(thread, call)), thread.settled_ns);
      OpenTo(number, ChainOf(thread, call), call.push_ns);
    }
  }
  RememberCalls(thread);
}

// Only a pass that is over is one of its request: what the end of the recording cuts is not.
void Translator::State::EndPass(Thread& thread) {
  if (thread.phase == Phase::kDecode) {
    ++thread.request->steps;
  } else {
    thread.request->seq_len = thread.tokens;
    thread.request->batch = thread.batch;
  }
  thread.phase.reset();
  thread.tokens = 0;
  thread.batch = 1;
}

void Translator::State::EndRequest(Thread& thread) {
  if (!thread.request) {
    return;
  }
  ++requests_ended;
  std::map<ObservedRequest, int64_t>& requests = observation.requests;
  if (requests.size() < Observation::kMaxDistinct || requests.count(*thread.request) > 0) {
    ++requests[*thread.request];
  }
  thread.request.reset();
}

void Translator::State::CallShaped(uint32_t number, const record::CallShape& told) {
  if (number >= threads.size() || threads[number].calls.empty()) {
    return;
  }
  Thread& thread = threads[number];
  const JobCall& call = thread.calls.back();
  if (call.owner != told.owner || call.target == kNone || told.rank == 0 || told.rank > 4) {
    return;
  }
  const Target& target = targets[call.target];
  if (target.has_pixels && told.rank == 4) {
    const bool is_told = std::any_of(thread.calls.begin(), thread.calls.end() - 1, [this](const JobCall& outer) {
      return outer.target != kNone && targets[outer.target].has_pixels;
    });
    const uint32_t side = std::max(told.shape[2], told.shape[3]);
    std::vector<View>& views = thread.phase && thread.request ? thread.request->views : thread.views;
    if (!is_told && told.shape[0] >= 1 && told.shape[0] <= kMaxViews && side >= 1 && side <= kMaxSide &&
        views.size() < Observation::kMaxViews) {
      views.push_back({.batch = told.shape[0], .side = side});
    }
  }
  if (!target.has_phase || thread.tokens != 0) {
    return;
  }
  const std::optional<PassTokens> pass = TokensOf(told, target);
  if (!pass || thread.phase.value_or(pass->phase()) != pass->phase()) {
    return;
  }
  thread.batch = pass->batch;
  thread.tokens = pass->tokens;
  if (!thread.phase) {
    SetPhase(number, pass->phase());
  }
}

// --- Calls of the job
// ---------------------------------------------------------------------------------------------------------------------

// REQUIRES: number < kMaxThreads.
Thread& Translator::State::ThreadOf(uint32_t number) {
  if (number >= threads.size()) {
    threads.resize(number + 1);
  }
  return threads[number];
}

void Translator::State::Push(const Record& record) {
  const record::PathId path = record::OwnerPath(record.range.owner);
  if (record.thread >= record::kMaxThreads || record::OwnerEntry(record.range.owner) == 0 || path == 0 ||
      !dictionary.HasPath(path)) {
    return;
  }
  Thread& thread = ThreadOf(record.thread);
  while (!thread.calls.empty() && record::OwnerPath(thread.calls.back().owner) != paths[path].parent) {
    Leave(record.thread, record.range.time_ns);  // its pop was lost
  }
  if (thread.calls.empty()) {
    thread.inverse_q16 = record.range.inverse_probability_q16;
  }
  JobCall call{.owner = record.range.owner, .target = paths[path].target, .push_ns = record.range.time_ns};
  if (call.target != kNone && !targets[call.target].has_phase && !thread.phase && IsInPass(thread)) {
    SetPhase(record.thread, Phase::kPrefill);  // the vision runs in no other
  }
  call.is_pending = call.target != kNone;
  thread.calls.push_back(call);
  if (call.is_pending && (thread.phase || !targets[call.target].has_phase || targets[call.target].is_root)) {
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
// ---------------------------------------------------------------------------------------------------------------------------

void Translator::State::Note(const Thread& thread, const JobCall& call) {
  JobPath& path = paths[record::OwnerPath(call.owner)];
  if (bool& is_noted = path.is_noted[static_cast<size_t>(thread.phase.value_or(Phase::kPrefill))]; !is_noted) {
    is_noted = true;
    const NodeIndex node = targets[call.target].is_root ? root : ChainOf(thread, call).back();
    observation.job_paths[nodes[node].id].insert(path.module_path);
  }
}

// Where operations of the thread's calls go from now on.
void Translator::State::RememberCalls(const Thread& thread) {
  const Pass& pass = passes[thread.pass % kPasses];
  const bool is_prefill = thread.phase == Phase::kPrefill && pass.number == thread.pass;
  Resolution resolution{.pass = is_prefill ? thread.pass : 0};
  for (const JobCall& call : thread.calls) {
    Resolution& place = remembered[record::OwnerEntry(call.owner) % kRemembered];
    if (call.target != kNone && !call.is_pending) {
      const std::vector<NodeIndex>& chain = ChainOf(thread, call);
      if (CommonWith(thread, chain) == chain.size()) {
        resolution.owner = thread.open[chain.size() - 1].owner;
        resolution.is_any_piece = is_prefill && chain.back() == prefill;
        const bool is_inside = chain.size() > 1 && chain[1] == prefill && !pass.pieces.empty();
        resolution.piece = static_cast<uint32_t>(pass.pieces.size() - (is_inside ? 1 : 0));
      } else if (place.job_owner == call.owner) {
        resolution = place;  // interrupted
      }
    }
    resolution.job_owner = call.owner;
    place = resolution;
  }
}

// By the path alone, where the call is forgotten: its module, and none of its calls.
Owner Translator::State::OwnerOfPath(record::PathId path) {
  while (path != 0 && paths[path].target == kNone) {
    path = paths[path].parent;
  }
  if (path == 0) {
    return 0;
  }
  record::PathId own = 0;
  for (const NodeIndex index : targets[paths[path].target].chain[static_cast<size_t>(Phase::kDecode)]) {
    Node& node = nodes[index];
    if (node.name == 0) {
      node.name = writer.DefineName(node.id);
    }
    own = writer.PathBelow(own, node.name);
  }
  return record::MakeOwner(own, 0);
}

// Of an operation that comes when its call may be over.
Owner Translator::State::OwnerOfCall(Owner job_owner, bool is_operation) {
  const Resolution& resolution = remembered[record::OwnerEntry(job_owner) % kRemembered];
  if (job_owner == 0 || resolution.job_owner != job_owner) {
    return OwnerOfPath(record::OwnerPath(job_owner));
  }
  Pass& pass = passes[resolution.pass % kPasses];
  if (!is_operation || resolution.pass == 0 || pass.number != resolution.pass) {
    return resolution.owner;
  }
  if (!resolution.is_any_piece) {
    pass.reached = std::max<size_t>(pass.reached, resolution.piece);
    return resolution.owner;
  }
  return pass.reached < pass.pieces.size() ? pass.pieces[pass.reached]
                                           : record::MakeOwner(record::OwnerPath(resolution.owner), 0);
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
  if (!calls.empty() && calls.back().is_pending && !targets[calls.back().target].has_token_ids) {
    SetPhase(record.thread, Phase::kDecode);
  }
  Settle(record.thread);
  const std::vector<OpenRange>& open = threads[record.thread].open;
  record.operation.owner = open.empty() ? OwnerOfPath(record::OwnerPath(job_owner)) : open.back().owner;
  return true;
}

void Translator::State::Consume(Record record) {
  switch (record.kind) {
    case Kind::kNameDefinition:
      dictionary.DefineName(record.name_definition);
      return;
    case Kind::kPathDefinition:
      DefinePath(record.path_definition);
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
        threads[record.thread] = Thread();
      }
      break;
    case Kind::kCpuOperation:
    case Kind::kKernel:
    case Kind::kCopy:
    case Kind::kSet:
    case Kind::kWait:
    case Kind::kOverhead:
      if (!dictionary.HasPath(record::OwnerPath(record.operation.owner)) ||
          !dictionary.HasName(record.operation.name)) {
        return;
      }
      record.operation.name = NameOf(record.operation.name);
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
      if (!dictionary.HasPath(record::OwnerPath(owner))) {
        return;
      }
      owner = OwnerOfCall(owner, false);
      break;
    }
    case Kind::kIncident:
      if (!dictionary.HasName(record.incident.name)) {
        return;
      }
      record.incident.name = NameOf(record.incident.name);
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
  for (Thread& thread : state_->threads) {
    state_->EndRequest(thread);
  }
  // The root is a request; its ranges are passes.
  state_->nodes[state_->root].resumed = std::max<int64_t>(0, state_->root_ranges - state_->requests_ended);
  for (const Node& node : state_->nodes) {
    if (node.resumed > 0) {
      state_->observation.resumed[node.id] = node.resumed;
    }
  }
  return std::move(state_->observation);
}

}  // namespace dsocr::attach
