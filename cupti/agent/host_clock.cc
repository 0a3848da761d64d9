#include "cupti/agent/host_clock.h"

#include <algorithm>
#include <cstdlib>

namespace dsocr::agent {
namespace {

constexpr int kReads = 64;
// Both clocks are slewed alike; what the offset changes by beyond this is somebody setting the wall clock.
constexpr int64_t kJumpNs = 1'000'000;
// Times beyond this are nonsense; with it no sum of two overflows.
constexpr uint64_t kMaxTime = uint64_t{1} << 62;

}  // namespace

bool HostClock::Align(const CuptiLibrary& library, int64_t* jump_ns) noexcept {
  *jump_ns = 0;
  int64_t tightest_ns = INT64_MAX;
  int64_t offset_ns = 0;
  for (int i = 0; i < kReads; ++i) {
    uint64_t cupti_ns = 0;
    const int64_t before_ns = NowNs();
    if (library.timestamp(&cupti_ns) != CUPTI_SUCCESS) {
      return false;
    }
    const int64_t after_ns = NowNs();
    if (after_ns - before_ns < tightest_ns) {
      tightest_ns = after_ns - before_ns;
      offset_ns = before_ns + tightest_ns / 2 - static_cast<int64_t>(cupti_ns);
    }
  }
  const int64_t old_offset_ns = offset_ns_.load(std::memory_order_relaxed);
  if (is_aligned_.exchange(true) && std::abs(offset_ns - old_offset_ns) > kJumpNs) {
    *jump_ns = old_offset_ns - offset_ns;
    earlier_offset_ns_.store(old_offset_ns, std::memory_order_relaxed);
  }
  if (earlier_offset_ns_.load(std::memory_order_relaxed) == 0) {
    earlier_offset_ns_.store(offset_ns, std::memory_order_relaxed);
  }
  offset_ns_.store(offset_ns, std::memory_order_relaxed);
  uncertainty_ns_.store(static_cast<uint32_t>(std::min<int64_t>((tightest_ns + 1) / 2, UINT32_MAX)),
                        std::memory_order_relaxed);
  return true;
}

bool HostClock::Place(uint64_t start, uint64_t end, int64_t not_before, int64_t not_after, int64_t* start_ns,
                      int64_t* end_ns) const noexcept {
  if (start == 0 || end < start || end > kMaxTime) {
    return false;
  }
  for (const std::atomic<int64_t>* offset_ns : {&offset_ns_, &earlier_offset_ns_}) {
    *start_ns = static_cast<int64_t>(start) + offset_ns->load(std::memory_order_relaxed);
    *end_ns = static_cast<int64_t>(end) + offset_ns->load(std::memory_order_relaxed);
    if (*start_ns > 0 && *start_ns >= not_before && *end_ns <= not_after) {
      return true;
    }
  }
  return false;
}

}  // namespace dsocr::agent
