#include "analytic/device/device.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "analytic/law/device_laws.h"
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

TEST(DatasheetTime, NoKernelIsShorterThanTheShortest) {
  const Device device = *FindDevice("h200-sxm");
  const Cost tiny = CostOf(Elementwise{.read = 2, .written = 1}, Precision::kBf16);
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

OperatorTime TimeOn(const Device& device, const Operator& op, CategoryId category = CategoryId::kGemm) {
  return TimeOf(op, CostOf(op, Precision::kBf16), category, Precision::kBf16, device);
}

CalibrationPoint Measured(const Operator& op, double time_ns) {
  return PointOf(CategoryId::kGemm, CostOf(op, Precision::kBf16), time_ns);
}

TEST(Calibrate, ReturnsAMeasuredOperatorsTime) {
  const Device datasheet = *FindDevice("cpu");
  const Gemm small{.m = 64, .n = 1280, .k = 1280}, large{.m = 4096, .n = 3072, .k = 768};
  const auto device = Calibrate(datasheet, Precision::kBf16, {Measured(small, 2.0e6), Measured(large, 6.0e7)}, "c-1");
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ(device->calibration_id, "c-1");
  EXPECT_NEAR(TimeOn(*device, small).ns, 2.0e6, 1e-3);
  EXPECT_NEAR(TimeOn(*device, large).ns, 6.0e7, 1e-3);
  EXPECT_EQ(TimeOn(*device, large).provenance, Provenance::kExact);
  EXPECT_EQ(TimeOn(*device, large).distance, 0);
  // Between the two, and where nothing was measured, the roofline.
  const OperatorTime between = TimeOn(*device, Gemm{.m = 512, .n = 2048, .k = 1024});
  EXPECT_GT(between.ns, 2.0e6);
  EXPECT_LT(between.ns, 6.0e7);
  EXPECT_EQ(between.provenance, Provenance::kInterpolated);
  EXPECT_GE(between.error.half_90, between.error.half_50);
  const OperatorTime conv = TimeOn(*device, small, CategoryId::kConv);
  EXPECT_EQ(conv.ns, DatasheetTime(CostOf(small, Precision::kBf16), CategoryId::kConv, Precision::kBf16, datasheet).ns);
  EXPECT_EQ(conv.provenance, Provenance::kDatasheet);
}

// What the runner measures of a prefill is what a prediction of one asks for.
TEST(Calibrate, APrefillIsPricedByAMeasuredCausalAttention) {
  const Attention prefill{
      .heads = 10, .kv_heads = 10, .query_len = 512, .kv_len = 512, .head_dim = 128, .kv_is_cached = true};
  CalibrationPoint point = PointOf(CategoryId::kAttention, CostOf(prefill, Precision::kBf16), 5e6);
  point.size = AttentionSize{1, 512, 512, 10, 10, 128, true};
  const auto device = Calibrate(*FindDevice("cpu"), Precision::kBf16, {point}, "c-1");
  ASSERT_TRUE(device.ok()) << device.status();
  const OperatorTime time = TimeOn(*device, prefill, CategoryId::kAttention);
  EXPECT_EQ(time.provenance, Provenance::kExact);
  EXPECT_NEAR(time.ns, 5e6, 1e-3);
  EXPECT_TRUE(std::get<AttentionSize>(device->laws->model.samples[static_cast<size_t>(time.nearest)].size).is_causal);
}

// A broadcast within 14 elements is done one by one, one within 32 in vectors: as SAM adds its relative positions.
TEST(Calibrate, ElementwiseOperatorsOfFewContiguousElementsAreAKindOfTheirOwn) {
  constexpr double kSlowNs = 2, kFastNs = 0.3;  // a result
  const auto bias = [](int64_t squares, int64_t side) {
    const int64_t queries = squares * 12 * side * side;
    return Elementwise{.read = 2 * queries * side, .written = queries * side * side, .contiguous = side};
  };
  const auto point = [](const Elementwise& op, double ns) {
    CalibrationPoint measured =
        PointOf(CategoryId::kElementwise, CostOf(op, Precision::kBf16), ns * static_cast<double>(op.written));
    measured.contiguous = op.contiguous;
    return measured;
  };
  std::vector<CalibrationPoint> points;
  for (const int64_t squares : {1, 4, 25, 36, 81}) {
    points.push_back(point(bias(squares, 14), kSlowNs));
  }
  for (const int64_t side : {16, 40, 64, 80}) {
    points.push_back(point(bias(1, side), kFastNs));
  }
  const auto device = Calibrate(*FindDevice("cpu"), Precision::kBf16, points, "c-1");
  ASSERT_TRUE(device.ok()) << device.status();
  const auto ns = [&](const Elementwise& op) {
    return TimeOn(*device, op, CategoryId::kElementwise).ns / static_cast<double>(op.written);
  };
  EXPECT_NEAR(ns(bias(9, 14)), kSlowNs, 0.3 * kSlowNs);
  EXPECT_NEAR(ns(bias(1, 48)), kFastNs, 0.3 * kFastNs);
}

TEST(Calibrate, FarOutsideTheMeasuredRangeTheRooflineCarriesTheTrend) {
  const Device datasheet = *FindDevice("cpu");
  const Gemm measured{.m = 256, .n = 1024, .k = 1024};
  const double datasheet_ns = TimeOn(datasheet, measured).ns;
  const auto device = Calibrate(datasheet, Precision::kBf16, {Measured(measured, 8 * datasheet_ns)}, "c-1");
  ASSERT_TRUE(device.ok());
  const Gemm huge{.m = 65536, .n = 8192, .k = 8192};
  const OperatorTime time = TimeOn(*device, huge);
  EXPECT_EQ(time.provenance, Provenance::kExtrapolated);
  EXPECT_GT(time.ns, 4 * TimeOn(datasheet, huge).ns);
  EXPECT_LT(time.ns, 16 * TimeOn(datasheet, huge).ns);
}

TEST(Calibrate, NoPredictionIsFasterThanThePeak) {
  const Device datasheet = *FindDevice("cpu");
  const auto device = Calibrate(datasheet, Precision::kBf16, {Measured(Gemm{.m = 1, .n = 16, .k = 16}, 1)}, "c-1");
  ASSERT_TRUE(device.ok());
  const Gemm huge{.m = 8192, .n = 8192, .k = 8192};
  EXPECT_GE(TimeOn(*device, huge).ns, 2e9 * 8192 * 8192 * 8192 / device->fastest_flops_per_s(Precision::kBf16));
}

// What a GPU waits for its host comes on top (step_test.cc).
TEST(WithLaws, AreOfDeviceTimes) {
  const Device datasheet = *FindDevice("h100-sxm");
  const Device device =
      WithLaws(datasheet, *FitLaws(datasheet, {{GemmSize{1, 1280, 1280}, Precision::kBf16, 3000}}), "c-1");
  const OperatorTime time = TimeOn(device, Gemm{.m = 1, .n = 1280, .k = 1280}, CategoryId::kGemv);
  EXPECT_NEAR(time.ns, 3000, 1e-6);
  EXPECT_EQ(time.provenance, Provenance::kExact);
}

TEST(WithLaws, TransfersThoseOfAnotherDevice) {
  const Device h100 = *FindDevice("h100-sxm"), h200 = *FindDevice("h200-sxm");
  const LawModel model = *FitLaws(h100, {{GemmSize{4096, 4096, 4096}, Precision::kBf16, 250'000}});
  const Gemm gemm{.m = 4096, .n = 4096, .k = 4096};
  EXPECT_EQ(TimeOn(WithLaws(h100, model, "c-1"), gemm).provenance, Provenance::kExact);
  const OperatorTime time = TimeOn(WithLaws(h200, model, "c-1"), gemm);
  EXPECT_EQ(time.provenance, Provenance::kTransferred);
  EXPECT_NEAR(time.ns, 250'000, 25'000);  // the two differ in memory alone
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
