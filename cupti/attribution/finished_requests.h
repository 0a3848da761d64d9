// The requests that are over: the totals of all of them, and everything about the one whose total is the median.
#ifndef DSOCR_CUPTI_ATTRIBUTION_FINISHED_REQUESTS_H_
#define DSOCR_CUPTI_ATTRIBUTION_FINISHED_REQUESTS_H_

#include <cstdint>
#include <map>
#include <vector>

#include "cupti/attribution/attribution.h"
#include "cupti/attribution/dictionary.h"
#include "cupti/attribution/request_sums.h"

namespace dsocr::attribution {

class FinishedRequests {
 public:
  explicit FinishedRequests(bool keeps_repeats) : keeps_repeats_(keeps_repeats) {}

  // One whose end was not seen counts only where there is no other.
  void Add(const Dictionary& dictionary, RequestSums sums, bool is_complete);

  // Null: there is none. The lower of two; exact as long as totals drift by less than kMostKept ranks.
  const RequestSums* Median() const;
  // Of those that are complete, in the order in which they ended; the first million.
  const std::vector<int64_t>& total_ns() const { return total_ns_; }
  // The modules in each of these; none unless `keeps_repeats`.
  std::vector<ModuleRepeats> Repeats(const Dictionary& dictionary) const;

  // Sums are kept of so many requests. Beyond it the extremes go first.
  static constexpr size_t kMostKept = 64;

 private:
  static constexpr size_t kMostTotals = 1 << 20;

  int64_t MedianRank() const { return (complete_ - 1) / 2 - below_kept_; }  // in kept_
  void KeepRepeat(const Dictionary& dictionary, const RequestSums& request);

  const bool keeps_repeats_;
  std::vector<int64_t> total_ns_;
  std::vector<std::vector<int64_t>> repeats_;  // of each of total_ns_, by module; shorter: it had fewer modules
  std::multimap<int64_t, RequestSums> kept_;   // by total
  int64_t below_kept_ = 0;                     // totals that went from the lower end
  int64_t complete_ = 0;
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_FINISHED_REQUESTS_H_
