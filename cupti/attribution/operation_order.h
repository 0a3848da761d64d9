// Operations of a GPU, put in order of their start: streams and buffers arrive interleaved, and within a buffer in no
// order. Nothing leaves before 16,384 others have come after it, so what is out of order by less than that comes out in
// order.
//
// Operations are ordered a batch at a time: a batch is sorted by radix and merged with those that still wait.
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
#include "cupti/record/record.h"

namespace dsocr::attribution {

struct OrderedOperation {
  int64_t start_ns = 0;
  int64_t end_ns = 0;
  record::PathId path = 0;
  RequestSlot request = 0;
  int category = 0;
};

class OperationOrder {
 public:
  static constexpr size_t kWindow = 1 << 14;
  static constexpr size_t kBatch = 1 << 13;

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

  // Sorts `fresh_` by start: from the lowest eleven bits up, as many as the distance between first and last has.
  void SortFresh() {
    constexpr int kDigitBits = 11;
    int64_t last_ns = fresh_from_ns_;
    for (const OrderedOperation& operation : fresh_) {
      last_ns = std::max(last_ns, operation.start_ns);
    }
    const int bits = std::bit_width(static_cast<uint64_t>(last_ns - fresh_from_ns_));
    spare_.resize(fresh_.size());
    for (int shift = 0; shift < bits; shift += kDigitBits) {
      const auto digit = [this, shift](const OrderedOperation& operation) {
        return (static_cast<uint64_t>(operation.start_ns - fresh_from_ns_) >> shift) & ((1u << kDigitBits) - 1);
      };
      std::array<uint32_t, 1 << kDigitBits> place{};
      for (const OrderedOperation& operation : fresh_) {
        ++place[digit(operation)];
      }
      uint32_t before = 0;
      for (uint32_t& begin : place) {
        before += std::exchange(begin, before);
      }
      for (const OrderedOperation& operation : fresh_) {
        spare_[place[digit(operation)]++] = operation;
      }
      fresh_.swap(spare_);
    }
  }

  void Merge() {
    SortFresh();
    spare_.resize(sorted_.size() - released_ + fresh_.size());
    std::merge(sorted_.begin() + static_cast<int64_t>(released_), sorted_.end(), fresh_.begin(), fresh_.end(),
               spare_.begin(),
               [](const OrderedOperation& a, const OrderedOperation& b) { return a.start_ns < b.start_ns; });
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
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_OPERATION_ORDER_H_
