// Which units, outermost ranges, are recorded, so that recording takes no more than a given share of the job's time.
//
// A unit is chosen at random, with a probability made from what units took and what recording them cost so far: share =
// probability x cost / time. What is recorded says with which probability it was chosen, so totals can be estimated
// without bias (Horvitz and Thompson, JASA 47, 1952), though the probability changes as more is learnt.
#ifndef DSOCR_CUPTI_AGENT_SAMPLER_H_
#define DSOCR_CUPTI_AGENT_SAMPLER_H_

#include <atomic>
#include <cstdint>
#include <mutex>

namespace dsocr::agent {

class Sampler {
 public:
  // Parts per million of the job's time; 0: no budget, everything is recorded. For the units that begin from now on.
  void set_budget_ppm(uint32_t budget_ppm) noexcept { budget_ppm_.store(budget_ppm, std::memory_order_relaxed); }
  bool is_on() const noexcept { return budget_ppm_.load(std::memory_order_relaxed) > 0; }

  // For the unit that begins now: 0, it is not to be recorded; else 2^16 / the probability with which it was chosen.
  uint64_t Choose() noexcept;

  // A unit is over. `cost_ns`: of recording it; ignored where it was not.
  void Learn(bool was_recorded, int64_t duration_ns, int64_t cost_ns) noexcept;

  uint64_t units_seen() const noexcept { return seen_.load(std::memory_order_relaxed); }
  uint64_t units_recorded() const noexcept { return recorded_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint32_t> budget_ppm_{0};
  std::atomic<uint64_t> seen_{0};
  std::atomic<uint64_t> recorded_{0};
  std::mutex mutex_;        // guards what follows: a unit is a request, so it is rarely taken
  uint64_t random_ = 0;     // xorshift64*'s state; 0: not seeded
  double duration_ns_ = 0;  // of a unit, an exponential mean
  double cost_ns_ = -1;     // of recording one; < 0: none is over yet
};

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_SAMPLER_H_
