// Scenarios a second on one core: every module priced, random mixes of all knobs, page and sequence length included.
//
//   build/tests/what_if_bench --benchmark_format=json
//
// items_per_second is scenarios a second. docs/what-if.md has the figures.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "analytic/prediction.h"
#include "analytic/what_if/what_if.h"
#include "tests/analytic/what_if/random_scenarios.h"

namespace {

using namespace dsocr::analytic;

constexpr int kScenarios = 1 << 14;

std::vector<Scenario> Draw() {
  RandomScenarios random(1);
  std::vector<Scenario> scenarios;
  for (int i = 0; i < kScenarios; ++i) {
    scenarios.push_back(random.Next());
  }
  return scenarios;
}

void PriceAll(benchmark::State& state, const std::vector<Scenario>& scenarios, const Device& device) {
  auto what_if = WhatIf::Create({ModelSpec(), *FindWorkload("dsocr-standard-v1"), device});
  ScenarioPrice price;
  for (const Scenario& scenario : scenarios) {
    (void)what_if->Price(scenario, &price);  // the tables of all sizes, as in the long run of a sweep
  }
  size_t i = 0;
  int64_t refused = 0;
  for (auto _ : state) {
    refused += what_if->Price(scenarios[i++ % scenarios.size()], &price).ok() ? 0 : 1;
    benchmark::DoNotOptimize(price.modules.data());
  }
  state.SetItemsProcessed(state.iterations() - refused);
  state.counters["refused_share"] = static_cast<double>(refused) / static_cast<double>(state.iterations());
}

void BM_AnyMix(benchmark::State& state) { PriceAll(state, Draw(), *FindDevice("h200-sxm")); }
BENCHMARK(BM_AnyMix);

// One set of curves a category, 40 points each, as a calibration leaves them.
Device Calibrated() {
  const Device datasheet = *FindDevice("cpu");
  RandomScenarios random(2);
  std::vector<CalibrationPoint> points;
  for (const Category& category : Categories()) {
    for (int i = 0; i < 40; ++i) {
      points.push_back({.category_id = std::string(category.id),
                        .flops = random.Integer(0, int64_t{1} << random.Integer(1, 40)),
                        .vector_flops = random.Integer(0, int64_t{1} << random.Integer(1, 30)),
                        .io_bytes = random.Integer(1, int64_t{1} << random.Integer(1, 32)),
                        .time_ns = random.Real(1e3, 1e9)});
    }
  }
  return *Calibrate(datasheet, Precision::kBf16, points, "bench");
}

void BM_AnyMixOnACalibratedDevice(benchmark::State& state) {
  std::vector<Scenario> scenarios = Draw();
  for (Scenario& scenario : scenarios) {
    scenario.device = nullptr;  // another one has no curves
  }
  PriceAll(state, scenarios, Calibrated());
}
BENCHMARK(BM_AnyMixOnACalibratedDevice);

void BM_Report(benchmark::State& state) {
  const ModelSpec model;
  const Device device = *FindDevice("h200-sxm");
  const Workload workload = *FindWorkload("dsocr-a4-v1");
  for (auto _ : state) {
    benchmark::DoNotOptimize(Predict(model, workload, device));
  }
}
BENCHMARK(BM_Report)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
