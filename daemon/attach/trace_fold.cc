#include "daemon/attach/trace_fold.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace dsocr::attach {
namespace {

using record::Kind;
using record::Owner;
using record::Record;

// The range of torch.profiler's step() is called "ProfilerStep#17": a module for each step would be no sum.
constexpr std::string_view kStep = "ProfilerStep";

bool IsStep(const std::string& name) {
  return name.size() > kStep.size() + 1 && name.starts_with(kStep) && name[kStep.size()] == '#' &&
         name.find_first_not_of("0123456789", kStep.size() + 1) == std::string::npos;
}

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// Who launched an operation of the device, when.
struct Launch {
  int64_t time_ns = kNever;
  Owner owner = 0;
};

class Fold {
 public:
  Fold(ChromeTrace trace, attribution::Options options)
      : trace_(std::move(trace)), threads_(trace_.thread_ids.size()), attribution_(std::move(options)) {
    pending_.reserve(kBatch);
  }

  absl::StatusOr<FoldedTrace> Run(const std::function<bool()>& is_cancelled);

 private:
  static constexpr size_t kBatch = 1024;
  static constexpr size_t kEventsBetweenQuestions = 1 << 14;  // some milliseconds

  struct OpenRange {
    Owner owner = 0;
    int64_t end_ns = 0;
  };
  struct Thread {
    std::vector<OpenRange> open;
    int64_t operation_end_ns = 0;  // of the last outermost operator
    Record operation{};            // it, while its calls are counted; kNone: there is none
  };

  void NameSteps();
  void SortHost();
  void FindLaunches();
  void Define();
  void Visit(const HostEvent& event, int64_t next_range_ns);
  void BeginRange(Thread& thread, const HostEvent& event);
  void Operator(Thread& thread, const HostEvent& event, int64_t next_range_ns);
  void CloseUntil(uint32_t number, int64_t time_ns);
  void EmitOperation(Thread& thread);
  void DeviceUntil(int64_t time_ns);
  Launch* LaunchOf(const HostEvent& event);
  const Launch* LaunchOf(const DeviceEvent& event) const;
  int64_t TellableAt(const DeviceEvent& event) const;
  record::PathId PathBelow(record::PathId parent, record::NameId name);
  Owner Innermost(const Thread& thread) const { return thread.open.empty() ? 0 : thread.open.back().owner; }
  void Emit(const Record& record);

  ChromeTrace trace_;
  std::vector<Thread> threads_;
  absl::flat_hash_map<uint64_t, Launch> by_correlation_;
  absl::flat_hash_map<uint64_t, Launch> by_external_id_;
  absl::flat_hash_map<uint64_t, record::PathId> path_below_;  // by parent and name
  std::vector<int> path_depth_{0};                            // by path
  uint64_t entries_ = 0;
  size_t next_device_ = 0;
  std::vector<Record> pending_;
  attribution::Attribution attribution_;
  FoldedTrace folded_;
};

void Fold::Emit(const Record& record) {
  pending_.push_back(record);
  if (pending_.size() == kBatch) {
    attribution_.Consume(pending_);
    pending_.clear();
  }
}

// Gives all steps the name of the first.
void Fold::NameSteps() {
  std::vector<bool> is_step(trace_.names.size());
  record::NameId step = 0;
  for (record::NameId name = 1; name < trace_.names.size(); ++name) {
    if (IsStep(trace_.names[name])) {
      is_step[name] = true;
      step = step == 0 ? name : step;
    }
  }
  if (step == 0) {
    return;
  }
  trace_.names[step] = kStep;
  for (HostEvent& event : trace_.host) {
    event.name = is_step[event.name] ? step : event.name;
  }
}

void Fold::Define() {
  for (record::NameId name = 1; name < trace_.names.size(); ++name) {
    const std::string& text = trace_.names[name];
    Record record{.kind = Kind::kNameDefinition};
    record.name_definition = {.name = name, .total_bytes = static_cast<uint16_t>(text.size())};
    constexpr size_t kPiece = sizeof(record.name_definition.bytes);
    for (size_t offset = 0; offset < text.size(); offset += kPiece) {
      record.name_definition.offset = static_cast<uint16_t>(offset);
      std::memset(record.name_definition.bytes, 0, kPiece);
      std::memcpy(record.name_definition.bytes, text.data() + offset, std::min(kPiece, text.size() - offset));
      Emit(record);
    }
  }
  for (uint32_t thread = 0; thread < threads_.size(); ++thread) {
    Record record{.kind = Kind::kThread, .thread = thread};
    record.thread_definition = {.os_tid = trace_.thread_ids[thread]};
    Emit(record);
  }
}

// By begin; what encloses before what is enclosed.
void Fold::SortHost() {
  std::stable_sort(trace_.host.begin(), trace_.host.end(), [](const HostEvent& a, const HostEvent& b) {
    return a.start_ns != b.start_ns ? a.start_ns < b.start_ns
           : a.end_ns != b.end_ns   ? a.end_ns > b.end_ns
                                    : a.kind < b.kind;
  });
}

Launch* Fold::LaunchOf(const HostEvent& event) {
  if (event.id == 0 || event.kind == HostKind::kRange) {
    return nullptr;
  }
  auto& launches = event.kind == HostKind::kLaunch ? by_correlation_ : by_external_id_;
  const auto found = launches.find(event.id);
  return found == launches.end() ? nullptr : &found->second;
}

const Launch* Fold::LaunchOf(const DeviceEvent& event) const {
  if (const auto found = by_correlation_.find(event.correlation);
      found != by_correlation_.end() && found->second.time_ns != kNever) {
    return &found->second;
  }
  const auto found = by_external_id_.find(event.external_id);
  return found == by_external_id_.end() || found->second.time_ns == kNever ? nullptr : &found->second;
}

// When it is over, and its launch was seen: clocks of a device may be off.
int64_t Fold::TellableAt(const DeviceEvent& event) const {
  const Launch* const launch = LaunchOf(event);
  return launch == nullptr ? event.end_ns : std::max(event.end_ns, launch->time_ns);
}

// REQUIRES: the host's events are sorted.
void Fold::FindLaunches() {
  for (const DeviceEvent& event : trace_.device) {
    if (event.correlation != 0) {
      by_correlation_.try_emplace(event.correlation);
    }
    if (event.external_id != 0) {
      by_external_id_.try_emplace(event.external_id);
    }
  }
  for (const HostEvent& event : trace_.host) {
    if (Launch* const launch = LaunchOf(event); launch != nullptr) {
      launch->time_ns = std::min(launch->time_ns, event.start_ns);
    }
  }
  std::stable_sort(trace_.device.begin(), trace_.device.end(),
                   [this](const DeviceEvent& a, const DeviceEvent& b) { return TellableAt(a) < TellableAt(b); });
}

// 0: too deep, or too many.
record::PathId Fold::PathBelow(record::PathId parent, record::NameId name) {
  const uint64_t key = uint64_t{parent} << 32 | name;
  if (const auto known = path_below_.find(key); known != path_below_.end()) {
    return known->second;
  }
  if (path_depth_.size() == record::kMaxPaths || path_depth_[parent] == static_cast<int>(record::kMaxPathDepth)) {
    return 0;
  }
  const auto path = static_cast<record::PathId>(path_depth_.size());
  path_depth_.push_back(path_depth_[parent] + 1);
  path_below_.emplace(key, path);
  Record record{.kind = Kind::kPathDefinition};
  record.path_definition = {.path = path, .parent = parent, .name = name};
  Emit(record);
  return path;
}

void Fold::EmitOperation(Thread& thread) {
  if (thread.operation.kind != Kind::kNone) {
    Emit(thread.operation);
    thread.operation.kind = Kind::kNone;
  }
}

// Ends what is over on this thread when something begins on it.
void Fold::CloseUntil(uint32_t number, int64_t time_ns) {
  Thread& thread = threads_[number];
  if (thread.operation_end_ns <= time_ns) {
    EmitOperation(thread);
  }
  while (!thread.open.empty() && thread.open.back().end_ns <= time_ns) {
    Record record{.kind = Kind::kRangePop, .thread = number};
    record.range = {.time_ns = thread.open.back().end_ns, .owner = thread.open.back().owner};
    Emit(record);
    thread.open.pop_back();
  }
}

void Fold::BeginRange(Thread& thread, const HostEvent& event) {
  const record::PathId path = PathBelow(record::OwnerPath(Innermost(thread)), event.name);
  if (path == 0) {
    ++folded_.ranges_left_out;
    return;
  }
  folded_.module_calls += event.is_module ? 1 : 0;
  const Owner owner = record::MakeOwner(path, ++entries_);
  thread.open.push_back(
      {owner, thread.open.empty() ? event.end_ns : std::min(event.end_ns, thread.open.back().end_ns)});
  Record record{.kind = Kind::kRangePush, .thread = event.thread};
  record.range = {.time_ns = event.start_ns, .owner = owner};
  Emit(record);
}

void Fold::Operator(Thread& thread, const HostEvent& event, int64_t next_range_ns) {
  if (event.start_ns < thread.operation_end_ns) {
    ++thread.operation.operation.detail;
    return;
  }
  if (next_range_ns < event.end_ns) {
    return;
  }
  const int64_t end_ns = thread.open.empty() ? event.end_ns : std::min(event.end_ns, thread.open.back().end_ns);
  thread.operation_end_ns = end_ns;
  if (!trace_.device.empty()) {
    return;  // the device's operations are the ones that count
  }
  ++folded_.operations;
  thread.operation = {.kind = Kind::kCpuOperation, .thread = event.thread};
  thread.operation.operation = {
      .start_ns = event.start_ns, .end_ns = end_ns, .owner = Innermost(thread), .name = event.name};
}

void Fold::Visit(const HostEvent& event, int64_t next_range_ns) {
  Thread& thread = threads_[event.thread];
  CloseUntil(event.thread, event.start_ns);
  if (Launch* const launch = LaunchOf(event); launch != nullptr && launch->owner == 0) {
    launch->owner = Innermost(thread);
  }
  switch (event.kind) {
    case HostKind::kRange:
      BeginRange(thread, event);
      break;
    case HostKind::kOperator:
      Operator(thread, event, next_range_ns);
      break;
    case HostKind::kLaunch:
      break;
  }
}

// Tells what the device had done before.
void Fold::DeviceUntil(int64_t time_ns) {
  for (; next_device_ < trace_.device.size() && TellableAt(trace_.device[next_device_]) < time_ns; ++next_device_) {
    const DeviceEvent& event = trace_.device[next_device_];
    const Launch* const launch = LaunchOf(event);
    folded_.without_launch += launch == nullptr ? 1 : 0;
    ++folded_.operations;
    Record record{.kind = event.kind, .device = event.device};
    record.operation = {.start_ns = event.start_ns,
                        .end_ns = event.end_ns,
                        .owner = launch == nullptr ? 0 : launch->owner,
                        .name = event.name,
                        .stream = event.stream,
                        .detail = event.bytes,
                        .correlation = static_cast<uint32_t>(event.correlation),
                        .context = event.context};
    Emit(record);
  }
}

absl::StatusOr<FoldedTrace> Fold::Run(const std::function<bool()>& is_cancelled) {
  NameSteps();
  SortHost();
  FindLaunches();
  Define();
  // When the next range begins on the event's thread.
  std::vector<int64_t> next_range(trace_.host.size(), kNever);
  std::vector<int64_t> next_of_thread(threads_.size(), kNever);
  for (size_t i = trace_.host.size(); i-- > 0;) {
    const HostEvent& event = trace_.host[i];
    next_range[i] = next_of_thread[event.thread];
    if (event.kind == HostKind::kRange) {
      next_of_thread[event.thread] = event.start_ns;
    }
  }
  for (size_t i = 0; i < trace_.host.size(); ++i) {
    if (i % kEventsBetweenQuestions == 0 && is_cancelled()) {
      return absl::CancelledError("cancelled");
    }
    DeviceUntil(trace_.host[i].start_ns);
    Visit(trace_.host[i], next_range[i]);
  }
  for (uint32_t thread = 0; thread < threads_.size(); ++thread) {
    CloseUntil(thread, kNever);
  }
  DeviceUntil(kNever);
  attribution_.Consume(pending_);
  folded_.attribution = attribution_.Finish();
  return std::move(folded_);
}

}  // namespace

absl::StatusOr<FoldedTrace> FoldTrace(ChromeTrace trace, attribution::Options options,
                                      const std::function<bool()>& is_cancelled) {
  return Fold(std::move(trace), std::move(options)).Run(is_cancelled);
}

}  // namespace dsocr::attach
