#include "daemon/attach/window_prediction.h"

#include <gtest/gtest.h>

#include <random>

namespace dsocr::attach {
namespace {

using analytic::PredictedModule;
using analytic::Prediction;
using analytic::Workload;

const analytic::Device& Gpu() { return analytic::DeviceCatalogue().front(); }

const analytic::ModelSpec& Model() { return analytic::ModelCatalogue().front(); }

WindowPrediction Window(const std::map<ObservedRequest, int64_t>& requests, const Execution& execution = {}) {
  absl::StatusOr<WindowPrediction> window = PredictWindow(Model(), requests, execution, Gpu());
  EXPECT_TRUE(window.ok()) << window.status();
  return *std::move(window);
}

// The window's figures are `count` times those of a request, but for what a device waits where stages meet: each of a
// window's is taken to begin on an idle one.
void ExpectTimes(const WindowPrediction& window, const Prediction& request, int64_t count) {
  for (size_t i = 0; i < request.modules.size(); ++i) {
    const PredictedModule& one = request.modules[i];
    const PredictedModule& all = window.prediction.modules[i];
    ASSERT_EQ(all.figures.calls, count * one.figures.calls) << one.module_id;
    ASSERT_EQ(all.figures.flops, count * one.figures.flops) << one.module_id;
    ASSERT_EQ(all.figures.io_bytes, count * one.figures.io_bytes) << one.module_id;
    ASSERT_EQ(all.figures.launches, count * one.figures.launches) << one.module_id;
    ASSERT_NEAR(all.figures.time_ns, static_cast<double>(count) * one.figures.time_ns,
                static_cast<double>(count) * 2e5 + 1e-9 * all.figures.time_ns)
        << one.module_id;
    ASSERT_EQ(all.figures.weight_bytes, one.figures.weight_bytes) << one.module_id;
    ASSERT_EQ(all.figures.kv_cache_bytes, one.figures.kv_cache_bytes) << one.module_id;
    ASSERT_EQ(all.figures.operators.size(), one.figures.operators.size()) << one.module_id;
    for (size_t k = 0; k < one.figures.operators.size(); ++k) {
      ASSERT_EQ(all.figures.operators[k].flops, count * one.figures.operators[k].flops) << one.module_id;
    }
  }
}

TEST(PredictWindowTest, OfEqualRequestsIsSoManyTimesThatOfOne) {
  for (const Workload& workload : analytic::WorkloadCatalogue()) {
    const analytic::ImageLayout layout = analytic::LayOutImage(Model(), workload);
    ObservedRequest request{.seq_len = workload.seq_len, .steps = workload.max_new_tokens - 1};
    if (layout.num_crops > 0) {
      request.views.push_back({layout.num_crops, layout.crop_side});
    }
    request.views.push_back({1, layout.global_side});
    const WindowPrediction window = Window({{request, 3}});
    EXPECT_EQ(window.workload.seq_len, workload.seq_len);
    EXPECT_EQ(window.workload.max_new_tokens, workload.max_new_tokens);
    ExpectTimes(window, *analytic::Predict(Model(), workload, Gpu()), 3);
  }
}

TEST(PredictWindowTest, ReplaysCudaGraphs) {
  Workload workload = analytic::WorkloadCatalogue().front();
  workload.cuda_graphs = true;
  const ObservedRequest request{.views = {{1, analytic::LayOutImage(Model(), workload).global_side}},
                                .seq_len = workload.seq_len,
                                .steps = workload.max_new_tokens - 1};
  const WindowPrediction window = Window({{request, 3}}, {.cuda_graphs = true});
  EXPECT_TRUE(window.workload.cuda_graphs);
  ExpectTimes(window, *analytic::Predict(Model(), workload, Gpu()), 3);
}

TEST(PredictWindowTest, IsTheSumOverItsRequests) {
  const ObservedRequest a{.views = {{1, 1024}}, .seq_len = 512, .steps = 10};
  const ObservedRequest b{.views = {{6, 640}, {1, 1024}}, .seq_len = 1024, .steps = 31};
  const double together = Window({{a, 2}, {b, 5}}).prediction.modules[0].figures.time_ns;
  const double apart = 2 * Window({{a, 1}}).prediction.modules[0].figures.time_ns +
                       5 * Window({{b, 1}}).prediction.modules[0].figures.time_ns;
  EXPECT_NEAR(together, apart, 1e-9 * apart);
}

TEST(PredictWindowTest, WhatTheWindowCutOffIsNotPredicted) {
  const WindowPrediction window = Window({{{.steps = 7}, 1}});
  for (const PredictedModule& module : window.prediction.modules) {
    const bool is_decode = module.stage == analytic::Stage::kDecode;
    EXPECT_EQ(module.figures.time_ns > 0, (is_decode && module.figures.calls > 0) || module.parent < 0)
        << module.module_id;
  }
  const WindowPrediction nothing = Window({});
  EXPECT_EQ(nothing.prediction.modules[0].figures.time_ns, 0);
  EXPECT_EQ(nothing.prediction.modules[0].figures.calls, 0);
}

TEST(PredictWindowTest, TheWorkloadIsTheMostFrequentRequest) {
  const ObservedRequest rare{.views = {{1, 1024}}, .seq_len = 512, .steps = 10};
  const ObservedRequest usual{.views = {{1, 1280}, {4, 768}}, .seq_len = 1400, .steps = 20};
  const WindowPrediction window = Window({{rare, 1}, {usual, 9}});
  EXPECT_EQ(window.workload.base_size, 1280);
  EXPECT_EQ(window.workload.image_size, 768);
  EXPECT_TRUE(window.workload.crop_mode);
  EXPECT_EQ(analytic::LayOutImage(window.model, window.workload).num_crops, 4);
  EXPECT_EQ(window.workload.max_new_tokens, 21);
}

TEST(PredictWindowTest, HostileRequestsArePredictedAsTheyAre) {
  std::mt19937_64 random(1);
  const auto size = [&](int bits) {
    return static_cast<int64_t>(1 + (random() >> (64 - bits)) % (uint64_t{1} << bits));
  };
  for (int round = 0; round < 30; ++round) {
    std::map<ObservedRequest, int64_t> requests;
    for (int i = 0; i < 5; ++i) {
      ObservedRequest request{.batch = size(16), .seq_len = size(20) - 1, .steps = size(30) - 1};
      for (uint64_t views = random() % 4; views > 0; --views) {
        request.views.push_back({size(16), size(13)});
      }
      requests[request] = size(40);
    }
    EXPECT_GE(Window(requests).prediction.modules[0].figures.time_ns, 0);
  }
}

}  // namespace
}  // namespace dsocr::attach
