#include "analytic/what_if/what_if.h"

#include <string>

#include "analytic/prediction.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/analytic/models.h"
#include "tests/analytic/what_if/random_scenarios.h"

namespace dsocr::analytic {
namespace {

Baseline Standard() { return {ModelSpec(), *FindWorkload("dsocr-standard-v1"), *FindDevice("h200-sxm")}; }

// What Predict gives for the changed inputs, bit for bit.
void ExpectEqualToAFreshReport(WhatIf& what_if, const Scenario& scenario) {
  const auto price = what_if.Price(scenario);
  const auto changed = ChangedBaseline(what_if.baseline(), scenario);
  ASSERT_EQ(price.ok(), changed.ok()) << price.status() << " " << changed.status();
  if (!price.ok()) {
    EXPECT_EQ(price.status(), changed.status());
    return;
  }
  const auto prediction = Predict(changed->model, changed->workload, changed->device);
  ASSERT_TRUE(prediction.ok()) << prediction.status();
  ASSERT_EQ(price->modules.size(), prediction->modules.size());
  for (size_t i = 0; i < price->modules.size(); ++i) {
    const ModuleFigures& figures = prediction->modules[i].figures;
    ASSERT_EQ(price->modules[i].time_ns, figures.time_ns) << what_if.module_ids()[i];
    ASSERT_EQ(price->modules[i].flops, figures.flops) << what_if.module_ids()[i];
  }
  const ModuleFigures& root = prediction->modules[0].figures;
  EXPECT_EQ(price->total_time_ns, root.time_ns);
  EXPECT_EQ(price->total_flops, root.flops);
  EXPECT_EQ(price->memory.weight_bytes, root.weight_bytes);
  EXPECT_EQ(price->memory.activation_bytes, root.peak_activation_bytes);
  EXPECT_EQ(price->memory.kv_cache_bytes, root.kv_cache_bytes);
  EXPECT_EQ(price->device_memory_bytes, changed->device.memory_bytes);
}

TEST(WhatIf, AnyMixOfKnobsEqualsAFreshReportToTheLastBit) {
  auto what_if = WhatIf::Create(Standard());
  ASSERT_TRUE(what_if.ok()) << what_if.status();
  RandomScenarios random(7);
  for (int i = 0; i < 3000; ++i) {
    SCOPED_TRACE(i);
    ExpectEqualToAFreshReport(*what_if, random.Next());
    if (HasFailure()) {
      break;
    }
  }
}

}  // namespace
}  // namespace dsocr::analytic
