// From work to records in the client's buffers: CUPTI's worker thread.
//
// Launching threads put work in; the worker writes its records once the device has done it, completes buffers when they
// are full or when a flush asks, and calls the client with no lock held.
#ifndef DSOCR_TESTS_FAKE_ACTIVITY_H_
#define DSOCR_TESTS_FAKE_ACTIVITY_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "tests/fake/faults.h"
#include "tests/fake/records.h"

namespace dsocr::fake {

int64_t RealTimeNs();
// CUPTI's clock: CLOCK_REALTIME until a fault sets it.
uint64_t CuptiTimeNs();

struct GraphNode {
  uint64_t id;
  Operation operation;
};

// One launch, on its way through the device.
struct Work {
  int64_t start_ns = 0;         // CLOCK_REALTIME, when the device begins
  int64_t clock_offset_ns = 0;  // CUPTI's clock - CLOCK_REALTIME at the launch
  Execution execution;          // times apart
  Operation operation;
  std::shared_ptr<const std::vector<GraphNode>> nodes;  // of a graph launch, instead of `operation`
  uint32_t next_node = 0;
  uint32_t faulty_records = 0;  // that many have `fault`
  bool is_recorded[3] = {};     // by OperationKind: was enabled at the launch
  OperationFault fault = OperationFault::kNone;
};

// Work of one stream in order, waiting to be done. The worker's own.
class WorkQueue {
 public:
  bool empty() const { return head_ == items_.size(); }
  Work& front() { return items_[head_]; }
  void push(Work work) { items_.push_back(std::move(work)); }
  void pop();

 private:
  std::vector<Work> items_;
  size_t head_ = 0;
};

class Activity {
 public:
  Activity();

  void Register(CUpti_BuffersCallbackRequestFunc request, CUpti_BuffersCallbackCompleteFunc complete);
  bool is_registered() const { return complete_.load() != nullptr; }

  void Enable(CUpti_ActivityKind kind, bool is_enabled);
  bool IsEnabled(CUpti_ActivityKind kind) const {
    return static_cast<size_t>(kind) < CUPTI_ACTIVITY_KIND_COUNT && enabled_[kind].load(std::memory_order_relaxed);
  }
  int enabled_kinds() const;

  // `queue`: an index of the stream, from 0. Waits while the device is far behind, as a driver does.
  void Add(Work work, uint32_t queue);
  // Together, in this order.
  void Add(const HostRecord* records, size_t count);

  CUptiResult Flush(bool is_forced);
  void Deliver() { Ask(Request::kDeliver); }
  void WaitForFlush();
  uint64_t TakeDropped() { return dropped_.exchange(0); }

 private:
  enum class Request { kNone, kDeliver, kFlush, kForcedFlush };

  struct Buffer {
    uint8_t* bytes = nullptr;
    size_t size = 0;
    size_t used = 0;
    size_t records = 0;
    size_t max_records = 0;  // 0: as many as there is room for
  };
  struct LateBuffer {
    Buffer buffer;
    int after_buffers;  // delivered when so many others have been
    int64_t at_ns;      // or, if not 0, at this time
  };

  void Serve();
  void Ask(Request request);
  // Waits for work or a request, and takes both; what is asked.
  Request Take();
  // Writes what is done, or all. When the next work will be done; INT64_MAX: there is none.
  int64_t Write(bool is_forced);
  // The same for one launch; 0: it is written.
  int64_t WriteDone(Work& work, int64_t now_ns, bool is_forced);
  void WriteOne(Operation operation, Execution execution, OperationFault fault);
  void WriteHost(const HostRecord& record);
  // Null: the client gives no buffer; counted.
  void* Reserve(size_t bytes);
  void Complete();
  // Delivers the late buffers that are due, or all. When the next is due; INT64_MAX: nobody knows.
  int64_t DeliverLate(bool all);
  void Hand(const Buffer& buffer);

  std::atomic<CUpti_BuffersCallbackRequestFunc> request_{nullptr};
  std::atomic<CUpti_BuffersCallbackCompleteFunc> complete_{nullptr};
  std::atomic<bool> enabled_[CUPTI_ACTIVITY_KIND_COUNT] = {};
  std::atomic<uint64_t> dropped_{0};

  std::mutex mutex_;  // guards the inbox and the requests
  std::condition_variable wake_;
  std::condition_variable answered_;
  std::vector<std::pair<uint32_t, Work>> inbox_;
  std::vector<HostRecord> host_inbox_;
  size_t launches_waiting_ = 0;
  bool is_asleep_ = false;  // the worker, until it is notified
  Request request_pending_ = Request::kNone;
  uint64_t requests_asked_ = 0;
  uint64_t requests_served_ = 0;
  bool is_flushing_ = false;

  // The worker's own.
  std::vector<std::pair<uint32_t, Work>> taken_;
  std::vector<HostRecord> host_taken_;
  std::deque<WorkQueue> queues_;
  size_t launches_done_ = 0;
  uint64_t requests_taken_ = 0;
  int64_t next_ns_ = INT64_MAX;  // when there will be something to do
  int idle_rounds_ = 0;
  Buffer buffer_;
  std::vector<LateBuffer> late_;
  std::vector<Buffer> reversed_;  // waiting for the last of them
  int to_reverse_ = 0;
};

// The process's. Never destroyed: its thread outlives main.
Activity& ProcessActivity();

}  // namespace dsocr::fake

#endif  // DSOCR_TESTS_FAKE_ACTIVITY_H_
