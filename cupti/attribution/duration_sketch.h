// Quantiles of durations in bounded memory: a histogram with 64 buckets an octave, so that a quantile is at most 0.8 %
// (1/128) off, and exact below 64 ns. At most 3,700 buckets, and only those in use take memory.
#ifndef DSOCR_CUPTI_ATTRIBUTION_DURATION_SKETCH_H_
#define DSOCR_CUPTI_ATTRIBUTION_DURATION_SKETCH_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace dsocr::attribution {

class DurationSketch {
 public:
  // REQUIRES: duration_ns >= 0.
  void Add(int64_t duration_ns) {
    const uint16_t bucket = Bucket(static_cast<uint64_t>(duration_ns));
    auto place = std::lower_bound(counts_.begin(), counts_.end(), bucket,
                                  [](const auto& pair, uint16_t b) { return pair.first < b; });
    if (place == counts_.end() || place->first != bucket) {
      place = counts_.insert(place, {bucket, 0});
    }
    ++place->second;
    ++total_;
  }

  // The smallest duration that at least `quantile` of all do not exceed; 0 when empty.
  int64_t Quantile(double quantile) const {
    const auto rank = static_cast<uint64_t>(std::ceil(quantile * static_cast<double>(total_)));
    uint64_t seen = 0;
    for (const auto& [bucket, count] : counts_) {
      seen += count;
      if (seen >= rank) {
        return Middle(bucket);
      }
    }
    return 0;
  }

 private:
  static constexpr int kSubBits = 6;

  static uint16_t Bucket(uint64_t value) {
    if (value < (1u << kSubBits)) {
      return static_cast<uint16_t>(value);
    }
    const int shift = std::bit_width(value) - 1 - kSubBits;
    return static_cast<uint16_t>((shift << kSubBits) + static_cast<int>(value >> shift));
  }
  static int64_t Middle(uint16_t bucket) {
    if (bucket < (2u << kSubBits)) {
      return bucket;
    }
    const int shift = (bucket >> kSubBits) - 1;
    const int64_t low = static_cast<int64_t>((bucket & ((1u << kSubBits) - 1)) + (1u << kSubBits)) << shift;
    return low + (int64_t{1} << shift) / 2;
  }

  std::vector<std::pair<uint16_t, uint32_t>> counts_;  // sorted by bucket
  uint64_t total_ = 0;
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_DURATION_SKETCH_H_
