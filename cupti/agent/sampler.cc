#include "cupti/agent/sampler.h"

#include <algorithm>
#include <cmath>

#include "cupti/agent/clock.h"

namespace dsocr::agent {
namespace {

// A new unit's weight in the means: the last dozen or so count.
constexpr double kWeight = 0.1;
// Never rarer, so that a change of the job is noticed.
constexpr double kLeastProbability = 1.0 / 1024;

// Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016. Uniform in [0, 1).
double Uniform(uint64_t* state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return static_cast<double>(*state * 0x2545f4914f6cdd1du >> 11) * 0x1p-53;
}

}  // namespace

uint64_t Sampler::Choose() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  seen_.fetch_add(1, std::memory_order_relaxed);
  double probability = 1.0;
  if (cost_ns_ > 0 && duration_ns_ > 0) {
    probability = std::clamp(1e-6 * budget_ppm_ * duration_ns_ / cost_ns_, kLeastProbability, 1.0);
  }
  if (random_ == 0) {
    random_ = static_cast<uint64_t>(NowNs()) | 1;
  }
  if (Uniform(&random_) >= probability) {
    return 0;
  }
  recorded_.fetch_add(1, std::memory_order_relaxed);
  return static_cast<uint64_t>(std::llround(65536 / probability));
}

void Sampler::Learn(bool was_recorded, int64_t duration_ns, int64_t cost_ns) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  // What recording costs is part of how long a recorded unit took.
  const auto own_ns = static_cast<double>(std::max<int64_t>(1, was_recorded ? duration_ns - cost_ns : duration_ns));
  duration_ns_ += (duration_ns_ == 0 ? 1.0 : kWeight) * (own_ns - duration_ns_);
  if (was_recorded) {
    cost_ns_ =
        cost_ns_ < 0 ? static_cast<double>(cost_ns) : cost_ns_ + kWeight * (static_cast<double>(cost_ns) - cost_ns_);
  }
}

}  // namespace dsocr::agent
