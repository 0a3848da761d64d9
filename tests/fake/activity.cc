#include "tests/fake/activity.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

namespace dsocr::fake {
namespace {

// As many launches as a stream of a real device takes before a launch waits, and some more.
constexpr size_t kMaxLaunchesWaiting = 1 << 14;
// To wake a sleeping thread costs the job a system call, so the worker looks by itself for a while after the last work.
constexpr auto kPollPeriod = std::chrono::microseconds(300);
constexpr int kIdleRounds = 50;
constexpr size_t kWorthCompacting = 4096;
const char* const kNowhere = reinterpret_cast<const char*>(0x10);

}  // namespace

int64_t RealTimeNs() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

uint64_t CuptiTimeNs() { return static_cast<uint64_t>(RealTimeNs() + ProcessFaults().clock_offset_ns()); }

void WorkQueue::pop() {
  items_[head_].nodes.reset();
  if (++head_ == items_.size()) {
    items_.clear();
    head_ = 0;
  } else if (head_ == kWorthCompacting) {
    items_.erase(items_.begin(), items_.begin() + kWorthCompacting);
    head_ = 0;
  }
}

Activity& ProcessActivity() {
  static Activity* const activity = new Activity;
  return *activity;
}

Activity::Activity() {
  std::thread([this] { Serve(); }).detach();
}

void Activity::Register(CUpti_BuffersCallbackRequestFunc request, CUpti_BuffersCallbackCompleteFunc complete) {
  request_ = request;
  complete_ = complete;
}

void Activity::Enable(CUpti_ActivityKind kind, bool is_enabled) {
  enabled_[kind] = is_enabled;
  is_enabled ? ProcessFaults().OnEnable() : ProcessFaults().OnDisable();
}

int Activity::enabled_kinds() const {
  return static_cast<int>(std::count(std::begin(enabled_), std::end(enabled_), true));
}

void Activity::Add(Work work, uint32_t queue) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (launches_waiting_ >= kMaxLaunchesWaiting) {
    answered_.wait(lock, [this] { return launches_waiting_ < kMaxLaunchesWaiting; });
  }
  ++launches_waiting_;
  inbox_.emplace_back(queue, std::move(work));
  if (is_asleep_) {
    wake_.notify_one();
  }
}

void Activity::Add(const HostRecord* records, size_t count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  host_inbox_.insert(host_inbox_.end(), records, records + count);
  if (is_asleep_) {
    wake_.notify_one();
  }
}

CUptiResult Activity::Flush(bool is_forced) {
  if (!is_registered()) {
    return CUPTI_ERROR_INVALID_OPERATION;
  }
  Faults& faults = ProcessFaults();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_flushing_ = true;
  }
  answered_.notify_all();
  while (faults.TakeStuckFlush()) {
    pause();
  }
  Ask(is_forced ? Request::kForcedFlush : Request::kFlush);
  faults.OnFlush();
  const std::lock_guard<std::mutex> lock(mutex_);
  is_flushing_ = false;
  return CUPTI_SUCCESS;
}

void Activity::WaitForFlush() {
  std::unique_lock<std::mutex> lock(mutex_);
  answered_.wait(lock, [this] { return is_flushing_; });
}

void Activity::Ask(Request request) {
  std::unique_lock<std::mutex> lock(mutex_);
  request_pending_ = std::max(request_pending_, request);
  const uint64_t number = ++requests_asked_;
  wake_.notify_one();
  answered_.wait(lock, [this, number] { return requests_served_ >= number; });
}

// --- The worker
// ----------------------------------------------------------------------------------------------------------------

void Activity::Serve() {
  for (;;) {
    const Request request = Take();
    const bool is_forced = request == Request::kForcedFlush;
    std::for_each(host_taken_.begin(), host_taken_.end(), [this](const HostRecord& record) { WriteHost(record); });
    host_taken_.clear();
    next_ns_ = Write(is_forced);
    if (request != Request::kNone) {
      if (request != Request::kDeliver && ProcessFaults().slow_flush_ns() > 0) {
        std::this_thread::sleep_for(std::chrono::nanoseconds(ProcessFaults().slow_flush_ns()));
      }
      Complete();
    }
    next_ns_ = std::min(next_ns_, DeliverLate(is_forced));
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      launches_waiting_ -= std::exchange(launches_done_, 0);
      requests_served_ = requests_taken_;
    }
    answered_.notify_all();
  }
}

Activity::Request Activity::Take() {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto has_work = [this] {
    return !inbox_.empty() || !host_inbox_.empty() || request_pending_ != Request::kNone;
  };
  if (has_work()) {
    idle_rounds_ = 0;
  } else if (next_ns_ != INT64_MAX || ++idle_rounds_ < kIdleRounds) {
    const std::chrono::nanoseconds until_next(next_ns_ == INT64_MAX ? 0 : next_ns_ - RealTimeNs());
    wake_.wait_for(lock, std::clamp<std::chrono::nanoseconds>(until_next, kPollPeriod, 10 * kPollPeriod));
  } else {
    is_asleep_ = true;
    wake_.wait(lock, has_work);
    is_asleep_ = false;
    idle_rounds_ = 0;
  }
  taken_.swap(inbox_);
  host_taken_.swap(host_inbox_);
  requests_taken_ = requests_asked_;
  return std::exchange(request_pending_, Request::kNone);
}

int64_t Activity::Write(bool is_forced) {
  for (auto& [queue, work] : taken_) {
    if (queue >= queues_.size()) {
      queues_.resize(queue + 1);
    }
    queues_[queue].push(std::move(work));
  }
  taken_.clear();
  int64_t next_ns = INT64_MAX;
  const int64_t now_ns = RealTimeNs();
  for (WorkQueue& queue : queues_) {
    while (!queue.empty()) {
      if (const int64_t done_ns = WriteDone(queue.front(), now_ns, is_forced)) {
        next_ns = std::min(next_ns, done_ns);
        break;
      }
      queue.pop();
      ++launches_done_;
    }
  }
  return next_ns;
}

int64_t Activity::WriteDone(Work& work, int64_t now_ns, bool is_forced) {
  const uint32_t count = work.nodes ? static_cast<uint32_t>(work.nodes->size()) : 1;
  Execution execution = work.execution;
  for (; work.next_node < count; ++work.next_node) {
    const Operation& operation = work.nodes ? (*work.nodes)[work.next_node].operation : work.operation;
    const int64_t end_ns = work.start_ns + operation.duration_ns;
    const bool is_done = end_ns <= now_ns;
    if (!is_done && !is_forced) {
      return end_ns;
    }
    // A record that is not complete has no end, and no beginning where the work has not begun.
    execution.start =
        is_done || work.start_ns <= now_ns ? static_cast<uint64_t>(work.start_ns + work.clock_offset_ns) : 0;
    execution.end = is_done ? static_cast<uint64_t>(end_ns + work.clock_offset_ns) : 0;
    execution.node = work.nodes ? (*work.nodes)[work.next_node].id : 0;
    if (work.is_recorded[static_cast<int>(operation.kind)]) {
      WriteOne(operation, execution, work.next_node < work.faulty_records ? work.fault : OperationFault::kNone);
    }
    work.start_ns = end_ns;
  }
  return 0;
}

void Activity::WriteOne(Operation operation, Execution execution, OperationFault fault) {
  int copies = 1;
  switch (fault) {
    case OperationFault::kStalled:
      return;
    case OperationFault::kDropped:
      ++dropped_;
      return;
    case OperationFault::kReversedTimes:
      execution.start = execution.end + 1000;
      break;
    case OperationFault::kZeroTimes:
      execution.start = execution.end = 0;
      break;
    case OperationFault::kDuplicate:
      copies = 2;
      break;
    case OperationFault::kUnknownKind:
      WriteHost({kUnknownKind});
      break;
    case OperationFault::kBadName:
      operation.name = kNowhere;
      break;
    case OperationFault::kNone:
      break;
  }
  const uint32_t version = ProcessFaults().version();
  for (int i = 0; i < copies; ++i) {
    if (void* const place = Reserve(RecordBytes(ActivityKindOf(operation.kind), version))) {
      WriteOperation(operation, execution, version, place);
    }
  }
}

void Activity::WriteHost(const HostRecord& record) {
  const uint32_t version = ProcessFaults().version();
  if (void* const place = Reserve(RecordBytes(record.kind, version))) {
    WriteHostRecord(record, version, place);
  }
}

void* Activity::Reserve(size_t bytes) {
  const bool is_full =
      buffer_.used + bytes > buffer_.size || (buffer_.max_records != 0 && buffer_.records >= buffer_.max_records);
  if (buffer_.bytes != nullptr && is_full) {
    Complete();
  }
  const auto request = request_.load();
  if (buffer_.bytes == nullptr && request != nullptr) {
    buffer_ = {};
    request(&buffer_.bytes, &buffer_.size, &buffer_.max_records);
  }
  if (buffer_.bytes == nullptr || buffer_.used + bytes > buffer_.size) {
    ++dropped_;
    if (buffer_.bytes != nullptr) {  // too small for any
      Hand(std::exchange(buffer_, {}));
    }
    return nullptr;
  }
  uint8_t* const place = buffer_.bytes + buffer_.used;
  buffer_.used += bytes;
  ++buffer_.records;
  return place;
}

void Activity::Complete() {
  if (buffer_.bytes == nullptr || buffer_.used == 0) {
    return;
  }
  Buffer buffer = std::exchange(buffer_, {});
  const BufferFaults faults = ProcessFaults().TakeBufferFaults();
  if (faults.has_reversed) {
    std::vector<uint8_t> reversed(buffer.used);
    size_t end = buffer.used;
    for (size_t at = 0; at < buffer.used;) {
      const auto* record = reinterpret_cast<const CUpti_Activity*>(buffer.bytes + at);
      const size_t bytes = RecordBytes(record->kind, ProcessFaults().version());
      std::memcpy(reversed.data() + (end -= bytes), record, bytes);
      at += bytes;
    }
    std::memcpy(buffer.bytes, reversed.data(), buffer.used);
  }
  buffer.used -= std::min<size_t>(buffer.used, faults.truncated_bytes);
  to_reverse_ += faults.reversed_buffers;
  if (faults.late_buffers > 0 || faults.late_ns > 0) {
    late_.push_back({buffer, faults.late_buffers, faults.late_ns == 0 ? 0 : RealTimeNs() + faults.late_ns});
  } else if (to_reverse_ > 0) {
    reversed_.push_back(buffer);
    if (--to_reverse_ == 0) {
      for (std::vector<Buffer> held = std::exchange(reversed_, {}); !held.empty(); held.pop_back()) {
        Hand(held.back());
      }
    }
  } else {
    Hand(buffer);
  }
  DeliverLate(false);
}

int64_t Activity::DeliverLate(bool all) {
  if (all) {
    to_reverse_ = 0;
    for (std::vector<Buffer> held = std::exchange(reversed_, {}); !held.empty(); held.pop_back()) {
      Hand(held.back());
    }
  }
  int64_t next_ns = INT64_MAX;
  const int64_t now_ns = late_.empty() ? 0 : RealTimeNs();
  for (size_t i = 0; i < late_.size();) {
    const LateBuffer late = late_[i];
    const bool is_due = late.at_ns == 0 ? late.after_buffers <= 0 : late.at_ns <= now_ns;
    if (is_due || all) {
      late_.erase(late_.begin() + static_cast<ptrdiff_t>(i));
      Hand(late.buffer);
    } else {
      next_ns = std::min(next_ns, late.at_ns == 0 ? INT64_MAX : late.at_ns);
      ++i;
    }
  }
  return next_ns;
}

void Activity::Hand(const Buffer& buffer) {
  for (LateBuffer& late : late_) {
    --late.after_buffers;
  }
  if (const auto complete = complete_.load()) {
    complete(nullptr, 0, buffer.bytes, buffer.size, buffer.used);
  }
}

}  // namespace dsocr::fake
