#include "analytic/what_if/what_if.h"

#include <cmath>
#include <string>
#include <utility>

#include "analytic/law/device_laws.h"
#include "analytic/prediction.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/analytic/routings.h"
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
  const TimeSpread spread = what_if.TotalSpread();
  EXPECT_NEAR(spread.below_50, root.spread.below_50, 1e-9 * root.time_ns);
  EXPECT_NEAR(spread.above_90, root.spread.above_90, 1e-9 * root.time_ns);
}

TEST(WhatIf, AnyMixOfKnobsEqualsAFreshReportToTheLastBit) {
  auto what_if = WhatIf::Create(Standard());
  ASSERT_TRUE(what_if.ok()) << what_if.status();
  RandomScenarios random(7);
  for (int i = 0; i < 2000; ++i) {
    SCOPED_TRACE(i);
    ExpectEqualToAFreshReport(*what_if, random.Next());
    if (HasFailure()) {
      break;
    }
  }
}

TEST(WhatIf, ACalibratedDeviceAndTheSecondModelEqualFreshReportsToo) {
  const Device datasheet = *FindDevice("cpu");
  const auto device = Calibrate(datasheet, Precision::kBf16,
                                {{.category_id = "gemm", .flops = 1 << 30, .io_bytes = 1 << 24, .time_ns = 4e6},
                                 {.category_id = "gemv", .flops = 1 << 22, .io_bytes = 1 << 22, .time_ns = 3e5},
                                 {.category_id = "attention", .flops = 1 << 28, .io_bytes = 1 << 22, .time_ns = 9e6}},
                                "c-1");
  ASSERT_TRUE(device.ok());
  for (const ModelSpec& model : ModelCatalogue()) {
    Workload workload = *FindWorkload("dsocr-standard-v1");
    workload.image_size = model.preprocess.crop_tile_size;
    auto what_if = WhatIf::Create({model, workload, *device});
    ASSERT_TRUE(what_if.ok()) << what_if.status();
    RandomScenarios random(11);
    for (int i = 0; i < 200 && !HasFailure(); ++i) {
      SCOPED_TRACE(i);
      Scenario scenario = random.Next();
      scenario.device = nullptr;
      ExpectEqualToAFreshReport(*what_if, scenario);
    }
  }
}

// Laws of whole operators, by their sizes, on a device whose host has to be waited for.
TEST(WhatIf, AGpuWithLawsEqualsFreshReportsToo) {
  const Device datasheet = *FindDevice("h200-sxm");
  const LawModel model = *FitLaws(
      *FindDevice("h100-sxm"),
      {{GemmSize{1, 1280, 1280}, Precision::kBf16, 3.1e3},
       {GemmSize{512, 3420, 1280}, Precision::kBf16, 9.5e3},
       {GemmSize{4096, 3072, 768}, Precision::kBf16, 4.1e4},
       {AttentionSize{
            .batch = 1, .seq_q = 512, .seq_kv = 512, .heads = 10, .kv_heads = 10, .head_dim = 128, .is_causal = true},
        Precision::kBf16, 1.9e4}});
  for (const bool is_transfer : {false, true}) {
    const Device& device = is_transfer ? datasheet : model.device;
    auto what_if = WhatIf::Create({ModelSpec(), *FindWorkload("dsocr-standard-v1"), WithLaws(device, model, "c-1")});
    ASSERT_TRUE(what_if.ok()) << what_if.status();
    RandomScenarios random(13);
    for (int i = 0; i < 300 && !HasFailure(); ++i) {
      SCOPED_TRACE(i);
      ExpectEqualToAFreshReport(*what_if, random.Next());
    }
  }
}

// Short records and long ones: passes within what was recorded, and beyond.
TEST(WhatIf, ARecordedRoutingEqualsFreshReportsToo) {
  for (const int64_t recorded : {1, 2, 60, 900}) {
    Baseline baseline = Standard();
    baseline.model.decoder.routing = UnevenRouting(baseline.model.decoder, recorded, recorded / 10);
    auto what_if = WhatIf::Create(std::move(baseline));
    ASSERT_TRUE(what_if.ok()) << what_if.status();
    RandomScenarios random(17);
    for (int i = 0; i < 200 && !HasFailure(); ++i) {
      SCOPED_TRACE(i);
      ExpectEqualToAFreshReport(*what_if, random.Next());
    }
  }
}

TEST(WhatIf, RequestsTooLargeForDoublesAreCountedInIntegers) {
  auto what_if = WhatIf::Create(Standard());
  Scenario scenario;
  scenario.batch_scale = 8192;
  scenario.seq_len = 8192;
  ASSERT_GT(what_if->Price(scenario)->total_flops, int64_t{1} << 53);
  ExpectEqualToAFreshReport(*what_if, scenario);
}

TEST(WhatIf, RefusesWhatCannotBe) {
  auto what_if = WhatIf::Create(Standard());
  Scenario infinite;
  infinite.peak_tflops = HUGE_VAL;
  EXPECT_EQ(what_if->Price(infinite).status().message(), "peak_tflops inf: not a positive finite number; give one");
  Scenario half;
  half.batch_scale = 0.5;
  EXPECT_EQ(what_if->Price(half).status().code(), absl::StatusCode::kInvalidArgument);
  Scenario none;
  none.tensor_parallel = 0;
  EXPECT_EQ(what_if->Price(none).status().code(), absl::StatusCode::kInvalidArgument);
  Scenario short_prompt;
  short_prompt.seq_len = 5;
  EXPECT_EQ(what_if->Price(short_prompt).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(WhatIf, SmallWeightsAreReadAndStoredAsSuch) {
  auto what_if = WhatIf::Create(Standard());
  const ScenarioPrice bf16 = *what_if->Price({});
  Scenario scenario;
  scenario.dtype = Precision::kInt4w;
  const ScenarioPrice int4 = *what_if->Price(scenario);
  EXPECT_EQ(int4.total_flops, bf16.total_flops);
  EXPECT_LT(int4.total_time_ns, bf16.total_time_ns);
  EXPECT_EQ(int4.memory.kv_cache_bytes, bf16.memory.kv_cache_bytes);
  // 0.515625 bytes a parameter, and two for the embedding, which stays as it is.
  const int64_t embedding = int64_t{129280} * 1280;
  const double matrices = static_cast<double>(3'336'106'240 - embedding);
  EXPECT_NEAR(static_cast<double>(int4.memory.weight_bytes), 2.0 * embedding + 0.515625 * matrices, 2e7);
}

TEST(WhatIf, DevicesShareWorkAndMemoryAndTalk) {
  auto what_if = WhatIf::Create(Standard());
  Scenario eight;
  eight.batch_scale = 8;
  const ScenarioPrice one = *what_if->Price(eight);

  Scenario data = eight;
  data.data_parallel = 8;
  const ScenarioPrice replicas = *what_if->Price(data);
  EXPECT_EQ(replicas.total_time_ns, what_if->Price({})->total_time_ns);  // each has one request
  EXPECT_EQ(replicas.total_flops, one.total_flops);
  EXPECT_EQ(replicas.memory.weight_bytes, one.memory.weight_bytes);
  EXPECT_EQ(replicas.communication_ns, 0);

  Scenario tensor = eight;
  tensor.tensor_parallel = 2;
  tensor.link_gbs = 1e6;
  const ScenarioPrice split = *what_if->Price(tensor);
  EXPECT_EQ(split.total_flops, one.total_flops);
  EXPECT_EQ(2 * split.memory.kv_cache_bytes, one.memory.kv_cache_bytes);
  EXPECT_LT(split.memory.weight_bytes, one.memory.weight_bytes);
  EXPECT_GT(split.communication_ns, 0);
  tensor.link_gbs = 1;
  EXPECT_GT(what_if->Price(tensor)->communication_ns, split.communication_ns);

  Scenario expert = eight;
  expert.expert_parallel = 8;
  const ScenarioPrice experts = *what_if->Price(expert);
  EXPECT_EQ(experts.devices, 8);
  EXPECT_EQ(experts.total_flops, one.total_flops);
  EXPECT_LT(experts.memory.weight_bytes, one.memory.weight_bytes / 2);
  EXPECT_LT(experts.total_time_ns, one.total_time_ns);
}

TEST(WhatIf, SaysByHowMuchAScenarioFits) {
  auto what_if = WhatIf::Create(Standard());
  const ScenarioPrice price = *what_if->Price({});
  EXPECT_TRUE(price.fits());
  EXPECT_EQ(price.headroom_bytes(), 141'000'000'000 - price.memory.total_bytes());
  Scenario large;
  large.seq_len = 1 << 16;
  large.batch_scale = 64;
  EXPECT_FALSE(what_if->Price(large)->fits());
}

}  // namespace
}  // namespace dsocr::analytic
