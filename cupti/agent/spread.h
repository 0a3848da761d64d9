// Fibonacci hashing (Knuth, TAOCP 3, 6.4): keys that count up, or are addresses, are spread evenly over the high bits.
#ifndef DSOCR_CUPTI_AGENT_SPREAD_H_
#define DSOCR_CUPTI_AGENT_SPREAD_H_

#include <cstdint>

namespace dsocr::agent {

constexpr uint64_t Spread(uint64_t key) { return key * 0x9e3779b97f4a7c15u; }  // 2^64 / golden ratio

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_SPREAD_H_
