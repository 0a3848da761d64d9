// From CUPTI's clock, the wall clock, to the records' own, CLOCK_MONOTONIC.
#ifndef DSOCR_CUPTI_AGENT_HOST_CLOCK_H_
#define DSOCR_CUPTI_AGENT_HOST_CLOCK_H_

#include <atomic>
#include <cstdint>

#include "cupti/agent/clock.h"
#include "cupti/agent/cupti_library.h"

namespace dsocr::agent {

class HostClock {
 public:
  // Reads both clocks in brackets and keeps the tightest. The nanoseconds by which CUPTI's clock was set since the last
  // time, 0 where it was not. False: CUPTI has no time.
  bool Align(const CuptiLibrary& library, int64_t* jump_ns) noexcept;

  // An interval of CUPTI's clock between `not_before` and `not_after` of ours, by the offset of now or, if that makes
  // it impossible, by the one before the clock was set. False: neither does.
  bool Place(uint64_t start, uint64_t end, int64_t not_before, int64_t not_after, int64_t* start_ns,
             int64_t* end_ns) const noexcept;

  // Half of the tightest bracket.
  uint32_t uncertainty_ns() const noexcept { return uncertainty_ns_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> offset_ns_{0};  // ours - CUPTI's
  std::atomic<int64_t> earlier_offset_ns_{0};
  std::atomic<uint32_t> uncertainty_ns_{0};
  std::atomic<bool> is_aligned_{false};
};

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_HOST_CLOCK_H_
