// The gaps of a request that follow a synchronisation: the host waited for the device, the device ran dry, and had
// nothing to do until the host was back and its next launch arrived.
//
//   device  ▓▓▓▓▓▓▓▓▓┊               ┊▓▓▓▓▓▓       a gap [a, b): nothing of the request runs
//   host       ├─wait──┤  launches                 counted: from a, or from the wait's begin where that is later, to b
//
// A wait counts for the gap that it ends in. One that ended before the device ran dry left the host time to launch, one
// that ends later kept nobody from launching what ended the gap. Where the device ran dry before the wait began, the
// host was late without it: that part is no synchronisation's. Of several waits that end in a gap the earliest begin
// decides.
#ifndef DSOCR_CUPTI_ATTRIBUTION_SYNC_GAPS_H_
#define DSOCR_CUPTI_ATTRIBUTION_SYNC_GAPS_H_

#include <algorithm>
#include <cstdint>
#include <limits>

namespace dsocr::attribution {

// REQUIRES: times > 0; operations come in the order of their starts, and each wait before those that start after its
// end. What comes late counts for less, never twice.
class SyncGaps {
 public:
  void AddWait(int64_t start_ns, int64_t end_ns) {
    if (busy_until_ns_ != 0 && end_ns >= busy_until_ns_) {
      waited_from_ns_ = std::min(waited_from_ns_, start_ns);
    }
  }
  void AddOperation(int64_t start_ns, int64_t end_ns) {
    if (end_ns <= busy_until_ns_) {
      return;
    }
    const int64_t from_ns = std::max(busy_until_ns_, waited_from_ns_);
    gap_ns_ += std::max<int64_t>(0, start_ns - from_ns);
    busy_until_ns_ = end_ns;
    waited_from_ns_ = kNoWait;
  }

  // At most what of the request no operation covers.
  int64_t gap_ns() const { return gap_ns_; }

 private:
  static constexpr int64_t kNoWait = std::numeric_limits<int64_t>::max();

  int64_t busy_until_ns_ = 0;         // the end of all operations so far; 0: none yet, and nothing is a gap
  int64_t waited_from_ns_ = kNoWait;  // the earliest begin of the waits that ended since
  int64_t gap_ns_ = 0;
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_SYNC_GAPS_H_
