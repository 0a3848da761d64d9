// What is said of the recording and of the whole run, beside its operations: waits, CUPTI's overhead, device memory,
// what the agent took, and what went wrong.
#ifndef DSOCR_CUPTI_ATTRIBUTION_RUN_SUMS_H_
#define DSOCR_CUPTI_ATTRIBUTION_RUN_SUMS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cupti/attribution/attribution.h"
#include "cupti/attribution/dictionary.h"
#include "cupti/record/record.h"

namespace dsocr::attribution {

class RunSums {
 public:
  // All return false for what makes no sense; it is left out.
  bool AddWait(int64_t duration_ns) { return AddTo(&wait_ns_, duration_ns); }
  bool AddOverhead(int64_t duration_ns) { return AddTo(&overhead_ns_, duration_ns); }
  // What was allocated before the recording may be freed in it: the total is never below zero.
  bool AddMemory(int64_t bytes) {
    int64_t total = 0;
    if (__builtin_add_overflow(memory_bytes_, bytes, &total)) {
      return false;
    }
    memory_bytes_ = std::max<int64_t>(0, total);
    memory_peak_bytes_ = std::max(memory_peak_bytes_, memory_bytes_);
    return true;
  }
  bool SetAgentCost(const record::AgentCost& cost);
  bool SetIncident(const Dictionary& dictionary, const record::Incident& incident);

  bool has(record::IncidentCode code) const;
  int64_t units_seen() const { return static_cast<int64_t>(cost_.units_seen); }
  int64_t units_recorded() const { return static_cast<int64_t>(cost_.units_recorded); }
  void Write(Result* result) const;

 private:
  static constexpr size_t kMaxIncidents = 64;
  static constexpr uint64_t kMaxCount = uint64_t{1} << 62;

  static bool AddTo(int64_t* sum, int64_t more) {
    int64_t total = 0;
    if (__builtin_add_overflow(*sum, more, &total)) {
      return false;
    }
    *sum = total;
    return true;
  }

  int64_t wait_ns_ = 0;
  int64_t overhead_ns_ = 0;
  int64_t memory_bytes_ = 0;
  int64_t memory_peak_bytes_ = 0;
  record::AgentCost cost_{};
  std::vector<Incident> incidents_;  // in order of first appearance
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_RUN_SUMS_H_
