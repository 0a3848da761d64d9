// How long the calls of each module took, over all requests: quantiles of them.
#ifndef DSOCR_CUPTI_ATTRIBUTION_MODULE_DURATIONS_H_
#define DSOCR_CUPTI_ATTRIBUTION_MODULE_DURATIONS_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "cupti/attribution/duration_sketch.h"

namespace dsocr::attribution {

class ModuleDurations {
 public:
  // REQUIRES: module >= 0, duration_ns >= 0.
  void Add(int module, int64_t duration_ns) {
    waiting_.emplace_back(module, duration_ns);
    if (waiting_.size() == kBatch) {
      Flush();
    }
  }

  // What was added is in the sketches, of which there are at least so many.
  const std::vector<DurationSketch>& Sketches(size_t modules) {
    Flush();
    if (sketches_.size() < modules) {
      sketches_.resize(modules);
    }
    return sketches_;
  }

 private:
  // Sketches are far apart in memory: in a loop of their own, waiting for one overlaps with waiting for the next.
  static constexpr size_t kBatch = 256;

  void Flush() {
    for (const auto& [module, duration_ns] : waiting_) {
      const auto number = static_cast<size_t>(module);
      if (number >= sketches_.size()) {
        sketches_.resize(number + 1);
      }
      sketches_[number].Add(duration_ns);
    }
    waiting_.clear();
  }

  std::vector<DurationSketch> sketches_;          // by module
  std::vector<std::pair<int, int64_t>> waiting_;  // not yet in their sketches
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_MODULE_DURATIONS_H_
