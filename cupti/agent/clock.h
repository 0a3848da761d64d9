// The host clock of every record: CLOCK_MONOTONIC, nanoseconds. 22 ns a call on the machine of docs/record-format.md;
// rdtsc would be 9.5.
#ifndef DSOCR_CUPTI_AGENT_CLOCK_H_
#define DSOCR_CUPTI_AGENT_CLOCK_H_

#include <time.h>

#include <algorithm>
#include <cstdint>

namespace dsocr::agent {

inline int64_t NowNs() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// What one call of `work` costs, in picoseconds: the best of 16 batches, because a batch that was interrupted says
// nothing of the work.
inline constexpr int kMeasuredBatches = 16;
template <typename Work>
uint32_t MeasurePs(int calls, Work work) {
  const int batch = calls / kMeasuredBatches;
  int64_t best_ns = INT64_MAX;
  for (int i = 0; i < kMeasuredBatches; ++i) {
    const int64_t start_ns = NowNs();
    for (int k = 0; k < batch; ++k) {
      work();
    }
    best_ns = std::min(best_ns, NowNs() - start_ns);
  }
  return static_cast<uint32_t>(best_ns * 1000 / batch);
}

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_CLOCK_H_
