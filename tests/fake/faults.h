// What goes wrong on purpose: one list, from which the words of scripts and of FAKE_CUPTI_FAULTS are read.
//
// Faults of operations are decided when the operation is launched, so that they fall on the same one every time; faults
// of buffers befall the next buffers that are completed.
#ifndef DSOCR_TESTS_FAKE_FAULTS_H_
#define DSOCR_TESTS_FAKE_FAULTS_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

namespace dsocr::fake {

// Of one operation's record.
enum class OperationFault : uint8_t {
  kNone,
  kDropped,        // not recorded, and CUPTI says so
  kStalled,        // not recorded, and CUPTI says nothing
  kReversedTimes,  // ends before it starts
  kZeroTimes,
  kDuplicate,    // recorded twice
  kUnknownKind,  // a record of a kind that nobody knows stands before it
  kBadName,      // its name points nowhere
};

// Of the next buffer.
struct BufferFaults {
  int late_buffers = 0;          // delivered after so many others
  int64_t late_ns = 0;           // or so much later
  int reversed_buffers = 0;      // this one and those after it, so many in all, come in reverse order
  bool has_reversed = false;     // its records are in reverse order
  uint64_t truncated_bytes = 0;  // cut from its end
};

class Faults {
 public:
  // Reads the environment.
  Faults();

  // Null, or what is wrong. The text stays until the thread's next call.
  const char* Arm(const std::string& line);

  // At each launch: the fault of its next record. `count`: how many records in a row have it, at most `records`.
  OperationFault TakeOperationFault(uint32_t records, uint32_t* count) {
    *count = 0;
    return is_armed_.load(std::memory_order_relaxed) ? TakeArmedFault(records, count) : OperationFault::kNone;
  }
  // The launch itself fails with this CUresult; 0: it does not.
  int TakeLaunchError();

  BufferFaults TakeBufferFaults();

  // The way out of a stall: disable, flush, enable, in this order.
  void OnDisable();
  void OnFlush();
  void OnEnable();

  // 0: no kind is refused.
  int refused_kind() const { return refused_kind_; }
  // Who else holds CUPTI; empty: nobody.
  std::string other_subscriber() const;
  // True: this flush is not to return.
  bool TakeStuckFlush() { return is_flush_stuck_; }
  int64_t slow_flush_ns() const { return slow_flush_ns_; }
  // CUPTI's clock - CLOCK_REALTIME.
  int64_t clock_offset_ns() const { return clock_offset_ns_.load(std::memory_order_relaxed); }
  // As cuptiGetVersion says it: 24 is CUDA 12.6, 130001 is 13.0.
  uint32_t version() const { return version_.load(std::memory_order_relaxed); }

 private:
  enum class Stall { kNone, kStalled, kDisabled, kFlushed, kForEver };

  OperationFault TakeArmedFault(uint32_t records, uint32_t* count);

  mutable std::mutex mutex_;
  std::atomic<bool> is_armed_{false};  // there may be something to take at a launch
  OperationFault operation_fault_ = OperationFault::kNone;
  uint32_t operation_count_ = 0;
  int64_t records_until_stall_ = 0;
  Stall after_stall_ = Stall::kNone;  // what the coming stall will be
  Stall stall_ = Stall::kNone;
  int failing_launches_ = 0;
  BufferFaults buffer_;
  std::string other_subscriber_;
  std::atomic<int> refused_kind_{0};
  std::atomic<bool> is_flush_stuck_{false};
  std::atomic<int64_t> slow_flush_ns_{0};
  std::atomic<int64_t> clock_offset_ns_{0};
  std::atomic<uint32_t> version_{130001};
};

// The process's. Never destroyed: threads outlive main.
Faults& ProcessFaults();

}  // namespace dsocr::fake

#endif  // DSOCR_TESTS_FAKE_FAULTS_H_
