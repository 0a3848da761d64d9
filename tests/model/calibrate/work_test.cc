#include "model/calibrate/work.h"

#include <gtest/gtest.h>

namespace dsocr::model {

void PrintTo(const Work& work, std::ostream* out) {
  *out << "{flops " << work.flops << ", vector_flops " << work.vector_flops << ", bytes " << work.bytes << ", launches "
       << work.launches << "}";
}

namespace {

constexpr int64_t kBf16 = 2;

// Shapes small enough to count by hand.
TEST(Work, CountsAMultiplyAddAsTwo) {
  EXPECT_EQ(GemmWork({.m = 1024, .n = 1024, .k = 1024}, kBf16), (Work{2'147'483'648, 0, 6'291'456, 1}));
  EXPECT_EQ(GemmWork({.m = 2, .n = 3, .k = 5, .batch = 7, .has_bias = true}, 4),
            (Work{420, 42, 4 * (7 * (10 + 15 + 6) + 3), 1}));
  EXPECT_EQ(ConvWork({.in_channels = 3, .out_channels = 4, .in_side = 8, .out_side = 2, .kernel = 4, .has_bias = true},
                     kBf16),
            (Work{2 * 16 * 48, 16, 2 * (192 + 4 * 49 + 16), 1}));
  EXPECT_EQ(
      ConvWork({.in_channels = 3, .out_channels = 4, .in_side = 8, .out_side = 2, .kernel = 4, .images = 5}, kBf16),
      (Work{5 * 2 * 16 * 48, 0, 2 * (5 * 192 + 4 * 48 + 5 * 16), 1}));
}

TEST(Work, CountsAttentionAsAFullSquare) {
  EXPECT_EQ(AttentionWork({1, 2, 3, 5, 7}, kBf16), (Work{4 * 30 * 7, 6 * 30, 2 * (2 * 42 + 2 * 70), 1}));
  EXPECT_EQ(AttentionWork({1, 2, 3, 5, 7, true}, kBf16), (Work{4 * 30 * 7, 7 * 30, 2 * (2 * 42 + 2 * 70 + 30), 1}));
}

TEST(Work, CountsEachOperandOnce) {
  EXPECT_EQ(ElementwiseWork(20, 10, kBf16), (Work{0, 10, 60, 1}));
  EXPECT_EQ(ElementwiseWork(20, 10, kBf16, 12), (Work{0, 120, 60, 1}));
  EXPECT_EQ(CopyWork(20, 10, kBf16), (Work{0, 0, 60, 1}));
  EXPECT_EQ(LayerNormWork(3, 5, kBf16), (Work{0, 120, 80, 1}));
  EXPECT_EQ(RmsNormWork(3, 5, kBf16), (Work{0, 60, 70, 8}));
  EXPECT_EQ(GeluWork(10, kBf16), (Work{0, 80, 40, 1}));
  EXPECT_EQ(QuickGeluWork(10, kBf16), (Work{0, 60, 40, 3}));
  EXPECT_EQ(SiluWork(10, kBf16), (Work{0, 50, 40, 1}));
  EXPECT_EQ(RopeWork(2, 3, 4, kBf16), (Work{0, 72, 2 * (24 + 16 + 24), 10}));
  EXPECT_EQ(SoftmaxWork(2, 5, kBf16), (Work{0, 50, 60, 1}));
}

TEST(Work, CountsIndicesAndScoresInTheirOwnSizes) {
  EXPECT_EQ(TopKWork(2, 8, 3), (Work{0, 48, 2 * 8 * 4 + 6 * 12, 1}));
  EXPECT_EQ(DispatchWork(6, 8), (Work{0, 18, 8 * (24 + 8), 5}));
  EXPECT_EQ(GatherWork(3, 5, kBf16), (Work{0, 0, 60 + 24, 1}));
  EXPECT_EQ(SamplingWork(100, 7, kBf16), (Work{0, 107, 100 * 10 + 64, 3}));
}

TEST(Work, CountsOnlyTheAxesThatAreResized) {
  const ResizeShape rows = {.channels = 2, .in_width = 5, .out_width = 3, .taps = 2};
  EXPECT_EQ(ResizeWork(rows, kBf16), (Work{0, 2 * 2 * 3 * 2, 2 * (10 + 6), 5}));
  const ResizeShape table = {
      .channels = 1, .in_height = 4, .in_width = 4, .out_height = 2, .out_width = 2, .is_antialiased = true};
  EXPECT_EQ(ResizeWork(table, kBf16), (Work{0, 2 * 8 * 2 * 4 + 2 * 8 * 2 * 2, 2 * (16 + 4), 5}));
}

}  // namespace
}  // namespace dsocr::model
