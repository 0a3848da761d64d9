#include "cupti/attribution/attribution.h"

#include <algorithm>
#include <cassert>
#include <deque>
#include <map>
#include <queue>
#include <unordered_map>
#include <utility>

#include "cupti/attribution/dictionary.h"
#include "cupti/attribution/duration_sketch.h"
#include "cupti/attribution/request_sums.h"

namespace dsocr::attribution {
namespace {

using record::Kind;
using record::Record;

// Calls that are over are remembered until this many later ones are over too: how far operations on a GPU may lag
// behind their ranges and still count in the call's own span. Beyond it they still count in their module. 65,536 calls
// are about 6 MiB.
constexpr size_t kMaxClosedCalls = 1 << 16;
// GPU operations are put in order of their start across this many: streams and buffers arrive interleaved, not
// shuffled.
constexpr size_t kReorderWindow = 1 << 14;
// Requests whose sums are kept for the choice of the median. Beyond it the extremes go first, so the median of a long
// run stays exact as long as it drifts less than this many ranks.
constexpr size_t kMaxKeptRequests = 64;
constexpr size_t kMaxRequestTotals = 1 << 20;
// Times further than this from the first one (13 days) are nonsense; with it no sum of ours can overflow.
constexpr int64_t kMaxTimeDistanceNs = int64_t{1} << 50;

struct Request {
  RequestSums sums;
  int64_t begin_ns = 0;
  int64_t end_ns = 0;
  bool is_open = true;
  bool is_complete = false;
};

// One entry of a range.
struct Call {
  uint64_t entry = 0;  // 0: its push was lost
  record::PathId path = 0;
  uint64_t parent_entry = 0;
  std::shared_ptr<Request> request;  // null: not part of a measured request
  bool is_request = false;
  int64_t start_ns = 0;
  int64_t end_ns = 0;
  int64_t first_operation_ns = 0;  // GPU; 0: none yet
  int64_t last_operation_ns = 0;
};

struct Thread {
  std::vector<Call> open;
  int64_t cursor_ns = 0;  // nothing on this thread happens before it
};

struct LaterStart {
  bool operator()(const Record& a, const Record& b) const { return a.operation.start_ns > b.operation.start_ns; }
};

}  // namespace

struct Attribution::State {
  explicit State(Options given) : options(std::move(given)), dictionary(options) {
    if (options.request_range.empty()) {
      whole = std::make_shared<Request>();
      whole->is_complete = true;
      requests.push_back(whole);
    }
  }

  bool Consume(const Record& record);
  bool Push(const Record& record);
  bool Pop(const Record& record);
  bool CpuOperation(const Record& record);
  bool GpuOperation(const Record& record);

  bool IsTime(int64_t time_ns);
  bool IsOwner(record::Owner owner) const { return dictionary.HasPath(record::OwnerPath(owner)); }
  void Resync(Thread& thread, record::PathId path, int64_t time_ns);
  void Open(Thread& thread, record::PathId path, uint64_t entry, int64_t time_ns);
  void CloseInnermost(Thread& thread, int64_t time_ns, bool is_popped);
  void Retire();
  void Sweep(const Record& record);
  void CloseRequest(Request& request);
  std::shared_ptr<Request> RequestAt(int64_t time_ns) const;
  Call* FindCall(uint64_t entry);
  Result Finish();
  RequestSum Describe(const FinishedRequest& request) const;

  const Options options;
  Dictionary dictionary;
  std::unordered_map<uint32_t, Thread> threads;
  std::shared_ptr<Request> whole;                 // the one request where no range marks requests
  std::deque<std::shared_ptr<Request>> requests;  // measured and not closed yet, in order of begin
  int requests_seen = 0;

  // Calls by entry, open ones in their thread's stack, closed ones here until they retire.
  std::unordered_map<uint64_t, std::pair<Thread*, size_t>> open_calls;
  std::unordered_map<uint64_t, Call> closed_calls;
  std::deque<uint64_t> closing_order;

  std::priority_queue<Record, std::vector<Record>, LaterStart> reorder;
  bool gpu_seen = false;
  int64_t base_ns = 0;

  std::vector<int64_t> request_totals;
  std::multimap<int64_t, FinishedRequest> kept;  // by total
  int64_t below_kept = 0;                        // totals that went from the lower end
  int64_t complete_requests = 0;
  std::vector<DurationSketch> sketches;  // by module

  record::Statistics statistics{};
  uint64_t dropped = 0;
  int64_t received = 0;
  int64_t invalid = 0;
};

bool Attribution::State::IsTime(int64_t time_ns) {
  if (base_ns == 0 && time_ns > 0 && time_ns < (int64_t{1} << 60)) {
    base_ns = time_ns;
  }
  return base_ns != 0 && time_ns > base_ns - kMaxTimeDistanceNs && time_ns < base_ns + kMaxTimeDistanceNs &&
         time_ns > 0;
}

bool Attribution::State::Consume(const Record& record) {
  switch (record.kind) {
    case Kind::kThread:
      if (record.thread >= record::kMaxThreads) {
        return false;
      }
      if (const auto gone = threads.find(record.thread); gone != threads.end()) {
        while (!gone->second.open.empty()) {
          CloseInnermost(gone->second, gone->second.cursor_ns, false);
        }
      }
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
    case Kind::kStatistics:
      statistics = record.statistics;
      return true;
    case Kind::kDropped:
      dropped = std::max(dropped, record.dropped.total);
      return true;
    case Kind::kNone:
      return false;
    default:
      return record.kind <= static_cast<Kind>(record::kLastKind);
  }
}

// --- Ranges
// ------------------------------------------------------------------------------------------------------------------------

void Attribution::State::Open(Thread& thread, record::PathId path, uint64_t entry, int64_t time_ns) {
  Call call;
  call.entry = entry;
  call.path = path;
  call.start_ns = time_ns;
  if (!thread.open.empty()) {
    call.parent_entry = thread.open.back().entry;
    call.request = thread.open.back().request;
  }
  if (whole != nullptr) {
    call.request = whole;
  } else if (dictionary.path(path).is_request) {
    call.is_request = true;
    if (requests_seen++ >= options.skip_requests) {
      call.request = std::make_shared<Request>();
      call.request->begin_ns = time_ns;
      requests.push_back(call.request);
    }
  }
  thread.open.push_back(std::move(call));
  if (entry != 0) {
    open_calls[entry] = {&thread, thread.open.size() - 1};
  }
}

void Attribution::State::CloseInnermost(Thread& thread, int64_t time_ns, bool is_popped) {
  Call call = std::move(thread.open.back());
  thread.open.pop_back();
  call.end_ns = time_ns;
  if (call.entry != 0) {
    open_calls.erase(call.entry);
  }
  if (call.request != nullptr && dictionary.path(call.path).enters_module) {
    call.request->sums.AddCall(call.path, call.end_ns - call.start_ns);
  }
  if (call.is_request && call.request != nullptr) {
    call.request->end_ns = time_ns;
    call.request->is_open = false;
    call.request->is_complete = is_popped;
  }
  // Calls of warm-up too: their kernels may run when a measured request has begun, and are not its own. A lost push has
  // no entry to be found by.
  const uint64_t entry = call.entry;
  if (entry == 0) {
    return;
  }
  closing_order.push_back(entry);
  closed_calls[entry] = std::move(call);
  if (closing_order.size() > kMaxClosedCalls) {
    Retire();
  }
}

// Makes `path` the thread's innermost open range. It is, unless a push or a pop was lost.
void Attribution::State::Resync(Thread& thread, record::PathId path, int64_t time_ns) {
  if (path == (thread.open.empty() ? 0 : thread.open.back().path)) {
    return;
  }
  std::vector<record::PathId> chain;  // from `path` up, until a range that is open
  for (;; path = dictionary.path(path).parent) {
    const auto is_this = [path](const Call& call) { return call.path == path; };
    if (path == 0 || std::any_of(thread.open.begin(), thread.open.end(), is_this)) {
      break;
    }
    chain.push_back(path);
  }
  while (!thread.open.empty() && thread.open.back().path != path) {
    CloseInnermost(thread, time_ns, false);
  }
  for (; !chain.empty(); chain.pop_back()) {
    Open(thread, chain.back(), 0, time_ns);
  }
}

bool Attribution::State::Push(const Record& record) {
  const record::PathId path = record::OwnerPath(record.range.owner);
  const uint64_t entry = record::OwnerEntry(record.range.owner);
  if (record.thread >= record::kMaxThreads || path == 0 || entry == 0 || !dictionary.HasPath(path) ||
      !IsTime(record.range.time_ns) || open_calls.count(entry) > 0) {
    return false;
  }
  Thread& thread = threads[record.thread];
  thread.cursor_ns = std::max(thread.cursor_ns, record.range.time_ns);
  Resync(thread, dictionary.path(path).parent, thread.cursor_ns);
  Open(thread, path, entry, thread.cursor_ns);
  if (Request* request = thread.open.back().request.get()) {
    request->sums.AddRangeRecord();
  }
  return true;
}

bool Attribution::State::Pop(const Record& record) {
  const auto found = threads.find(record.thread);
  if (found == threads.end() || !IsTime(record.range.time_ns)) {
    return false;
  }
  Thread& thread = found->second;
  const uint64_t entry = record::OwnerEntry(record.range.owner);
  const auto place = open_calls.find(entry);
  if (entry == 0 || place == open_calls.end() || place->second.first != &thread) {
    return false;
  }
  thread.cursor_ns = std::max(thread.cursor_ns, record.range.time_ns);
  if (Request* request = thread.open[place->second.second].request.get()) {
    request->sums.AddRangeRecord();
  }
  for (size_t index = place->second.second; thread.open.size() > index + 1;) {
    CloseInnermost(thread, thread.cursor_ns, false);
  }
  CloseInnermost(thread, thread.cursor_ns, true);
  return true;
}

// --- Operations
// --------------------------------------------------------------------------------------------------------------------

// The measured request in which something without an owner happened; the latest, where several overlap.
std::shared_ptr<Request> Attribution::State::RequestAt(int64_t time_ns) const {
  if (whole != nullptr) {
    return whole;
  }
  for (auto request = requests.rbegin(); request != requests.rend(); ++request) {
    if ((*request)->begin_ns <= time_ns && ((*request)->is_open || time_ns <= (*request)->end_ns)) {
      return *request;
    }
  }
  return nullptr;
}

bool Attribution::State::CpuOperation(const Record& record) {
  const record::Operation& operation = record.operation;
  const record::PathId path = record::OwnerPath(operation.owner);
  if (record.thread >= record::kMaxThreads || !dictionary.HasPath(path) || !dictionary.HasName(operation.name) ||
      !IsTime(operation.start_ns) || !IsTime(operation.end_ns) || operation.end_ns < operation.start_ns) {
    return false;
  }
  Thread& thread = threads[record.thread];
  if (operation.start_ns < thread.cursor_ns) {
    return false;  // outermost calls of a thread do not overlap
  }
  Resync(thread, path, operation.start_ns);
  thread.cursor_ns = operation.end_ns;
  if (gpu_seen) {
    return true;
  }
  const std::shared_ptr<Request> request = path == 0 ? RequestAt(operation.start_ns) : thread.open.back().request;
  if (request != nullptr) {
    request->sums.AddOperation(dictionary, operation, path, dictionary.Category(record.kind, path, operation.name),
                               false);
  }
  return true;
}

bool Attribution::State::GpuOperation(const Record& record) {
  const record::Operation& operation = record.operation;
  if (!IsOwner(operation.owner) || !dictionary.HasName(operation.name) || !IsTime(operation.start_ns) ||
      !IsTime(operation.end_ns) || operation.end_ns < operation.start_ns) {
    return false;
  }
  if (!gpu_seen) {
    gpu_seen = true;
    for (const auto& request : requests) {
      request->sums.DropOperations();
    }
  }
  if (Call* call = FindCall(record::OwnerEntry(operation.owner))) {
    call->first_operation_ns =
        call->first_operation_ns == 0 ? operation.start_ns : std::min(call->first_operation_ns, operation.start_ns);
    call->last_operation_ns = std::max(call->last_operation_ns, operation.end_ns);
  }
  reorder.push(record);
  if (reorder.size() > kReorderWindow) {
    const Record earliest = reorder.top();
    reorder.pop();
    Sweep(earliest);
  }
  return true;
}

void Attribution::State::Sweep(const Record& record) {
  const record::Operation& operation = record.operation;
  const record::PathId path = record::OwnerPath(operation.owner);
  std::shared_ptr<Request> request;
  if (const Call* call = FindCall(record::OwnerEntry(operation.owner))) {
    request = call->request;
  } else if (dictionary.path(path).in_request || path == 0) {
    request = RequestAt(operation.start_ns);
  }
  if (request != nullptr) {
    request->sums.AddOperation(dictionary, operation, path, dictionary.Category(record.kind, path, operation.name),
                               true);
  }
}

Call* Attribution::State::FindCall(uint64_t entry) {
  if (const auto open = open_calls.find(entry); open != open_calls.end()) {
    return &open->second.first->open[open->second.second];
  }
  const auto closed = closed_calls.find(entry);
  return closed == closed_calls.end() ? nullptr : &closed->second;
}

// --- Ends
// --------------------------------------------------------------------------------------------------------------------------

// Forgets the call that was closed first. Its children were closed before it, so its span is complete; it becomes part
// of its parent's.
void Attribution::State::Retire() {
  const auto found = closed_calls.find(closing_order.front());
  closing_order.pop_front();
  if (found == closed_calls.end()) {
    return;
  }
  if (found->second.is_request) {
    // Its operations have arrived as far as they ever will.
    while (!reorder.empty() &&
           reorder.top().operation.start_ns <= std::max(found->second.last_operation_ns, found->second.end_ns)) {
      const Record earliest = reorder.top();
      reorder.pop();
      Sweep(earliest);
    }
  }
  const Call call = std::move(found->second);
  closed_calls.erase(found);
  const Path& path = dictionary.path(call.path);
  if (path.enters_module && call.request != nullptr) {
    sketches.resize(std::max(sketches.size(), dictionary.modules().size()));
    if (!gpu_seen) {
      sketches[path.module].Add(call.end_ns - call.start_ns);
    } else if (call.first_operation_ns != 0) {
      sketches[path.module].Add(call.last_operation_ns - call.first_operation_ns);
      call.request->sums.AddSpan(call.path, call.last_operation_ns - call.first_operation_ns);
    }
  }
  if (Call* parent = call.first_operation_ns == 0 ? nullptr : FindCall(call.parent_entry)) {
    parent->first_operation_ns = parent->first_operation_ns == 0
                                     ? call.first_operation_ns
                                     : std::min(parent->first_operation_ns, call.first_operation_ns);
    parent->last_operation_ns = std::max(parent->last_operation_ns, call.last_operation_ns);
  }
  if (call.is_request && call.request != nullptr) {
    CloseRequest(*call.request);
    requests.erase(std::remove(requests.begin(), requests.end(), call.request), requests.end());
  }
}

void Attribution::State::CloseRequest(Request& request) {
  FinishedRequest finished = request.sums.Close(dictionary);
  if (!request.is_complete) {
    // Kept only where nothing better comes: a total of its own kind, below all.
    if (complete_requests == 0 && kept.empty()) {
      kept.emplace(finished.total_ns, std::move(finished));
    }
    return;
  }
  if (complete_requests++ == 0) {
    kept.clear();
  }
  if (request_totals.size() < kMaxRequestTotals) {
    request_totals.push_back(finished.total_ns);
  }
  kept.emplace(finished.total_ns, std::move(finished));
  if (kept.size() > kMaxKeptRequests) {
    const int64_t median_rank = (complete_requests - 1) / 2 - below_kept;
    if (median_rank > static_cast<int64_t>(kept.size()) / 2) {
      kept.erase(kept.begin());
      ++below_kept;
    } else {
      kept.erase(std::prev(kept.end()));
    }
  }
}

RequestSum Attribution::State::Describe(const FinishedRequest& request) const {
  RequestSum sum;
  sum.total_ns = request.total_ns;
  sum.attributed_ns = request.attributed.device_ns;
  sum.unattributed_ns = request.unattributed.device_ns;
  sum.operations = request.attributed.operations + request.unattributed.operations;
  sum.operations_unattributed = request.unattributed.operations;
  int64_t self_ns = 0;
  for (size_t i = 0; i < request.modules.size(); ++i) {
    const ModuleTotals& totals = request.modules[i];
    const Module& known = dictionary.modules()[i];
    ModuleSum module;
    module.module_id = known.module_id;
    module.parent_id = known.parent == kNoModule ? "" : dictionary.modules()[known.parent].module_id;
    module.calls = totals.calls;
    module.wall_ns = totals.wall_ns;
    module.self_device_ns = totals.self_device_ns;
    for (size_t category = 0; category < kCategoryCount; ++category) {
      const OperationSum& of = totals.with_children[category];
      if (of.operations > 0) {
        module.categories.push_back({std::string(kCategories[category]), of.operations, of.device_ns});
        module.launches += of.operations;
        module.device_ns += of.device_ns;
      }
    }
    if (module.calls == 0 && module.launches == 0) {
      continue;
    }
    module.busy_ns = request.is_gpu ? totals.busy_ns : module.device_ns;
    module.gap_ns =
        request.is_gpu ? std::max<int64_t>(0, totals.span_ns - totals.busy_ns) : module.wall_ns - module.device_ns;
    if (i < sketches.size()) {
      module.p50_ns = sketches[i].Quantile(0.50);
      module.p95_ns = sketches[i].Quantile(0.95);
    }
    self_ns += module.self_device_ns;
    sum.modules.push_back(std::move(module));
  }
  assert(self_ns == sum.attributed_ns);
  return sum;
}

Result Attribution::State::Finish() {
  for (auto& [number, thread] : threads) {
    while (!thread.open.empty()) {
      CloseInnermost(thread, thread.cursor_ns, false);
    }
  }
  while (!reorder.empty()) {
    const Record earliest = reorder.top();
    reorder.pop();
    Sweep(earliest);
  }
  while (!closing_order.empty()) {
    Retire();
  }
  while (!requests.empty()) {
    CloseRequest(*requests.front());
    requests.pop_front();
  }
  Result result;
  result.request_total_ns = std::move(request_totals);
  result.records_received = received;
  result.records_dropped = static_cast<int64_t>(dropped + statistics.lost_operations);
  result.records_invalid = invalid + static_cast<int64_t>(statistics.invalid);
  result.clock_uncertainty_ns = statistics.clock_uncertainty_ns;
  result.unknown_ranges = dictionary.unknown_ranges();
  if (kept.empty()) {
    return result;
  }
  const int64_t rank =
      std::clamp<int64_t>((complete_requests - 1) / 2 - below_kept, 0, static_cast<int64_t>(kept.size()) - 1);
  const FinishedRequest& median = std::next(kept.begin(), rank)->second;
  result.request = Describe(median);
  result.agent_cost_ns = static_cast<int64_t>((median.range_records * statistics.range_record_ps +
                                               median.operation_records * statistics.operation_record_ps +
                                               median.nested_calls * statistics.nested_call_ps) /
                                              1000);
  return result;
}

Attribution::Attribution(Options options) : state_(std::make_unique<State>(std::move(options))) {}
Attribution::~Attribution() = default;

void Attribution::Consume(const record::Record& record) {
  ++state_->received;
  if (!state_->Consume(record)) {
    ++state_->invalid;
  }
}

Result Attribution::Finish() { return state_->Finish(); }

}  // namespace dsocr::attribution
