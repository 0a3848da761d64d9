#include "analytic/device/device.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "analytic/op/operator.h"
#include "analytic/operator_time.h"
#include "analytic/prediction.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::analytic {
namespace {

using ::testing::HasSubstr;

CalibrationPoint PointOf(CategoryId category, const Cost& cost, double time_ns) {
  return {.category_id = std::string(CategoryName(category)),
          .flops = cost.flops,
          .vector_flops = cost.vector_flops,
          .io_bytes = cost.bytes(),
          .launches = cost.launches,
          .time_ns = time_ns};
}

TEST(DeviceCatalogue, PeaksAreDenseAndFollowFromTheSilicon) {
  for (const Device& device : DeviceCatalogue()) {
    if (device.kind == DeviceKind::kCuda) {
      const double peak = static_cast<double>(device.sm_count) * device.matrix_flops_per_clock * device.tensor_clock_hz;
      EXPECT_NEAR(device.matrix_bf16_flops_per_s, peak, 0.02 * peak) << device.name;
      EXPECT_GE(device.boost_clock_hz, device.tensor_clock_hz) << device.name;
      EXPECT_GE(device.l2_bytes, int64_t{4} << 20) << device.name;
    }
  }
}

TEST(DeviceCatalogue, EveryFigureIsThereWithItsSource) {
  EXPECT_EQ(DeviceCatalogue().size(), 12);
  for (const Device& device : DeviceCatalogue()) {
    EXPECT_GT(device.matrix_bf16_flops_per_s, device.matrix_fp32_flops_per_s) << device.name;
    EXPECT_GT(device.matrix_fp32_flops_per_s, 0) << device.name;
    EXPECT_GT(device.vector_flops_per_s, 0) << device.name;
    EXPECT_GT(device.memory_bytes_per_s, 0) << device.name;
    EXPECT_GT(device.memory_bytes, int64_t{15'000'000'000}) << device.name;
    EXPECT_GT(device.launch_ns, 0) << device.name;
    EXPECT_GT(device.min_kernel_ns, 0) << device.name;
    EXPECT_FALSE(device.source.empty()) << device.name;
    EXPECT_TRUE(device.calibration_id.empty()) << device.name;
  }
}

TEST(DeviceCatalogue, SuggestsTheNearestName) {
  const absl::Status status = FindDevice("h20-sxm").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no device 'h20-sxm': not in the catalogue; did you mean 'h"));
}

TEST(DatasheetTime, IsTheSlowerOfArithmeticAndMemory) {
  const Device device = *FindDevice("h200-sxm");
  const Cost square = CostOf(Gemm{.m = 8192, .n = 8192, .k = 8192}, Precision::kBf16);
  const OperatorTime compute = DatasheetTime(square, CategoryId::kGemm, Precision::kBf16, device);
  EXPECT_EQ(compute.bound, Bound::kCompute);
  EXPECT_GT(compute.ns, square.flops / device.matrix_bf16_flops_per_s * 1e9);

  const Cost row = CostOf(Gemm{.m = 1, .n = 129280, .k = 1280}, Precision::kBf16);
  const OperatorTime memory = DatasheetTime(row, CategoryId::kGemv, Precision::kBf16, device);
  EXPECT_EQ(memory.bound, Bound::kMemory);
  EXPECT_GT(memory.ns, row.bytes() / device.memory_bytes_per_s * 1e9);
}

TEST(DatasheetTime, SmallOperatorsWaitForTheHost) {
  Device device = *FindDevice("h200-sxm");
  const Cost tiny = CostOf(Elementwise{.read = 2, .written = 1}, Precision::kBf16);
  EXPECT_EQ(DatasheetTime(tiny, CategoryId::kElementwise, Precision::kBf16, device).ns, device.launch_ns);
  device.launch_ns = 0;  // as in a graph: the shortest kernel remains
  const OperatorTime latency = DatasheetTime(tiny, CategoryId::kElementwise, Precision::kBf16, device);
  EXPECT_EQ(latency.ns, device.min_kernel_ns);
  EXPECT_EQ(latency.bound, Bound::kLatency);
}

TEST(DatasheetTime, PiecesRunOneAfterAnother) {
  const Device device = *FindDevice("cpu");
  const Cost one = CostOf(GroupedGemm{.groups = 1, .rows = 8, .n = 896, .k = 1280}, Precision::kBf16);
  const Cost six = CostOf(GroupedGemm{.groups = 6, .rows = 48, .n = 896, .k = 1280}, Precision::kBf16);
  EXPECT_NEAR(DatasheetTime(six, CategoryId::kGemm, Precision::kBf16, device).ns,
              6 * DatasheetTime(one, CategoryId::kGemm, Precision::kBf16, device).ns, 1e-6);
}

TEST(Calibrate, ReturnsAMeasuredOperatorsTime) {
  const Device datasheet = *FindDevice("cpu");
  const Cost small = CostOf(Gemm{.m = 64, .n = 1280, .k = 1280}, Precision::kBf16);
  const Cost large = CostOf(Gemm{.m = 4096, .n = 3072, .k = 768}, Precision::kBf16);
  const auto device =
      Calibrate(datasheet, Precision::kBf16,
                {PointOf(CategoryId::kGemm, small, 2.0e6), PointOf(CategoryId::kGemm, large, 6.0e7)}, "c-1");
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ(device->calibration_id, "c-1");
  EXPECT_NEAR(TimeOf(small, CategoryId::kGemm, Precision::kBf16, *device).ns, 2.0e6, 2e4);
  EXPECT_NEAR(TimeOf(large, CategoryId::kGemm, Precision::kBf16, *device).ns, 6.0e7, 6e5);
  // Between the two, and where nothing was measured, the roofline.
  const Cost between = CostOf(Gemm{.m = 512, .n = 2048, .k = 1024}, Precision::kBf16);
  const double between_ns = TimeOf(between, CategoryId::kGemm, Precision::kBf16, *device).ns;
  EXPECT_GT(between_ns, 2.0e6);
  EXPECT_LT(between_ns, 6.0e7);
  EXPECT_EQ(TimeOf(small, CategoryId::kConv, Precision::kBf16, *device).ns,
            DatasheetTime(small, CategoryId::kConv, Precision::kBf16, datasheet).ns);
}

TEST(Calibrate, FarOutsideTheMeasuredRangeTheRooflineCarriesTheTrend) {
  const Device datasheet = *FindDevice("cpu");
  const Cost measured = CostOf(Gemm{.m = 256, .n = 1024, .k = 1024}, Precision::kBf16);
  const double datasheet_ns = DatasheetTime(measured, CategoryId::kGemm, Precision::kBf16, datasheet).ns;
  const auto device =
      Calibrate(datasheet, Precision::kBf16, {PointOf(CategoryId::kGemm, measured, 2 * datasheet_ns)}, "c-1");
  ASSERT_TRUE(device.ok());
  const Cost huge = CostOf(Gemm{.m = 65536, .n = 8192, .k = 8192}, Precision::kBf16);
  const double ratio = TimeOf(huge, CategoryId::kGemm, Precision::kBf16, *device).ns /
                       DatasheetTime(huge, CategoryId::kGemm, Precision::kBf16, datasheet).ns;
  EXPECT_NEAR(ratio, 2, 1e-9);
}

TEST(Calibrate, NoPredictionIsFasterThanThePeak) {
  const Device datasheet = *FindDevice("cpu");
  const Cost tiny = CostOf(Gemm{.m = 1, .n = 16, .k = 16}, Precision::kBf16);
  const auto device = Calibrate(datasheet, Precision::kBf16, {PointOf(CategoryId::kGemm, tiny, 1)}, "c-1");
  ASSERT_TRUE(device.ok());
  const Cost huge = CostOf(Gemm{.m = 8192, .n = 8192, .k = 8192}, Precision::kBf16);
  EXPECT_GE(TimeOf(huge, CategoryId::kGemm, Precision::kBf16, *device).ns,
            huge.flops * 1e9 / device->fastest_flops_per_s(Precision::kBf16));
}

TEST(Calibrate, RefusesPointsThatAreNoMeasurement) {
  const Device device = *FindDevice("cpu");
  EXPECT_EQ(Calibrate(device, Precision::kBf16, {{.category_id = "gem", .time_ns = 1}}, "c").status().message(),
            "points[0].category 'gem': no such category; calibrate again");
  EXPECT_FALSE(Calibrate(device, Precision::kBf16, {{.category_id = "gemm", .time_ns = 0}}, "c").ok());
  EXPECT_FALSE(Calibrate(device, Precision::kBf16, {{.category_id = "gemm", .time_ns = std::nan("")}}, "c").ok());
  EXPECT_FALSE(Calibrate(device, Precision::kBf16, {{.category_id = "gemm", .time_ns = HUGE_VAL}}, "c").ok());
  EXPECT_FALSE(Calibrate(device, Precision::kBf16, {{.category_id = "gemm", .flops = -1, .time_ns = 1}}, "c").ok());
  EXPECT_TRUE(Calibrate(device, Precision::kBf16, {}, "c").ok());
}

// Seconds of full-size DeepSeek-OCR on two quiet cores of the class that the catalogue's cpu stands for, bf16, S = 512,
// 64 tokens (measured November 2026: SAM 4.7-7.4, CLIP 0.5, projector 0.004, prefill 1.5-2.2, decode 66-95 ms a token).
TEST(Predict, TheGenericCpuIsWithinTwoAndAHalfOfTheMeasuredStages) {
  const auto prediction = Predict(ModelSpec(), *FindWorkload("dsocr-standard-v1"), *FindDevice("cpu"));
  ASSERT_TRUE(prediction.ok());
  const std::map<std::string, double> measured_s = {
      {"vision/sam", 6.0}, {"vision/clip", 0.5}, {"projector", 0.004}, {"prefill", 1.8}, {"decode", 0.080 * 63}};
  for (const auto& [id, seconds] : measured_s) {
    const double predicted_s = prediction->modules[prediction->module_of_range.at(id)].figures.time_ns / 1e9;
    EXPECT_GT(predicted_s / seconds, 0.5) << id;
    EXPECT_LT(predicted_s / seconds, 2.0) << id;
  }
}

}  // namespace
}  // namespace dsocr::analytic
