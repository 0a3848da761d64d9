#include "cupti/attribution/finished_requests.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace dsocr::attribution {

void FinishedRequests::Add(const Dictionary& dictionary, RequestSums sums, bool is_complete) {
  const int64_t total_ns = sums.total_ns();
  if (is_complete) {
    if (complete_++ == 0) {
      kept_.clear();
    }
    if (total_ns_.size() < kMostTotals) {
      total_ns_.push_back(total_ns);
      if (keeps_repeats_) {
        KeepRepeat(dictionary, sums);
      }
    }
  } else if (complete_ > 0 || !kept_.empty()) {
    return;
  }
  sums.Shrink();
  kept_.emplace(total_ns, std::move(sums));
  if (kept_.size() > kMostKept) {
    if (MedianRank() > static_cast<int64_t>(kept_.size()) / 2) {
      kept_.erase(kept_.begin());
      ++below_kept_;
    } else {
      kept_.erase(std::prev(kept_.end()));
    }
  }
}

void FinishedRequests::KeepRepeat(const Dictionary& dictionary, const RequestSums& request) {
  const RequestTotals all = request.Totals(dictionary);
  std::vector<int64_t>& times = repeats_.emplace_back();
  times.reserve(all.modules.size());
  for (const ModuleTotals& totals : all.modules) {
    times.push_back(request.is_gpu() ? std::max(totals.busy_ns, totals.span_ns) : totals.wall_ns);
  }
}

const RequestSums* FinishedRequests::Median() const {
  if (kept_.empty()) {
    return nullptr;
  }
  const int64_t rank = std::clamp<int64_t>(MedianRank(), 0, static_cast<int64_t>(kept_.size()) - 1);
  return &std::next(kept_.begin(), rank)->second;
}

std::vector<ModuleRepeats> FinishedRequests::Repeats(const Dictionary& dictionary) const {
  std::vector<ModuleRepeats> modules;
  if (!keeps_repeats_) {
    return modules;
  }
  for (const Module& known : dictionary.modules()) {
    ModuleRepeats module{.module_id = known.module_id, .parent_id = dictionary.ParentId(known)};
    for (const std::vector<int64_t>& times : repeats_) {
      module.time_ns.push_back(modules.size() < times.size() ? times[modules.size()] : 0);
    }
    modules.push_back(std::move(module));
  }
  return modules;
}

}  // namespace dsocr::attribution
