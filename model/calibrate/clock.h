// The time that measuring goes by.
#ifndef DSOCR_MODEL_CALIBRATE_CLOCK_H_
#define DSOCR_MODEL_CALIBRATE_CLOCK_H_

#include <chrono>
#include <functional>

namespace dsocr::model {

inline constexpr double kNsPerSecond = 1e9;

// Seconds since any fixed moment; a test hands in its own.
using Clock = std::function<double()>;

inline Clock SteadyClock() {
  return [] { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); };
}

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_CALIBRATE_CLOCK_H_
