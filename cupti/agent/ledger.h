// The books of a recording: a row for each stream, in which every launch ends as recorded, dropped, invalid or pending.
//
// Each figure is counted where it happens: launches on the job's threads, the rest where records are decoded. `pending`
// is a count of its own, up at a launch and down at its record, so that launched = recorded + dropped + invalid +
// pending can fail, and does if anybody miscounts.
#ifndef DSOCR_CUPTI_AGENT_LEDGER_H_
#define DSOCR_CUPTI_AGENT_LEDGER_H_

#include <atomic>
#include <cstdint>
#include <mutex>

#include "cupti/agent/recorder.h"

namespace dsocr::agent {

class StreamLedger {
 public:
  static constexpr uint16_t kNoStream = 0;  // the row of what belongs to no known stream
  static constexpr uint16_t kMaxRows = 128;

  // All rows are gone. REQUIRES: nobody uses one.
  void Forget() noexcept;

  // The row of a stream, made at its first use; kNoStream once there are too many. Any thread, as all below.
  uint16_t Row(uint16_t device, uint32_t context, uint32_t stream) noexcept;

  void AddLaunched(uint16_t row, int64_t operations) noexcept {
    rows_[row].launched.fetch_add(operations, std::memory_order_relaxed);
    rows_[row].pending.fetch_add(operations, std::memory_order_relaxed);
  }
  // What became of one operation that ran on `row`. `launched_on`: the row on which AddLaunched had it (a graph's
  // branches run on streams of their own), or kUncounted: then its record shows that it was launched.
  static constexpr uint16_t kUncounted = 0xffff;
  void AddRecorded(uint16_t row, uint16_t launched_on) noexcept { Settle(row, launched_on, &RowState::recorded); }
  void AddDropped(uint16_t row, uint16_t launched_on) noexcept { Settle(row, launched_on, &RowState::dropped); }
  void AddInvalid(uint16_t row, uint16_t launched_on) noexcept { Settle(row, launched_on, &RowState::invalid); }
  // CUPTI says how many it lost, not whose: Write takes them from those pending, on any stream.
  void AddLost(int64_t operations) noexcept { lost_.fetch_add(operations, std::memory_order_relaxed); }

  int64_t recorded() const noexcept;
  int64_t invalid() const noexcept;
  int64_t pending() const noexcept;

  // A record for each row. `launches_are_counted` false: nobody heard of launches, so launched and pending are written
  // as 0.
  void Write(Recorder& recorder, bool launches_are_counted) noexcept;

 private:
  struct RowState {
    uint16_t device;
    uint32_t context;
    uint32_t stream;
    std::atomic<int64_t> launched;
    std::atomic<int64_t> pending;
    std::atomic<int64_t> recorded;
    std::atomic<int64_t> dropped;
    std::atomic<int64_t> invalid;
  };

  void Settle(uint16_t row, uint16_t launched_on, std::atomic<int64_t> RowState::*figure) noexcept {
    (rows_[row].*figure).fetch_add(1, std::memory_order_relaxed);
    if (launched_on == row) {
      rows_[row].pending.fetch_sub(1, std::memory_order_relaxed);
      return;
    }
    if (launched_on != kUncounted) {
      AddLaunched(launched_on, -1);
    }
    rows_[row].launched.fetch_add(1, std::memory_order_relaxed);
  }
  int64_t Sum(std::atomic<int64_t> RowState::*figure) const noexcept;

  std::mutex mutex_;                // guards the making of rows
  std::atomic<uint16_t> count_{1};  // rows in use, kNoStream's among them
  std::atomic<int64_t> lost_{0};
  RowState rows_[kMaxRows]{};
};

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_LEDGER_H_
