// Quantiles of durations in bounded memory: a histogram with 64 buckets an octave, so that a quantile is at most 0.8 %
// (1/128) off, and exact below 64 ns. Only octaves in use take memory, 256 bytes each, at most 59 of them.
#ifndef DSOCR_CUPTI_ATTRIBUTION_DURATION_SKETCH_H_
#define DSOCR_CUPTI_ATTRIBUTION_DURATION_SKETCH_H_

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace dsocr::attribution {

class DurationSketch {
 public:
  // REQUIRES: duration_ns >= 0.
  void Add(int64_t duration_ns) {
    const int bucket = Bucket(static_cast<uint64_t>(duration_ns));
    uint8_t& octave = octaves_[static_cast<size_t>(bucket >> kSubBits)];
    if (octave == 0) {
      counts_.emplace_back();
      octave = static_cast<uint8_t>(counts_.size());
    }
    ++counts_[octave - 1u][static_cast<size_t>(bucket) % kPerOctave];
    ++total_;
  }

  // The smallest duration that at least `quantile` of all do not exceed; 0 when empty.
  int64_t Quantile(double quantile) const {
    const auto rank = static_cast<uint64_t>(std::ceil(quantile * static_cast<double>(total_)));
    if (rank == 0) {
      return 0;
    }
    uint64_t seen = 0;
    for (size_t octave = 0; octave < octaves_.size(); ++octave) {
      for (size_t i = 0; octaves_[octave] != 0 && i < kPerOctave; ++i) {
        seen += counts_[octaves_[octave] - 1u][i];
        if (seen >= rank) {
          return Middle(static_cast<int>(octave * kPerOctave + i));
        }
      }
    }
    return 0;
  }

 private:
  static constexpr int kSubBits = 6;
  static constexpr size_t kPerOctave = size_t{1} << kSubBits;

  static int Bucket(uint64_t value) {
    if (value < kPerOctave) {
      return static_cast<int>(value);
    }
    const int shift = std::bit_width(value) - 1 - kSubBits;
    return (shift << kSubBits) + static_cast<int>(value >> shift);
  }
  static int64_t Middle(int bucket) {
    if (bucket < (2 << kSubBits)) {
      return bucket;
    }
    const int shift = (bucket >> kSubBits) - 1;
    const int64_t low = static_cast<int64_t>(static_cast<size_t>(bucket) % kPerOctave + kPerOctave) << shift;
    return low + (int64_t{1} << shift) / 2;
  }

  std::array<uint8_t, 64 - kSubBits + 1> octaves_{};  // index in counts_ + 1; 0: not in use
  std::vector<std::array<uint32_t, kPerOctave>> counts_;
  uint64_t total_ = 0;
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_DURATION_SKETCH_H_
