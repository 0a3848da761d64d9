// Operations of a GPU, put in order of their start, and the host's waits for it, each at its end: streams and buffers
// arrive interleaved, and within a buffer in no order. Nothing leaves before 16,384 others have come after it, so what
// is out of order by less than that comes out in order.
//
// Operations are ordered a batch at a time: the starts of a batch are sorted by radix, with their places, and the batch
// is merged with those that still wait.
#ifndef DSOCR_CUPTI_ATTRIBUTION_OPERATION_ORDER_H_
#define DSOCR_CUPTI_ATTRIBUTION_OPERATION_ORDER_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "cupti/attribution/call_table.h"
#include "cupti/attribution/dictionary.h"

namespace dsocr::attribution {

// The category of what is no operation but a wait: `start_ns`, by which it is ordered, is then when the wait ended, and
// `end_ns` when it began.
inline constexpr int kWaitEnds = -1;

struct OrderedOperation {
  int64_t start_ns = 0;
  int64_t end_ns = 0;
  PathIndex path = 0;
  RequestSlot request = kNoRequest;
  int category = 0;
  float confidence = 0;  // that it belongs to `path`; 0: it was seen to
};
static_assert(sizeof(OrderedOperation) == 32);

// REQUIRES: starts are less than 2^51 ns apart.
class OperationOrder {
 public:
  static constexpr int kPlaceBits = 13;
  static constexpr size_t kWindow = 1 << 14;
  static constexpr size_t kBatch = 1 << kPlaceBits;

  // `sink(operation)` is called for those whose turn it is, in order of start.
  template <typename Sink>
  void Add(const OrderedOperation& operation, Sink sink) {
    fresh_.push_back(operation);
    fresh_from_ns_ = std::min(fresh_from_ns_, operation.start_ns);
    if (fresh_.size() == kBatch) {
      Merge();
      if (sorted_.size() > kWindow) {
        Release(sorted_.size() - kWindow, sink);
      }
    }
  }
  // All that start at `time_ns` or earlier.
  template <typename Sink>
  void ReleaseUntil(int64_t time_ns, Sink sink) {
    if (fresh_from_ns_ <= time_ns) {
      Merge();
    }
    const auto first_later =
        std::upper_bound(sorted_.begin() + static_cast<int64_t>(released_), sorted_.end(), time_ns,
                         [](int64_t time, const OrderedOperation& operation) { return time < operation.start_ns; });
    Release(static_cast<size_t>(first_later - sorted_.begin()), sink);
  }

 private:
  template <typename Sink>
  void Release(size_t until, Sink sink) {
    for (; released_ < until; ++released_) {
      sink(sorted_[released_]);
    }
  }

  // Leaves in keys_ the places of `fresh_` in order of start: sorts from the lowest eleven bits of the starts up, as
  // many as the distance between the first and the last has.
  void SortFresh() {
    constexpr int kDigitBits = 11;
    uint64_t distance_ns = 0;
    keys_.clear();
    for (size_t place = 0; place < fresh_.size(); ++place) {
      const auto after_ns = static_cast<uint64_t>(fresh_[place].start_ns - fresh_from_ns_);
      distance_ns = std::max(distance_ns, after_ns);
      keys_.push_back(after_ns << kPlaceBits | place);
    }
    spare_keys_.resize(keys_.size());
    const int end = kPlaceBits + std::bit_width(distance_ns);
    for (int shift = kPlaceBits; shift < end; shift += kDigitBits) {
      const auto digit = [shift](uint64_t key) { return key >> shift & ((1u << kDigitBits) - 1); };
      std::array<uint32_t, 1 << kDigitBits> place{};
      for (const uint64_t key : keys_) {
        ++place[digit(key)];
      }
      uint32_t before = 0;
      for (uint32_t& begin : place) {
        before += std::exchange(begin, before);
      }
      for (const uint64_t key : keys_) {
        spare_keys_[place[digit(key)]++] = key;
      }
      keys_.swap(spare_keys_);
    }
  }

  void Merge() {
    SortFresh();
    spare_.clear();
    auto waiting = sorted_.begin() + static_cast<int64_t>(released_);
    for (const uint64_t key : keys_) {
      const OrderedOperation& fresh = fresh_[key % kBatch];
      for (; waiting != sorted_.end() && waiting->start_ns <= fresh.start_ns; ++waiting) {
        spare_.push_back(*waiting);
      }
      spare_.push_back(fresh);
    }
    spare_.insert(spare_.end(), waiting, sorted_.end());
    sorted_.swap(spare_);
    released_ = 0;
    fresh_.clear();
    fresh_from_ns_ = std::numeric_limits<int64_t>::max();
  }

  std::vector<OrderedOperation> sorted_;
  size_t released_ = 0;  // of sorted_
  std::vector<OrderedOperation> fresh_;
  int64_t fresh_from_ns_ = std::numeric_limits<int64_t>::max();
  std::vector<OrderedOperation> spare_;
  std::vector<uint64_t> keys_;  // start - fresh_from_ns_, and place in fresh_ below it
  std::vector<uint64_t> spare_keys_;
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_OPERATION_ORDER_H_
