// Scenarios a second on one core: every module priced, random mixes of all knobs, page and sequence length included.
//
//   build/tests/what_if_bench --benchmark_format=json
//
// items_per_second is scenarios a second. docs/what-if.md has the figures.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "analytic/law/device_laws.h"
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

// A law a category, of 40 points each, as a calibration leaves them.
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
    scenario.device = nullptr;  // another one has no laws
  }
  PriceAll(state, scenarios, Calibrated());
}
BENCHMARK(BM_AnyMixOnACalibratedDevice);

// Pages of any size and length, each with its intervals, on a device known by a table of 600 products and 200
// attentions, as `calibrate fit` leaves them.
void BM_PageWithIntervals(benchmark::State& state) {
  const Device datasheet = *FindDevice("h100-sxm");
  RandomScenarios random(3);
  std::vector<Sample> samples;
  for (int i = 0; i < 600; ++i) {
    const GemmSize size{random.Integer(1, 8192), 64 * random.Integer(1, 128), 64 * random.Integer(1, 128)};
    samples.push_back({size, Precision::kBf16, 4000 + 2.0 * size.m * size.n * size.k / 6e5});
  }
  for (int i = 0; i < 200; ++i) {
    const int64_t tokens = random.Integer(16, 4096);
    const AttentionSize size{1, tokens, tokens, 10, 10, 128, true};
    samples.push_back({size, Precision::kBf16, 9000 + 4.0 * 10 * 128 * tokens * tokens / 3e5});
  }
  const Device device = WithLaws(datasheet, *FitLaws(datasheet, samples), "bench");
  WhatIf what_if = *WhatIf::Create({ModelSpec(), *FindWorkload("dsocr-standard-v1"), device});
  std::vector<Scenario> pages(4096);
  for (Scenario& page : pages) {
    page.seq_len = random.Integer(1024, 4096);
    page.max_new_tokens = random.Integer(1, 4096);
    page.page_width = random.Integer(300, 3000);
    page.page_height = random.Integer(300, 3000);
    page.crop_mode = true;
  }
  ScenarioPrice price;
  int64_t refused = 0;
  for (auto _ : state) {
    refused += what_if.Price(pages[static_cast<size_t>(state.iterations()) % pages.size()], &price).ok() ? 0 : 1;
    benchmark::DoNotOptimize(what_if.TotalSpread());
  }
  state.SetItemsProcessed(state.iterations() - refused);
  state.counters["refused_share"] = static_cast<double>(refused) / static_cast<double>(state.iterations());
}
BENCHMARK(BM_PageWithIntervals);

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
