#include "analytic/prediction.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "analytic/law/device_laws.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/analytic/models.h"
#include "tests/analytic/workloads.h"

namespace dsocr::analytic {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Device Cpu() { return *FindDevice("cpu"); }

Prediction Predicted(const Workload& workload, const Device& device = Cpu(), const ModelSpec& model = ModelSpec()) {
  absl::StatusOr<Prediction> prediction = Predict(model, workload, device);
  EXPECT_TRUE(prediction.ok()) << prediction.status();
  return *std::move(prediction);
}

const PredictedModule& Module(const Prediction& prediction, const std::string& range) {
  return prediction.modules[prediction.module_of_range.at(range)];
}

Workload Standard() { return *FindWorkload("dsocr-standard-v1"); }
Workload A4() { return *FindWorkload("dsocr-a4-v1"); }

TEST(Predict, PartsSumToTheWholeForEveryProfile) {
  for (const Workload& workload : WorkloadCatalogue()) {
    const Prediction prediction = Predicted(workload);
    for (const PredictedModule& module : prediction.modules) {
      SCOPED_TRACE(module.module_id);
      const ModuleFigures& figures = module.figures;
      ModuleFigures children;
      for (const int index : module.children) {
        const ModuleFigures& child = prediction.modules[index].figures;
        children.flops += child.flops;
        children.vector_flops += child.vector_flops;
        children.io_bytes += child.io_bytes;
        children.parameters += child.parameters;
        children.weight_bytes += child.weight_bytes;
        children.kv_cache_bytes += child.kv_cache_bytes;
        children.launches += child.launches;
        children.time_ns += child.time_ns;
        EXPECT_LE(child.peak_activation_bytes, figures.peak_activation_bytes);
      }
      if (!module.children.empty()) {
        EXPECT_EQ(figures.flops, children.flops);
        EXPECT_EQ(figures.vector_flops, children.vector_flops);
        EXPECT_EQ(figures.io_bytes, children.io_bytes);
        EXPECT_EQ(figures.parameters, children.parameters);
        EXPECT_EQ(figures.weight_bytes, children.weight_bytes);
        EXPECT_EQ(figures.kv_cache_bytes, children.kv_cache_bytes);
        // A pass of the decoder cuts its rows of the rotary table itself.
        const bool is_pass = module.module_id == "prefill" || module.module_id == "decode";
        EXPECT_EQ(figures.launches, children.launches + (is_pass ? 2 * figures.calls : 0));
        EXPECT_NEAR(figures.time_ns, children.time_ns, 1e-9 * figures.time_ns);
        EXPECT_EQ(figures.self_time_ns, 0);
      } else {
        EXPECT_EQ(figures.self_time_ns, figures.time_ns);
      }
      ASSERT_FALSE(figures.operators.empty());
      int64_t launches = 0;
      int64_t flops = 0;
      int64_t bytes = 0;
      double time_ns = 0;
      for (const CategoryFigures& category : figures.operators) {
        launches += category.calls;
        flops += category.flops;
        bytes += category.io_bytes;
        time_ns += category.time_ns;
      }
      EXPECT_EQ(launches, figures.launches);
      EXPECT_EQ(flops, figures.flops);
      EXPECT_EQ(bytes, figures.io_bytes);
      EXPECT_NEAR(time_ns, figures.time_ns, 1e-9 * figures.time_ns);
    }
  }
}

TEST(Predict, WhatRunsTakesTimeAndWhatDoesNotIsZero) {
  for (const Workload& workload : WorkloadCatalogue()) {
    for (const PredictedModule& module : Predicted(workload).modules) {
      SCOPED_TRACE(module.module_id);
      EXPECT_EQ(module.figures.calls > 0, module.figures.time_ns > 0);
      if (module.figures.calls == 0) {
        EXPECT_EQ(module.figures.flops, 0);
        EXPECT_EQ(module.figures.io_bytes, 0);
        EXPECT_EQ(module.figures.launches, 0);
        EXPECT_EQ(module.figures.peak_activation_bytes, 0);
      }
    }
  }
}

TEST(Predict, CallsAreEntriesOfTheRange) {
  const Prediction one_view = Predicted(Standard());
  EXPECT_EQ(Module(one_view, "deepseek_ocr").figures.calls, 1);
  EXPECT_EQ(Module(one_view, "vision").figures.calls, 1);
  EXPECT_EQ(Module(one_view, "vision/sam/block[0]").figures.calls, 8);
  EXPECT_EQ(Module(one_view, "vision/clip/embeddings/patch_embedding").figures.calls, 0);
  EXPECT_EQ(Module(one_view, "vision/sam/pos_embed/interpolate").figures.calls, 0);
  EXPECT_EQ(Module(one_view, "decode").figures.calls, 63);
  EXPECT_EQ(Module(one_view, "decode").repetition_count, 63);
  EXPECT_EQ(Module(one_view, "decode/layer[1]").figures.calls, 11 * 63);
  EXPECT_EQ(Module(one_view, "decode/layer[1]/moe/experts").figures.calls, 11 * 63);

  const Prediction crops = Predicted(A4());
  EXPECT_EQ(Module(crops, "vision").figures.calls, 2);
  EXPECT_EQ(Module(crops, "vision/clip/layer[3]").figures.calls, 48);
  EXPECT_EQ(Module(crops, "projector").figures.calls, 1);
  EXPECT_EQ(Module(crops, "projector/linear").figures.calls, 2);
  EXPECT_EQ(Module(crops, "projector/assemble").figures.calls, 1);
  EXPECT_EQ(Module(crops, "vision/sam/pos_embed/interpolate").figures.calls, 1);
  EXPECT_EQ(Module(crops, "vision/sam/block[2]/attn/rel_pos/resize").figures.calls, 4);
  EXPECT_EQ(Module(crops, "vision/sam/block[0]/attn/rel_pos/resize").figures.calls, 0);
}

TEST(Predict, ShapesListEachDistinctCallCropsFirst) {
  const Prediction crops = Predicted(A4());
  EXPECT_THAT(Module(crops, "vision/sam").input_shapes,
              ElementsAre(ElementsAre(6, 3, 640, 640), ElementsAre(1, 3, 1024, 1024)));
  EXPECT_THAT(Module(crops, "vision/sam").output_shapes,
              ElementsAre(ElementsAre(6, 1024, 10, 10), ElementsAre(1, 1024, 16, 16)));
  EXPECT_THAT(Module(crops, "vision/sam/block[0]/attn/qkv").input_shapes,
              ElementsAre(ElementsAre(54, 14, 14, 768), ElementsAre(25, 14, 14, 768)));
  EXPECT_THAT(Module(crops, "projector/assemble").output_shapes, ElementsAre(ElementsAre(1, 903, 1280)));
  EXPECT_THAT(Module(crops, "prefill/layer[1]").input_shapes, ElementsAre(ElementsAre(1, 1024, 1280)));
  EXPECT_THAT(Module(crops, "decode/layer[1]").input_shapes, ElementsAre(ElementsAre(1, 1, 1280)));
}

TEST(Predict, OneNewTokenLeavesDecodeStandingWithZeros) {
  Workload workload = Standard();
  workload.max_new_tokens = 1;
  const Prediction prediction = Predicted(workload);
  const PredictedModule& decode = Module(prediction, "decode");
  EXPECT_EQ(decode.figures.calls, 0);
  EXPECT_EQ(decode.repetition_count, 0);
  EXPECT_EQ(decode.figures.time_ns, 0);
  EXPECT_THAT(decode.input_shapes, IsEmpty());
  const ModuleFigures& leaf = Module(prediction, "decode/layer[0]/self_attn/q_proj").figures;
  ASSERT_EQ(leaf.operators.size(), 1);
  EXPECT_EQ(leaf.operators[0].category_id, "gemv");
  EXPECT_EQ(leaf.operators[0].calls, 0);
}

TEST(Predict, WeightsCountOnceAndTheCacheByPosition) {
  const Prediction prediction = Predicted(Standard());
  EXPECT_EQ(Module(prediction, "deepseek_ocr").figures.weight_bytes, 2 * 3'336'106'240);
  EXPECT_EQ(Module(prediction, "decode").figures.weight_bytes, 0);
  EXPECT_GT(Module(prediction, "decode").figures.io_bytes,
            63 * int64_t{1'148'000'000});  // it reads what it does not own
  constexpr int64_t kBytesPerPosition = 12 * 2 * 1280 * 2;
  EXPECT_EQ(Module(prediction, "prefill").figures.kv_cache_bytes, 512 * kBytesPerPosition);
  EXPECT_EQ(Module(prediction, "decode").figures.kv_cache_bytes, 63 * kBytesPerPosition);
  EXPECT_EQ(Module(prediction, "deepseek_ocr").figures.kv_cache_bytes, 575 * kBytesPerPosition);

  Workload fp32 = Standard();
  fp32.precision = Precision::kFp32;
  EXPECT_EQ(Module(Predicted(fp32), "deepseek_ocr").figures.weight_bytes, 4 * 3'336'106'240);
}

TEST(Predict, PeakActivationIsTheMaterialisedBiasOfGlobalAttention) {
  const int64_t bias = int64_t{12} * 4096 * 4096 * 2;
  const int64_t peak = Module(Predicted(Standard()), "deepseek_ocr").figures.peak_activation_bytes;
  EXPECT_GT(peak, bias);
  EXPECT_LT(peak, bias + bias / 5);
}

TEST(Predict, DecodeReadsTheWeightsOfSixExpertsALayer) {
  const ModuleFigures& experts = Module(Predicted(Standard()), "decode/layer[1]/moe/experts").figures;
  const int64_t weights = int64_t{63} * 11 * 6 * 3'440'640 * 2;
  EXPECT_GE(experts.io_bytes, weights);
  EXPECT_LT(experts.io_bytes, weights + weights / 50);
  EXPECT_EQ(experts.operators.size(), 4);  // gemv, activation, elementwise, and copies that cost nothing
}

TEST(Predict, WorkIsAdditiveOverLayers) {
  ModelSpec deeper;
  deeper.decoder.layers = 23;  // 22 expert layers in place of 11
  const Prediction once = Predicted(Standard());
  const Prediction twice = Predicted(Standard(), Cpu(), deeper);
  const ModuleFigures& layers = Module(once, "prefill/layer[1]").figures;
  const ModuleFigures& doubled = Module(twice, "prefill/layer[1]").figures;
  EXPECT_EQ(doubled.flops, 2 * layers.flops);
  EXPECT_EQ(doubled.io_bytes, 2 * layers.io_bytes);
  EXPECT_EQ(doubled.parameters, 2 * layers.parameters);
  EXPECT_NEAR(doubled.time_ns, 2 * layers.time_ns, 1e-6 * layers.time_ns);
  EXPECT_EQ(doubled.peak_activation_bytes, layers.peak_activation_bytes);
}

TEST(Predict, MoreTokensNeverCostLess) {
  for (const char* device : {"cpu", "h200-sxm", "l4"}) {
    double previous_ns = 0;
    int64_t previous_flops = 0;
    for (int64_t tokens = 274; tokens < 8192; tokens += 311) {
      Workload workload = Standard();
      workload.seq_len = tokens;
      const ModuleFigures figures = Predicted(workload, *FindDevice(device)).modules[0].figures;
      EXPECT_GE(figures.time_ns, previous_ns) << device << " at " << tokens;
      EXPECT_GT(figures.flops, previous_flops) << tokens;
      previous_ns = figures.time_ns;
      previous_flops = figures.flops;
    }
  }
}

TEST(Predict, TheLargestAllowedRequestsStayFiniteAndPositive) {
  for (int64_t batch = 1; batch <= int64_t{1} << 16; batch *= 4) {
    for (int64_t tokens = 1 << 10; tokens <= 1 << 20; tokens *= 4) {
      Workload workload = *FindWorkload("dsocr-large-v1");
      workload.image_size = 8192;
      workload.batch = batch;
      workload.seq_len = 16'514 + tokens;
      workload.max_new_tokens = tokens;
      const absl::StatusOr<Prediction> prediction = Predict(ModelSpec(), workload, Cpu());
      if (!prediction.ok()) {
        EXPECT_EQ(prediction.status().code(), absl::StatusCode::kInvalidArgument);
        continue;
      }
      for (const PredictedModule& module : prediction->modules) {
        EXPECT_GE(module.figures.flops, 0) << module.module_id;
        EXPECT_GE(module.figures.vector_flops, 0) << module.module_id;
        EXPECT_GE(module.figures.io_bytes, 0) << module.module_id;
        EXPECT_GE(module.figures.peak_activation_bytes, 0) << module.module_id;
        EXPECT_TRUE(std::isfinite(module.figures.time_ns)) << module.module_id;
      }
    }
  }
}

TEST(Predict, ExecutesTheFixturesShapes) {
  Workload workload = Standard();
  workload.base_size = 256;
  workload.image_size = 160;
  workload.page_width = 500;
  workload.page_height = 380;
  workload.seq_len = 89;
  const Prediction prediction = Predicted(workload, Cpu(), TinyA());
  EXPECT_THAT(Module(prediction, "vision/sam").output_shapes,
              ElementsAre(ElementsAre(6, 64, 3, 3), ElementsAre(1, 64, 4, 4)));
  EXPECT_THAT(Module(prediction, "vision/clip").output_shapes,
              ElementsAre(ElementsAre(6, 10, 64), ElementsAre(1, 17, 64)));
  EXPECT_THAT(Module(prediction, "projector").output_shapes, ElementsAre(ElementsAre(1, 81, 64)));
}

TEST(Predict, EveryTimeHasItsIntervalsAndItsSource) {
  const Workload workload = *FindWorkload("dsocr-standard-v1");
  const Device datasheet = *FindDevice("h100-sxm");
  const LawModel model = *FitLaws(datasheet, {{GemmSize{2048, 3072, 768}, Precision::kBf16, 2.1e4},
                                              {GemmSize{8192, 3072, 768}, Precision::kBf16, 8.1e4}});
  for (const Device& device : {datasheet, WithLaws(datasheet, model, "c-1")}) {
    const Prediction prediction = *Predict(ModelSpec(), workload, device);
    for (const PredictedModule& module : prediction.modules) {
      const ModuleFigures& figures = module.figures;
      const TimeSpread& spread = figures.spread;
      EXPECT_LE(spread.below_50, spread.below_90) << module.module_id;
      EXPECT_LE(spread.above_50, spread.above_90) << module.module_id;
      EXPECT_EQ(figures.time_ns > 0, spread.below_50 > 0) << module.module_id;
      EXPECT_LE(spread.below_90, figures.time_ns) << module.module_id;
      // Categories err on their own, modules of a category together: between the root of squares and the sum.
      double squares = 0, sum = 0;
      for (const CategoryFigures& category : figures.operators) {
        squares += category.spread.above_90 * category.spread.above_90;
        sum += category.spread.above_90;
      }
      EXPECT_NEAR(spread.above_90, std::sqrt(squares), 1e-9 * sum) << module.module_id;
    }
  }
  const Prediction prediction = *Predict(ModelSpec(), workload, WithLaws(datasheet, model, "c-1"));
  for (const PredictedModule& module : prediction.modules) {
    if (module.module_id == "vision/sam/block[2,5,8,11]/mlp/lin1") {
      EXPECT_EQ(module.figures.provenance, Provenance::kInterpolated);
      EXPECT_NEAR(module.figures.nearest_distance, 1, 1e-9);  // 1024 pixels: 64 x 64 patches
    }
  }
  EXPECT_EQ(Predict(ModelSpec(), workload, datasheet)->modules[0].figures.provenance, Provenance::kDatasheet);
}

TEST(Predict, IsDeterministic) {
  const Prediction first = Predicted(A4());
  const Prediction second = Predicted(A4());
  for (size_t i = 0; i < first.modules.size(); ++i) {
    EXPECT_EQ(first.modules[i].module_id, second.modules[i].module_id);
    EXPECT_EQ(first.modules[i].figures.time_ns, second.modules[i].figures.time_ns);
  }
}

}  // namespace
}  // namespace dsocr::analytic
