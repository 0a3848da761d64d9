#include "cupti/attribution/attribution.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <utility>

#include "cupti/attribution/call_table.h"
#include "cupti/attribution/describe.h"
#include "cupti/attribution/dictionary.h"
#include "cupti/attribution/finished_requests.h"
#include "cupti/attribution/graphs.h"
#include "cupti/attribution/ledger.h"
#include "cupti/attribution/module_durations.h"
#include "cupti/attribution/operation_order.h"
#include "cupti/attribution/request_sums.h"
#include "cupti/attribution/run_sums.h"
#include "cupti/attribution/sampling.h"

namespace dsocr::attribution {
namespace {

using record::Kind;
using record::Record;

// Requests that are over wait for operations that lag behind; of short requests, no more than this many (11 MiB).
constexpr size_t kMaxWaitingRequests = 4096;
// Times further than this from the first one (13 days) are nonsense.
constexpr int64_t kMaxTimeDistanceNs = int64_t{1} << 50;
// All operations together; with it no sum of ours can overflow.
constexpr int64_t kMaxOperationsNs = int64_t{1} << 62;

// Calls are fetched into the cache this many records before an operation asks for them.
constexpr size_t kLookAhead = 8;

// No agent counts further; sums of a few such counts do not overflow.
constexpr uint64_t kMaxCount = uint64_t{1} << 60;

constexpr size_t kMaxJobModules = 1 << 16;

// 2^16 / a probability: of 1, and of one in a million.
constexpr uint64_t kCertainQ16 = uint64_t{1} << 16;
constexpr uint64_t kLeastLikelyQ16 = 1'000'000 * kCertainQ16;

struct Request {
  RequestSums sums;
  int64_t begin_ns = 0;
  int64_t end_ns = 0;
  bool is_open = true;
  bool is_complete = false;
};

struct Thread {
  std::vector<CallSlot> open;
  int64_t cursor_ns = 0;  // nothing on this thread happens before it
};

}  // namespace

struct Attribution::State final : GraphListener {
  explicit State(Options given)
      : options(std::move(given)),
        dictionary(options),
        graphs(options, dictionary, *this),
        requests(1),
        finished(options.keeps_repeats) {
    if (options.request_range.empty()) {
      whole = BeginRequest(0);
      requests[whole].is_complete = true;
    }
  }

  bool Consume(const Record& record);
  bool Push(const Record& record);
  bool Pop(const Record& record);
  bool CpuOperation(const Record& record);
  bool GpuOperation(const Record& record);
  bool Wait(const record::Operation& wait);
  bool GraphNode(const record::GraphNode& node);
  bool GraphLaunch(const record::GraphLaunch& launch);
  bool JobModuleSeen(const record::Module& module);
  void OnGraphOperation(const OrderedOperation& operation) override;
  void OnReplayedCall(const ReplayedCall& replayed) override;

  bool IsTime(int64_t time_ns) {
    if (time_ns < earliest_ns || time_ns > latest_ns) {
      return false;
    }
    if (!time_seen) {
      time_seen = true;
      earliest_ns = std::max(earliest_ns, time_ns - kMaxTimeDistanceNs);
      latest_ns = time_ns + kMaxTimeDistanceNs;
    }
    return true;
  }
  bool IsOperation(const record::Operation& operation);
  // REQUIRES: the dictionary has its path.
  PathIndex PathOf(record::Owner owner) const { return dictionary.IndexOf(record::OwnerPath(owner)); }
  // kNoCall: forgotten, or the entry is not one of the path.
  CallSlot CallOf(record::Owner owner) const {
    const CallSlot slot = calls.Find(record::OwnerEntry(owner));
    return slot != kNoCall && calls[slot].path == PathOf(owner) ? slot : kNoCall;
  }
  Thread& ThreadOf(uint32_t number);
  PathIndex OpenPath(const Thread& thread) const { return thread.open.empty() ? 0 : calls[thread.open.back()].path; }
  void Resync(Thread& thread, PathIndex path, int64_t time_ns);
  void Open(Thread& thread, PathIndex path, uint64_t entry, int64_t time_ns, float weight);
  void CloseInnermost(Thread& thread, int64_t time_ns, bool is_popped);
  void CloseAll(Thread& thread);
  void Retire();
  void Sweep(const OrderedOperation& operation);
  RequestSlot BeginRequest(int64_t time_ns);
  void CloseRequest(RequestSlot slot);
  RequestSlot RequestAt(int64_t time_ns) const;
  std::vector<LiveModule> Live() const;
  Result Finish();

  const Options options;
  Dictionary dictionary;
  std::vector<Thread> threads;  // by number
  CallTable calls;
  Graphs graphs;

  std::deque<Request> requests;  // slots, from 1
  std::vector<RequestSlot> free_requests;
  std::deque<RequestSlot> measured;  // not closed yet, in order of begin
  RequestSlot whole = kNoRequest;    // the one request where no range marks requests
  int requests_seen = 0;

  OperationOrder order;
  RequestSlot last_swept = kNoRequest;  // whose operation left the order last: a wait is of its request
  bool gpu_seen = false;                // an operation of it
  bool is_gpu = false;                  // something of a GPU was recorded
  bool time_seen = false;
  int64_t earliest_ns = 1;  // what counts as a time: once one is seen, those not far from it
  int64_t latest_ns = int64_t{1} << 60;
  int64_t operations_ns = 0;

  FinishedRequests finished;
  ModuleDurations durations;
  Ledger ledger;
  DeviceTimeEstimate estimate;
  RunSums run;
  record::Statistics statistics{};
  uint64_t dropped = 0;
  int64_t received = 0;
  int64_t invalid = 0;
  int64_t requests_ended = 0;
  std::vector<JobModule> job_modules;
};

bool Attribution::State::IsOperation(const record::Operation& operation) {
  return dictionary.HasPath(record::OwnerPath(operation.owner)) && dictionary.HasName(operation.name) &&
         IsTime(operation.start_ns) && IsTime(operation.end_ns) && operation.end_ns >= operation.start_ns &&
         operation.end_ns - operation.start_ns <= kMaxOperationsNs - operations_ns;
}

// REQUIRES: number < kMaxThreads.
Thread& Attribution::State::ThreadOf(uint32_t number) {
  if (number >= threads.size()) {
    threads.resize(number + 1);
  }
  return threads[number];
}

bool Attribution::State::Consume(const Record& record) {
  switch (record.kind) {
    case Kind::kThread:
      if (record.thread >= record::kMaxThreads) {
        return false;
      }
      CloseAll(ThreadOf(record.thread));
      return true;
    case Kind::kNameDefinition:
      return dictionary.DefineName(record.name_definition);
    case Kind::kPathDefinition:
      return dictionary.DefinePath(record.path_definition);
    case Kind::kRangePush:
      return Push(record);
    case Kind::kRangePop:
      return Pop(record);
    case Kind::kCpuOperation:
      return CpuOperation(record);
    case Kind::kKernel:
    case Kind::kCopy:
    case Kind::kSet:
      return GpuOperation(record);
    case Kind::kGraphNode:
      return GraphNode(record.graph_node);
    case Kind::kGraphGone:
      return graphs.Forget(record.graph_gone.graph);
    case Kind::kGraphLaunch:
      return GraphLaunch(record.graph_launch);
    case Kind::kWait:
      return Wait(record.operation);
    case Kind::kOverhead:
      is_gpu = true;
      return IsOperation(record.operation) && run.AddOverhead(record.operation.end_ns - record.operation.start_ns);
    case Kind::kMemory:
      is_gpu = true;
      return dictionary.HasPath(record::OwnerPath(record.memory.owner)) && run.AddMemory(record.memory.bytes);
    case Kind::kLedger:
      is_gpu = true;
      return ledger.Set(record.device, record.ledger);
    case Kind::kIncident:
      return run.SetIncident(dictionary, record.incident);
    case Kind::kAgentCost:
      return run.SetAgentCost(record.agent_cost);
    case Kind::kStatistics:
      if (record.statistics.lost_operations > kMaxCount || record.statistics.invalid > kMaxCount) {
        return false;
      }
      statistics = record.statistics;
      return true;
    case Kind::kDropped:
      if (record.dropped.total > kMaxCount) {
        return false;
      }
      dropped = std::max(dropped, record.dropped.total);
      return true;
    case Kind::kModule:
      return JobModuleSeen(record.module);
    case Kind::kCallShape:
      return dictionary.HasPath(record::OwnerPath(record.call_shape.owner));
    case Kind::kNone:
      return false;
    default:
      return record.kind <= static_cast<Kind>(record::kLastKind);
  }
}

bool Attribution::State::JobModuleSeen(const record::Module& module) {
  std::optional<JobModule> told = dictionary.JobModuleOf(module);
  if (told && job_modules.size() < kMaxJobModules) {
    job_modules.push_back(*std::move(told));
  }
  return told.has_value();
}

// --- Ranges
// ------------------------------------------------------------------------------------------------------------------------

void Attribution::State::Open(Thread& thread, PathIndex path, uint64_t entry, int64_t time_ns, float weight) {
  const CallSlot slot = calls.Open(entry);
  Call& call = calls[slot];
  call.path = path;
  call.host_ns = time_ns;
  call.weight = weight;
  call.request = whole;
  if (!thread.open.empty()) {
    call.parent = thread.open.back();
    call.request = calls[call.parent].request;
    call.weight = calls[call.parent].weight;
  }
  if (whole == kNoRequest && dictionary.path(path).is_request) {
    call.is_request = true;
    if (requests_seen++ >= options.skip_requests) {
      call.request = BeginRequest(time_ns);
    }
  }
  call.is_unit = options.request_range.empty() ? thread.open.empty() : call.is_request;
  thread.open.push_back(slot);
}

void Attribution::State::CloseInnermost(Thread& thread, int64_t time_ns, bool is_popped) {
  const CallSlot slot = thread.open.back();
  thread.open.pop_back();
  Call& call = calls[slot];
  call.host_ns = time_ns - call.host_ns;
  requests_ended += is_popped && call.is_unit ? 1 : 0;
  if (call.request != kNoRequest) {
    Request& request = requests[call.request];
    if (dictionary.path(call.path).enters_module) {
      request.sums.AddCall(call.path, call.host_ns);
    }
    if (call.is_request) {
      request.end_ns = time_ns;
      request.is_open = false;
      request.is_complete = is_popped;
    }
  }
  // Calls of warm-up are remembered too: their kernels may run when a measured request has begun, and are not its own.
  calls.Close(slot);
  if (calls.closed_count() > CallTable::kMaxClosed || measured.size() > kMaxWaitingRequests) {
    Retire();
  }
}

void Attribution::State::CloseAll(Thread& thread) {
  while (!thread.open.empty()) {
    CloseInnermost(thread, thread.cursor_ns, false);
  }
}

// Makes `path` the thread's innermost open range. It is, unless a push or a pop was lost.
void Attribution::State::Resync(Thread& thread, PathIndex path, int64_t time_ns) {
  if (path == OpenPath(thread)) {
    return;
  }
  std::vector<PathIndex> chain;  // from `path` up, until a range that is open
  for (;; path = dictionary.path(path).parent) {
    const auto is_this = [this, path](CallSlot slot) { return calls[slot].path == path; };
    if (path == 0 || std::any_of(thread.open.begin(), thread.open.end(), is_this)) {
      break;
    }
    chain.push_back(path);
  }
  while (OpenPath(thread) != path) {
    CloseInnermost(thread, time_ns, false);
  }
  for (; !chain.empty(); chain.pop_back()) {
    Open(thread, chain.back(), 0, time_ns, 1);
  }
}

bool Attribution::State::Push(const Record& record) {
  const uint64_t entry = record::OwnerEntry(record.range.owner);
  if (record.thread >= record::kMaxThreads || entry == 0 || record::OwnerPath(record.range.owner) == 0 ||
      !dictionary.HasPath(record::OwnerPath(record.range.owner)) || !IsTime(record.range.time_ns) ||
      calls.Find(entry) != kNoCall) {
    return false;
  }
  float weight = 1;
  if (const uint64_t inverse_q16 = record.range.inverse_probability_q16; inverse_q16 != 0) {
    if (inverse_q16 < kCertainQ16 || inverse_q16 > kLeastLikelyQ16) {
      return false;
    }
    weight = static_cast<float>(inverse_q16) / static_cast<float>(kCertainQ16);
  }
  const PathIndex path = PathOf(record.range.owner);
  Thread& thread = ThreadOf(record.thread);
  thread.cursor_ns = std::max(thread.cursor_ns, record.range.time_ns);
  Resync(thread, dictionary.path(path).parent, thread.cursor_ns);
  Open(thread, path, entry, thread.cursor_ns, weight);
  if (const RequestSlot request = calls[thread.open.back()].request; request != kNoRequest) {
    requests[request].sums.AddRangeRecord();
  }
  return true;
}

bool Attribution::State::Pop(const Record& record) {
  const uint64_t entry = record::OwnerEntry(record.range.owner);
  if (record.thread >= threads.size() || entry == 0 || !IsTime(record.range.time_ns)) {
    return false;
  }
  Thread& thread = threads[record.thread];
  const auto found = std::find_if(thread.open.rbegin(), thread.open.rend(),
                                  [this, entry](CallSlot slot) { return calls[slot].entry == entry; });
  if (found == thread.open.rend()) {
    return false;
  }
  const CallSlot popped = *found;
  thread.cursor_ns = std::max(thread.cursor_ns, record.range.time_ns);
  if (const RequestSlot request = calls[popped].request; request != kNoRequest) {
    requests[request].sums.AddRangeRecord();
  }
  while (thread.open.back() != popped) {
    CloseInnermost(thread, thread.cursor_ns, false);
  }
  CloseInnermost(thread, thread.cursor_ns, true);
  return true;
}

// --- Operations
// --------------------------------------------------------------------------------------------------------------------

// The measured request in which something without an owner happened; the latest, where several overlap.
RequestSlot Attribution::State::RequestAt(int64_t time_ns) const {
  if (whole != kNoRequest) {
    return whole;
  }
  for (auto slot = measured.rbegin(); slot != measured.rend(); ++slot) {
    const Request& request = requests[*slot];
    if (request.begin_ns <= time_ns && (request.is_open || time_ns <= request.end_ns)) {
      return *slot;
    }
  }
  return kNoRequest;
}

bool Attribution::State::CpuOperation(const Record& record) {
  const record::Operation& operation = record.operation;
  if (record.thread >= record::kMaxThreads || !IsOperation(operation)) {
    return false;
  }
  const PathIndex path = PathOf(operation.owner);
  Thread& thread = ThreadOf(record.thread);
  if (operation.start_ns < thread.cursor_ns) {
    return false;  // outermost calls of a thread do not overlap
  }
  Resync(thread, path, operation.start_ns);
  thread.cursor_ns = operation.end_ns;
  if (gpu_seen) {
    return true;
  }
  operations_ns += operation.end_ns - operation.start_ns;
  if (path != 0) {
    calls[thread.open.back()].device_ns += operation.end_ns - operation.start_ns;
  }
  const RequestSlot request = path == 0 ? RequestAt(operation.start_ns) : calls[thread.open.back()].request;
  if (request != kNoRequest) {
    requests[request].sums.AddCpuOperation(dictionary, path, dictionary.Category(record.kind, path, operation.name),
                                           operation.start_ns, operation.end_ns, operation.detail);
  }
  return true;
}

bool Attribution::State::GpuOperation(const Record& record) {
  const record::Operation& operation = record.operation;
  is_gpu = true;
  const bool is_valid = IsOperation(operation);
  ledger.Count({record.device, operation.context, operation.stream}, is_valid);
  if (!is_valid) {
    return false;
  }
  if (!gpu_seen) {
    gpu_seen = true;
    for (const RequestSlot slot : measured) {
      requests[slot].sums.DropOperations();
    }
    calls.DropDeviceTimes();
    estimate.DropTimes();
  }
  operations_ns += operation.end_ns - operation.start_ns;
  const PathIndex path = PathOf(operation.owner);
  RequestSlot request = kNoRequest;
  if (const CallSlot slot = CallOf(operation.owner); slot != kNoCall) {
    Call& call = calls[slot];
    call.Cover(operation.start_ns, operation.end_ns);
    call.device_ns += operation.end_ns - operation.start_ns;
    request = call.request;
  } else if (dictionary.path(path).in_request || path == 0) {
    request = kRequestByTime;
  }
  if (record.thread != 0) {
    graphs.Add({.start_ns = operation.start_ns,
                .end_ns = operation.end_ns,
                .node = operation.detail,
                .launch_path = path,
                .request = request,
                .name = operation.name,
                .graph = record.thread,
                .correlation = operation.correlation,
                .kind = record.kind});
  } else if (request != kNoRequest) {
    OrderedOperation ordered;
    ordered.request = request;
    ordered.start_ns = operation.start_ns;
    ordered.end_ns = operation.end_ns;
    ordered.path = path;
    ordered.category = dictionary.Category(record.kind, path, operation.name);
    order.Add(ordered, [this](const OrderedOperation& next) { Sweep(next); });
  }
  return true;
}

// Whichever thread waited, and in whichever range: it is the device that had nothing to do.
bool Attribution::State::Wait(const record::Operation& wait) {
  is_gpu = true;
  if (!IsOperation(wait) || !run.AddWait(wait.end_ns - wait.start_ns)) {
    return false;
  }
  order.Add({.start_ns = wait.end_ns, .end_ns = wait.start_ns, .category = kWaitEnds},
            [this](const OrderedOperation& next) { Sweep(next); });
  return true;
}

bool Attribution::State::GraphNode(const record::GraphNode& node) {
  if (node.node == 0 || node.graph == 0 || !dictionary.HasPath(record::OwnerPath(node.owner))) {
    return false;
  }
  if (node.owner == 0) {
    graphs.ForgetNode(node.node);
    return true;
  }
  std::vector<Graphs::OpenRange> open;
  CallSlot slot = CallOf(node.owner);
  if (slot == kNoCall) {
    open.push_back({record::OwnerEntry(node.owner), PathOf(node.owner)});
  }
  for (; slot != kNoCall; slot = calls[slot].parent) {
    open.push_back({calls[slot].entry, calls[slot].path});
  }
  std::reverse(open.begin(), open.end());
  return graphs.AddNode(node.node, node.graph, open);
}

bool Attribution::State::GraphLaunch(const record::GraphLaunch& launch) {
  is_gpu = true;
  if (!dictionary.HasPath(record::OwnerPath(launch.owner))) {
    return false;
  }
  graphs.CountLaunch(launch.graph);
  return true;
}

void Attribution::State::OnGraphOperation(const OrderedOperation& operation) {
  if (operation.request != kNoRequest) {
    order.Add(operation, [this](const OrderedOperation& next) { Sweep(next); });
  }
}

// The host was not there: such a call has no wall time.
void Attribution::State::OnReplayedCall(const ReplayedCall& replayed) {
  const Path& path = dictionary.path(replayed.path);
  const RequestSlot request =
      replayed.request == kRequestByTime ? RequestAt(replayed.first_operation_ns) : replayed.request;
  if (request == kNoRequest || !path.enters_module || !path.in_request) {
    return;
  }
  const int64_t span_ns = replayed.last_operation_ns - replayed.first_operation_ns;
  requests[request].sums.AddReplayedCall(replayed.path, span_ns);
  durations.Add(path.module, span_ns);
}

void Attribution::State::Sweep(const OrderedOperation& operation) {
  if (operation.category == kWaitEnds) {
    if (last_swept != kNoRequest) {
      requests[last_swept].sums.AddWait(operation.end_ns, operation.start_ns);
    }
    return;
  }
  const RequestSlot request = operation.request == kRequestByTime ? RequestAt(operation.start_ns) : operation.request;
  if (request != kNoRequest) {
    requests[request].sums.AddGpuOperation(dictionary, operation);
    last_swept = request;
  }
}

// --- Ends
// --------------------------------------------------------------------------------------------------------------------------

// Forgets the call that was closed first. Its children were closed before it, so its span is complete; it becomes part
// of its parent's, which was closed later and is still there.
void Attribution::State::Retire() {
  const Call& call = calls[calls.oldest()];
  if (call.is_request && call.request != kNoRequest) {
    graphs.ReleaseOperations(call.request);
    // Its operations have arrived as far as they ever will, and none of them starts later.
    order.ReleaseUntil(std::max(call.last_operation_ns, requests[call.request].end_ns),
                       [this](const OrderedOperation& next) { Sweep(next); });
  }
  const Path& path = dictionary.path(call.path);
  if (path.enters_module && call.request != kNoRequest) {
    if (!gpu_seen) {
      durations.Add(path.module, call.host_ns);
    } else if (call.first_operation_ns != 0) {
      durations.Add(path.module, call.last_operation_ns - call.first_operation_ns);
      requests[call.request].sums.AddSpan(call.path, call.last_operation_ns - call.first_operation_ns);
    }
  }
  if (call.is_unit) {
    estimate.Add(call.weight, call.device_ns);
  }
  if (call.parent != kNoCall) {
    calls[call.parent].device_ns += call.device_ns;
    if (call.first_operation_ns != 0) {
      calls[call.parent].Cover(call.first_operation_ns, call.last_operation_ns);
    }
  }
  if (call.is_request && call.request != kNoRequest) {
    graphs.ReleaseCalls(call.request);
    CloseRequest(call.request);
  }
  calls.ForgetOldest();
}

RequestSlot Attribution::State::BeginRequest(int64_t time_ns) {
  if (free_requests.empty()) {
    free_requests.push_back(static_cast<RequestSlot>(requests.size()));
    requests.emplace_back();
  }
  const RequestSlot slot = free_requests.back();
  free_requests.pop_back();
  requests[slot] = Request();
  requests[slot].begin_ns = time_ns;
  measured.push_back(slot);
  return slot;
}

void Attribution::State::CloseRequest(RequestSlot slot) {
  Request& request = requests[slot];
  last_swept = last_swept == slot ? kNoRequest : last_swept;
  measured.erase(std::find(measured.begin(), measured.end(), slot));
  free_requests.push_back(slot);
  finished.Add(dictionary, std::move(request.sums), request.is_complete);
}

std::vector<LiveModule> Attribution::State::Live() const {
  if (measured.empty()) {
    return {};
  }
  std::vector<int64_t> open(dictionary.modules().size());
  for (const Thread& thread : threads) {
    for (const CallSlot slot : thread.open) {
      if (const Path& path = dictionary.path(calls[slot].path); path.enters_module) {
        ++open[static_cast<size_t>(path.module)];
      }
    }
  }
  return DescribeLive(requests[measured.front()].sums, dictionary, open);
}

Result Attribution::State::Finish() {
  for (Thread& thread : threads) {
    CloseAll(thread);
  }
  graphs.ReleaseAllOperations();
  order.ReleaseUntil(std::numeric_limits<int64_t>::max(), [this](const OrderedOperation& next) { Sweep(next); });
  graphs.ReleaseAllCalls();
  while (calls.closed_count() > 0) {
    Retire();
  }
  if (whole != kNoRequest) {
    CloseRequest(whole);
  }
  Result result;
  result.request_total_ns = finished.total_ns();
  result.repeats = finished.Repeats(dictionary);
  result.records_received = received;
  result.records_dropped = static_cast<int64_t>(dropped + statistics.lost_operations);
  result.records_invalid = invalid + static_cast<int64_t>(statistics.invalid);
  result.clock_uncertainty_ns = statistics.clock_uncertainty_ns;
  result.unknown_ranges = dictionary.unknown_ranges();
  result.job_modules = std::move(job_modules);
  if (is_gpu) {
    result.gpu.emplace();
    result.gpu->launches_counted = ledger.has_launches() && !run.has(record::IncidentCode::kSubscriberRefused);
    result.gpu->streams = ledger.Rows();
    result.gpu->graphs = graphs.sums();
  }
  run.Write(&result);
  if (estimate.is_sampled() || run.units_seen() > run.units_recorded()) {
    result.sampling = estimate.Sums();
    if (run.units_seen() > 0) {
      result.sampling->requests_seen = run.units_seen();
      result.sampling->requests_recorded = run.units_recorded();
    }
  }
  if (const RequestSums* median = finished.Median(); median != nullptr) {
    result.request = Describe(*median, dictionary, durations.Sketches(dictionary.modules().size()));
    result.agent_cost_ns = static_cast<int64_t>((median->range_records() * statistics.range_record_ps +
                                                 median->operation_records() * statistics.operation_record_ps +
                                                 median->nested_calls() * statistics.nested_call_ps) /
                                                1000);
  }
  return result;
}

Attribution::Attribution(Options options) : state_(std::make_unique<State>(std::move(options))) {}
Attribution::~Attribution() = default;

void Attribution::Consume(std::span<const record::Record> records) {
  State& state = *state_;
  state.received += static_cast<int64_t>(records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    if (i + 2 * kLookAhead < records.size()) {
      state.calls.PrefetchPlace(record::OwnerEntry(records[i + 2 * kLookAhead].operation.owner));
      state.calls.PrefetchCall(record::OwnerEntry(records[i + kLookAhead].operation.owner));
    }
    state.invalid += state.Consume(records[i]) ? 0 : 1;
  }
}

std::vector<LiveModule> Attribution::Live() const { return state_->Live(); }

int64_t Attribution::records_received() const { return state_->received; }

bool Attribution::has_begun() const { return state_->time_seen; }

int64_t Attribution::requests_ended() const { return state_->requests_ended; }

Result Attribution::Finish() { return state_->Finish(); }

}  // namespace dsocr::attribution
