// The host clock of every record: CLOCK_MONOTONIC, nanoseconds. 22 ns a call on the machine of docs/record-format.md;
// rdtsc would be 9.5.
#ifndef DSOCR_CUPTI_AGENT_CLOCK_H_
#define DSOCR_CUPTI_AGENT_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace dsocr::agent {

inline int64_t NowNs() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_CLOCK_H_
