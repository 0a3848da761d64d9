#include "daemon/calibrate/held_out.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace dsocr::calibrate {
namespace {

// A product of 1e9 flops a millisecond, times `factor`.
analytic::CalibrationPoint Gemm(int64_t flops, double factor = 1) {
  return {.category_id = "gemm",
          .flops = flops,
          .io_bytes = flops / 100,
          .launches = 1,
          .time_ns = static_cast<double>(flops) / 1e3 * factor};
}

absl::StatusOr<std::vector<v1::CategoryFit>> HeldOut(const std::vector<analytic::CalibrationPoint>& points) {
  return HeldOutErrors(*analytic::FindDevice("cpu"), analytic::Precision::kBf16, points);
}

TEST(HeldOutErrorsTest, PointsOnOneLawPredictEachOther) {
  const auto fits = HeldOut({Gemm(1'000'000'000), Gemm(2'000'000'000), Gemm(4'000'000'000), Gemm(8'000'000'000)});
  ASSERT_TRUE(fits.ok()) << fits.status();
  ASSERT_EQ(fits->size(), 1u);
  EXPECT_EQ(fits->front().category_id(), "gemm");
  EXPECT_EQ(fits->front().points(), 4);
  EXPECT_EQ(fits->front().held_out().n(), 4);
  EXPECT_LT(fits->front().held_out().mape(), 0.05);
}

TEST(HeldOutErrorsTest, APointThatIsFarFromTheOthersShows) {
  const auto fits = HeldOut({Gemm(1'000'000'000), Gemm(2'000'000'000, 3), Gemm(4'000'000'000)});
  ASSERT_TRUE(fits.ok()) << fits.status();
  EXPECT_GT(fits->front().held_out().mape(), 0.5);
}

TEST(HeldOutErrorsTest, APointDoesNotPredictItsTwin) {
  const auto fits = HeldOut({Gemm(1'000'000'000), Gemm(1'000'000'000, 1.1)});
  ASSERT_TRUE(fits.ok()) << fits.status();
  EXPECT_EQ(fits->front().points(), 2);
  EXPECT_FALSE(fits->front().has_held_out());
}

TEST(HeldOutErrorsTest, AnUnknownCategoryIsNamed) {
  analytic::CalibrationPoint point = Gemm(1'000'000'000);
  point.category_id = "magic";
  EXPECT_NE(std::string(HeldOut({point}).status().message()).find("magic"), std::string::npos);
}

}  // namespace
}  // namespace dsocr::calibrate
