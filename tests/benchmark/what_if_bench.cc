// Scenarios a second on one core: every module priced, random mixes of all knobs, page and sequence length included.
//
//   build/tests/what_if_bench --benchmark_format=json
//
// items_per_second is scenarios a second. docs/what-if.md has the figures.
#include <benchmark/benchmark.h>

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
