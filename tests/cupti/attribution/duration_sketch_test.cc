#include "cupti/attribution/duration_sketch.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace dsocr::attribution {
namespace {

TEST(DurationSketchTest, IsExactBelow64ns) {
  DurationSketch sketch;
  for (int64_t ns = 1; ns <= 63; ++ns) {
    sketch.Add(ns);
  }
  EXPECT_EQ(sketch.Quantile(0.50), 32);
  EXPECT_EQ(sketch.Quantile(1.00), 63);
}

TEST(DurationSketchTest, IsWithinItsStatedErrorEverywhere) {
  for (int64_t ns = 64; ns < (int64_t{1} << 50); ns = ns * 21 / 20 + 1) {
    DurationSketch sketch;
    sketch.Add(ns);
    EXPECT_LE(std::llabs(sketch.Quantile(0.5) - ns) * 128, ns) << ns;
  }
}

TEST(DurationSketchTest, OrdersQuantiles) {
  DurationSketch sketch;
  for (int64_t i = 1; i <= 100; ++i) {
    sketch.Add(i * 1'000'000);
  }
  EXPECT_NEAR(static_cast<double>(sketch.Quantile(0.50)), 50e6, 0.5e6);
  EXPECT_NEAR(static_cast<double>(sketch.Quantile(0.95)), 95e6, 1e6);
  EXPECT_EQ(DurationSketch().Quantile(0.5), 0);
}

}  // namespace
}  // namespace dsocr::attribution
