#include "analytic/op/operator.h"

#include <cstdint>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::analytic {
namespace {

TEST(Gemm, CountsAMultiplyAddAsTwoAndEveryOperandOnce) {
  const Cost cost = CostOf(Gemm{.m = 1024, .n = 1024, .k = 1024}, Precision::kBf16);

  EXPECT_EQ(cost.flops, 2'147'483'648);
  EXPECT_EQ(cost.bytes(), 6'291'456);
  EXPECT_EQ(cost.matmul_elements, 1024 * 1024);
  EXPECT_EQ(cost.vector_flops, 0);
}

TEST(Gemm, BiasAddsOneReadAColumnAndOneAdditionAnElement) {
  const Gemm plain = {.m = 3, .n = 5, .k = 7};
  Gemm biased = plain;
  biased.has_bias = true;

  EXPECT_EQ(CostOf(biased, Precision::kFp32).flops, CostOf(plain, Precision::kFp32).flops);
  EXPECT_EQ(CostOf(biased, Precision::kFp32).vector_flops, 15);
  EXPECT_EQ(CostOf(biased, Precision::kFp32).read_bytes - CostOf(plain, Precision::kFp32).read_bytes, 5 * 4);
}

TEST(Gemm, IsAdditiveOverTheBatch) {
  const Cost one = CostOf(Gemm{.m = 3, .n = 5, .k = 7}, Precision::kBf16);
  const Cost four = CostOf(Gemm{.batch = 4, .m = 3, .n = 5, .k = 7}, Precision::kBf16);

  EXPECT_EQ(four.flops, 4 * one.flops);
  EXPECT_EQ(four.bytes(), 4 * one.bytes());
}

TEST(Conv2d, IsAnImplicitMatrixProduct) {
  const Conv2d patches = {
      .in_channels = 3, .out_channels = 768, .in_side = 1024, .kernel = 16, .stride = 16, .has_bias = true};

  EXPECT_EQ(OutSide(patches), 64);
  EXPECT_EQ(CostOf(patches, Precision::kBf16).flops, 4'831'838'208);
  EXPECT_EQ(CostOf(patches, Precision::kBf16).flops,
            CostOf(Gemm{.m = 64 * 64, .n = 768, .k = 3 * 16 * 16}, Precision::kBf16).flops);
}

TEST(Conv2d, StrideTwoRoundsOddSidesUp) {
  EXPECT_EQ(OutSide(Conv2d{.in_side = 5, .kernel = 3, .stride = 2, .padding = 1}), 3);
  EXPECT_EQ(OutSide(Conv2d{.in_side = 10, .kernel = 3, .stride = 2, .padding = 1}), 5);
}

TEST(Attention, CountsTwoProductsOverTheFullSquare) {
  const Attention attention = {.batch = 2, .heads = 3, .kv_heads = 3, .query_len = 5, .kv_len = 7, .head_dim = 4};
  const Cost cost = CostOf(attention, Precision::kBf16);

  EXPECT_EQ(cost.flops, 2 * (2 * (2 * 3 * 5 * 7 * 4)));
  EXPECT_EQ(cost.bytes(), 2 * (2 * 2 * 3 * 5 * 4 + 2 * 2 * 3 * 7 * 4));
}

TEST(Attention, MaterialisedBiasIsReadAndStaysAlive) {
  Attention attention = {.heads = 2, .kv_heads = 2, .query_len = 8, .kv_len = 8, .head_dim = 4};
  const Cost plain = CostOf(attention, Precision::kFp32);
  attention.has_bias = true;
  const Cost biased = CostOf(attention, Precision::kFp32);

  EXPECT_EQ(biased.read_bytes - plain.read_bytes, 4 * 2 * 8 * 8);
  EXPECT_EQ(biased.live_bytes - plain.live_bytes, 4 * 2 * 8 * 8);
  EXPECT_EQ(biased.flops, plain.flops);
}

TEST(Moe, ExpectedDistinctExpertsFollowTheClosedForm) {
  EXPECT_DOUBLE_EQ(ExpectedDistinctExperts(64, 6, 1), 6);
  EXPECT_NEAR(ExpectedDistinctExperts(64, 6, 2), 11.4, 0.05);
  EXPECT_NEAR(ExpectedDistinctExperts(64, 6, 4), 20.8, 0.05);
  EXPECT_NEAR(ExpectedDistinctExperts(64, 6, 32), 61.3, 0.05);
  EXPECT_NEAR(ExpectedDistinctExperts(64, 6, 512), 64, 1e-9);
  EXPECT_DOUBLE_EQ(ExpectedDistinctExperts(8, 8, 1), 8);
}

TEST(Moe, FlopsDependOnRowsAndWeightTrafficOnExpertsHit) {
  const Cost few = CostOf(GroupedGemm{.groups = 6, .rows = 60, .n = 896, .k = 1280}, Precision::kBf16);
  const Cost many = CostOf(GroupedGemm{.groups = 60, .rows = 60, .n = 896, .k = 1280}, Precision::kBf16);

  EXPECT_EQ(few.flops, many.flops);
  EXPECT_EQ(many.read_bytes - few.read_bytes, 54 * 896 * 1280 * 2);
}

TEST(Norm, RmsNormHasNoShift) {
  const Cost layer = CostOf(Norm{.kind = NormKind::kLayer, .rows = 2, .width = 8}, Precision::kFp32);
  const Cost rms = CostOf(Norm{.kind = NormKind::kRms, .rows = 2, .width = 8}, Precision::kFp32);

  EXPECT_EQ(layer.bytes() - rms.bytes(), 8 * 4);
  EXPECT_EQ(rms.flops, 0);
}

TEST(Softmax, WritesFp32WhateverItReads) {
  const Cost cost = CostOf(Softmax{.rows = 4, .width = 64}, Precision::kBf16);

  EXPECT_EQ(cost.read_bytes, 4 * 64 * 2);
  EXPECT_EQ(cost.write_bytes, 4 * 64 * 4);
}

TEST(Interpolate, LeavesAnAxisOfEqualLengthAlone) {
  const Cost same = CostOf(Interpolate{.channels = 8, .in_width = 27, .out_width = 27, .taps = 2}, Precision::kFp32);
  const Cost shrunk = CostOf(Interpolate{.channels = 8, .in_width = 127, .out_width = 79, .taps = 2}, Precision::kFp32);

  EXPECT_EQ(same.vector_flops, 0);
  EXPECT_EQ(shrunk.vector_flops, 2 * 2 * 79 * 8);
}

TEST(Interpolate, AntialiasingWidensTheWindowByTheReduction) {
  Interpolate table = {.channels = 1, .in_height = 64, .in_width = 64, .out_height = 32, .out_width = 32};
  const int64_t plain = CostOf(table, Precision::kFp32).vector_flops;
  table.is_antialiased = true;

  EXPECT_EQ(CostOf(table, Precision::kFp32).vector_flops, 2 * plain);
}

TEST(LiveBytes, CountAResultThatOverwritesAnOperandOnce) {
  EXPECT_EQ(CostOf(Elementwise{.read = 8, .written = 4}, Precision::kBf16).live_bytes, 12 * 2);
  EXPECT_EQ(CostOf(Elementwise{.read = 8, .written = 4, .is_in_place = true}, Precision::kBf16).live_bytes, 8 * 2);
  EXPECT_EQ(CostOf(Activation{.kind = ActivationKind::kSilu, .elements = 4}, Precision::kBf16).live_bytes, 4 * 2);
}

TEST(LiveBytes, LeaveOutWeightsAndTheCache) {
  EXPECT_EQ(CostOf(Gather{.rows = 4, .width = 8}, Precision::kBf16).live_bytes, 2 * 4 * 8 * 2);
  EXPECT_EQ(CostOf(Gather{.rows = 4, .width = 8, .from_weights = true}, Precision::kBf16).live_bytes, 4 * 8 * 2);
  Attention step = {.heads = 2, .kv_heads = 2, .query_len = 1, .kv_len = 100, .head_dim = 4};
  EXPECT_EQ(CostOf(step, Precision::kFp32).live_bytes, (2 + 200) * 8 * 4);
  step.kv_is_cached = true;
  EXPECT_EQ(CostOf(step, Precision::kFp32).live_bytes, 2 * 8 * 4);
}

TEST(LiveBytes, CountFp32CopiesWhereTheModelIsNarrower) {
  const Norm rms = {.kind = NormKind::kRms, .rows = 2, .width = 8};
  EXPECT_EQ(CostOf(rms, Precision::kFp32).live_bytes, 2 * 16 * 4);
  EXPECT_EQ(CostOf(rms, Precision::kBf16).live_bytes, 2 * 16 * 2 + 2 * 16 * 4);
  const Sampling sampling = {.rows = 1, .vocabulary = 100};
  EXPECT_EQ(CostOf(sampling, Precision::kFp32).live_bytes, 400);
  EXPECT_EQ(CostOf(sampling, Precision::kBf16).live_bytes, 600);
}

TEST(Operator, OnlyMatrixProductsAndConvolutionsHaveFlops) {
  const Operator without[] = {Norm{.rows = 4, .width = 4},
                              Elementwise{.read = 8, .written = 4},
                              Copy{4, 4},
                              Activation{.elements = 4},
                              Rope{1, 4, 2, 8},
                              Softmax{4, 4},
                              Gather{4, 4},

                              Interpolate{4, 1, 4, 1, 8},
                              TopK{4, 8, 2},
                              Dispatch{8, 8},
                              Sampling{1, 16, 4}};
  for (const Operator& op : without) {
    EXPECT_EQ(CostOf(op, Precision::kBf16).flops, 0) << op.index();
    EXPECT_GT(CostOf(op, Precision::kBf16).bytes(), 0) << op.index();
  }
}

}  // namespace
}  // namespace dsocr::analytic
