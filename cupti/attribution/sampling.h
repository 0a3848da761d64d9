// The device time of all requests, where the agent recorded only some, each chosen with a known probability: the
// estimate of Horvitz and Thompson for independent draws (Poisson sampling).
//
//   total     sum of w x            w: 1 / the probability, x: the device time of a recorded request
//   variance  sum of w (w - 1) x^2  (its unbiased estimate)
//
// The interval is total +- 1.96 standard deviations. Below ten drawn requests nothing says that the sum is about normal
// and Chebyshev's inequality takes its place: +- 4.47, which holds for any distribution. The lower end is at least what
// was recorded, which did happen.
#ifndef DSOCR_CUPTI_ATTRIBUTION_SAMPLING_H_
#define DSOCR_CUPTI_ATTRIBUTION_SAMPLING_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "cupti/attribution/attribution.h"

namespace dsocr::attribution {

class DeviceTimeEstimate {
 public:
  // A recorded request. REQUIRES: weight >= 1; 1: it was certain to be recorded.
  void Add(double weight, int64_t device_ns) {
    const auto ns = static_cast<double>(device_ns);
    recorded_ns_ += ns;
    total_ns_ += weight * ns;
    variance_ += weight * (weight - 1) * ns * ns;
    weights_ += weight;
    ++recorded_;
    drawn_ += weight > 1 ? 1 : 0;
  }
  // What was added so far took no device time.
  void DropTimes() { recorded_ns_ = total_ns_ = variance_ = 0; }

  bool is_sampled() const { return drawn_ > 0; }
  SamplingSums Sums() const {
    constexpr int64_t kFewestForNormal = 10;
    const double deviations = drawn_ >= kFewestForNormal ? 1.96 : std::sqrt(1 / 0.05);
    const double half_ns = deviations * std::sqrt(variance_);
    return {.requests_seen = std::llround(weights_),
            .requests_recorded = recorded_,
            .device_ns = total_ns_,
            .device_ns_low = std::max(recorded_ns_, total_ns_ - half_ns),
            .device_ns_high = total_ns_ + half_ns};
  }

 private:
  double recorded_ns_ = 0;
  double total_ns_ = 0;
  double variance_ = 0;
  double weights_ = 0;
  int64_t recorded_ = 0;
  int64_t drawn_ = 0;
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_SAMPLING_H_
