#include "cupti/agent/sampler.h"

#include <gtest/gtest.h>

namespace dsocr::agent {
namespace {

// A job of `units` units of 1 ms, of which recording one takes `cost_ns`. The share that recording took.
double Play(Sampler& sampler, int units, int64_t cost_ns, double* estimated_units = nullptr) {
  constexpr int64_t kUnitNs = 1'000'000;
  int64_t total_ns = 0;
  int64_t recording_ns = 0;
  for (int i = 0; i < units; ++i) {
    const uint64_t inverse_q16 = sampler.Choose();
    const int64_t cost = inverse_q16 == 0 ? 0 : cost_ns;
    recording_ns += cost;
    total_ns += kUnitNs + cost;
    if (estimated_units != nullptr) {
      *estimated_units += static_cast<double>(inverse_q16) / 65536;
    }
    sampler.Learn(inverse_q16 != 0, kUnitNs + cost, cost);
  }
  return static_cast<double>(recording_ns) / static_cast<double>(total_ns);
}

TEST(Sampler, HoldsTheBudget) {
  Sampler sampler;
  sampler.set_budget_ppm(10'000);  // 1 %
  EXPECT_NEAR(Play(sampler, 200'000, 50'000), 0.01, 0.001);
}

TEST(Sampler, RecordsAllThatTheBudgetAllows) {
  Sampler sampler;
  sampler.set_budget_ppm(100'000);
  EXPECT_NEAR(Play(sampler, 10'000, 20'000), 0.02, 0.001);
  EXPECT_EQ(sampler.units_recorded(), 10'000u);
}

TEST(Sampler, WeightsOfTheRecordedAddUpToAll) {
  Sampler sampler;
  sampler.set_budget_ppm(10'000);
  double estimated_units = 0;
  Play(sampler, 200'000, 50'000, &estimated_units);
  // 40,000 of 200,000 are recorded at probability 1/5: the estimate's deviation is about 900.
  EXPECT_NEAR(estimated_units, 200'000, 5'000);
  EXPECT_EQ(sampler.units_seen(), 200'000u);
}

TEST(Sampler, NeverGoesBlind) {
  Sampler sampler;
  sampler.set_budget_ppm(1);
  Play(sampler, 200'000, 1'000'000);
  EXPECT_GT(sampler.units_recorded(), 50u);
}

}  // namespace
}  // namespace dsocr::agent
