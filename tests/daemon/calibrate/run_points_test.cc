#include "daemon/calibrate/run_points.h"

#include <memory>
#include <string>
#include <utility>

#include "daemon/calibrate/calibration.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/analytic/routings.h"
#include "tests/scratch_directory.h"

namespace dsocr::calibrate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The published model over one page without crops: 512 tokens, 63 steps of decode.
class RunPointsTest : public ::testing::Test {
 protected:
  RunPointsTest() {
    report_.set_report_id("r-1");
    report_.mutable_model()->set_model_id("deepseek-ai/DeepSeek-OCR");
    report_.mutable_model()->set_model_variant("deepseek-ocr-v1-base");
    v1::OCRWorkloadProfile& workload = *report_.mutable_workload();
    workload.set_profile_id("dsocr-base-v1");
    workload.set_seq_len(512);
    workload.set_base_size(1024);
    workload.set_image_size(1024);
    workload.set_crop_mode(false);
    workload.set_max_new_tokens(64);
    workload.set_doc_kind(v1::DOC_KIND_MIXED_LAYOUT);
    workload.set_num_pages(1);
    workload.set_page_width(1024);
    workload.set_page_height(1024);
    workload.add_crop_grid(1);
    workload.add_crop_grid(1);
    workload.set_image_tokens(273);
    workload.set_batch(1);
    workload.set_dtype("bf16");
    report_.set_measured_total_time_ms(1000);
    report_.mutable_provenance()->mutable_device()->set_name("X");
    report_.mutable_provenance()->set_dtype("bf16");
    report_.mutable_provenance()->set_tool_version("1");
  }

  void Measure(const std::string& module_id, int64_t calls, const std::string& category, double device_time_ms) {
    v1::ModuleMeasurement& measurement = *report_.add_module_measurements();
    measurement.set_module_id(module_id);
    measurement.set_calls(calls);
    v1::MeasuredOperator& op = *measurement.add_operator_breakdown();
    op.set_category_id(category);
    op.set_device_time_ms(device_time_ms);
  }

  absl::StatusOr<RunPoints> Points() { return PointsOfRun(report_, key_, store_.get()); }

  const ScratchDirectory directory_;
  const std::unique_ptr<store::Store> store_ = *store::Store::Open("sqlite:" + (directory_ / "db").string());
  const store::CalibrationKey key_{
      .device_name = "X", .dtype = "bf16", .driver = "", .tool_version = "1", .torch_version = "2.11.0"};
  v1::AnalyticModelReport report_;
};

TEST_F(RunPointsTest, APointIsAMeanCallOfALeaf) {
  Measure("vision/sam/block[2,5,8,11]/mlp/lin1", 4, "gemm", 400);
  const absl::StatusOr<RunPoints> recorded = Points();
  ASSERT_TRUE(recorded.ok()) << recorded.status();
  EXPECT_EQ(recorded->source, "run:r-1");
  ASSERT_EQ(recorded->points.size(), 1u);
  const analytic::CalibrationPoint& point = recorded->points[0].point;
  EXPECT_EQ(point.flops, int64_t{2} * 4096 * 768 * 3072);
  EXPECT_EQ(point.launches, 1);
  EXPECT_DOUBLE_EQ(point.time_ns, 1e8);
  EXPECT_EQ(point.size, analytic::OperatorSize(analytic::GemmSize{.m = 4096, .n = 3072, .k = 768}));
}

TEST_F(RunPointsTest, ExpertsAreAPointForOneOfTheirProducts) {
  Measure("prefill/layer[1-11]/moe/experts", 11, "gemm", 3300);
  const absl::StatusOr<RunPoints> recorded = Points();
  ASSERT_TRUE(recorded.ok()) << recorded.status();
  ASSERT_EQ(recorded->points.size(), 1u);
  const analytic::CalibrationPoint& point = recorded->points[0].point;
  // 512 tokens x 6 picks over 64 experts are 48 rows: some 2 x 48 x 1280 x 896 flops.
  EXPECT_NEAR(static_cast<double>(point.flops), 2.0 * 48 * 1280 * 896, 1e6);
  EXPECT_NEAR(point.time_ns, 3.3e9 / (11 * 64 * 3), 3.3e9 / (11 * 64 * 3) * 0.01);
}

TEST_F(RunPointsTest, ExpertsThatWereHitAreThePiecesOfTheirTime) {
  Measure("prefill/layer[1-11]/moe/experts", 11, "gemm", 3300);
  for (int64_t layer = 1; layer < 12; ++layer) {  // 512 tokens share twelve experts in every layer
    v1::ExpertPicks& picks = *report_.mutable_module_measurements(0)->add_expert_picks();
    picks.set_layer(layer);
    for (int e = 0; e < 64; ++e) {
      picks.add_picks(e < 12 ? 256 : 0);
    }
  }
  const absl::StatusOr<RunPoints> recorded = Points();
  ASSERT_TRUE(recorded.ok()) << recorded.status();
  ASSERT_TRUE(recorded->routing);
  EXPECT_EQ(recorded->routing->routing->source, "run r-1");
  ASSERT_EQ(recorded->points.size(), 1u);
  EXPECT_DOUBLE_EQ(recorded->points[0].point.time_ns, 3.3e9 / (11 * 12 * 3));
  EXPECT_EQ(recorded->points[0].point.flops, int64_t{2} * 256 * 1280 * 896);

  report_.mutable_module_measurements(0)->mutable_expert_picks()->RemoveLast();
  EXPECT_EQ(Points().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(Points().status().message()), HasSubstr("not of the model's experts"));
}

TEST_F(RunPointsTest, TheNewestRoutingStaysInTheDocument) {
  const std::string suite =
      R"({"dtype": "bf16", "points": [{"category": "gemm", "flops": 1, "vector_flops": 0, "bytes": 1, "launches": 1, "time_ns": 2}]})";
  RunPoints recorded = {.source = "run:r-1", .points = {}, .routing = RecordedRouting()};
  recorded.routing->routing = analytic::UnevenRouting(analytic::ModelSpec().decoder, 20, 2);
  const std::string first = *WithPoints(suite, recorded);
  recorded.routing->routing = analytic::UnevenRouting(analytic::ModelSpec().decoder, 30, 3);
  const std::string second = *WithPoints(first, recorded);
  EXPECT_EQ(ParseCalibration(second)->routing->routing->prefill.tokens(), 30);
  recorded.routing.reset();  // a run in which nobody counted
  EXPECT_EQ(*WithPoints(second, recorded), second);
}

TEST_F(RunPointsTest, WhatWasNotRunAsPredictedIsNoPoint) {
  Measure("vision/sam/block[2,5,8,11]/mlp/lin1", 3, "gemm", 400);
  Measure("vision/sam", 1, "gemm", 400);                        // no leaf
  Measure("job/linear", 1, "gemm", 400);                        // not of the model
  Measure("vision/sam/block[2,5,8,11]/mlp/act", 4, "copy", 1);  // a category that it is not predicted to have
  const absl::StatusOr<RunPoints> recorded = Points();
  ASSERT_TRUE(recorded.ok()) << recorded.status();
  EXPECT_TRUE(recorded->points.empty());
}

TEST_F(RunPointsTest, CallsOfDifferentSizesHaveNoMean) {
  report_.mutable_workload()->set_crop_mode(true);
  report_.mutable_workload()->set_image_size(640);
  report_.mutable_workload()->set_page_width(1240);
  report_.mutable_workload()->set_page_height(1754);
  report_.mutable_workload()->set_crop_grid(0, 2);
  report_.mutable_workload()->set_crop_grid(1, 3);
  report_.mutable_workload()->set_image_tokens(903);
  report_.mutable_workload()->set_seq_len(1024);
  Measure("vision/sam/block[2,5,8,11]/mlp/lin1", 8, "gemm", 400);
  const absl::StatusOr<RunPoints> recorded = Points();
  ASSERT_TRUE(recorded.ok()) << recorded.status();
  EXPECT_TRUE(recorded->points.empty());
}

TEST_F(RunPointsTest, ReportsOfAnotherKeyAreRefusedByName) {
  const auto refused = [this](std::string_view why) {
    const absl::Status status = Points().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(why)));
  };
  const v1::AnalyticModelReport good = report_;
  report_.mutable_provenance()->mutable_device()->set_name("Y");
  refused("device is 'Y'");
  report_ = good;
  report_.mutable_provenance()->set_dtype("fp32");
  refused("dtype is 'fp32'");
  report_ = good;
  report_.mutable_provenance()->set_tool_version("0");
  refused("version is '0'");
  report_ = good;
  report_.clear_measured_total_time_ms();
  refused("no measurement");
  report_ = good;
  store::CalibrationKey old = key_;
  old.torch_version = "2.10.0";
  ASSERT_TRUE(store_->PutCalibration({"c-old", old, "{}"}).ok());
  report_.mutable_provenance()->set_calibration_id("c-old");
  refused("LibTorch is '2.10.0'");
}

TEST_F(RunPointsTest, PointsStandBehindThoseOfTheSuiteOnce) {
  const std::string suite =
      R"({"dtype": "bf16", "points": [{"category": "gemm", "flops": 1, "vector_flops": 0, "bytes": 1, "launches": 1, "time_ns": 2}]})";
  Measure("vision/sam/block[2,5,8,11]/mlp/lin1", 4, "gemm", 400);
  Measure("decode/layer[0]/self_attn/core", 63, "attention", 63);
  const RunPoints recorded = *Points();
  const absl::StatusOr<std::string> once = WithPoints(suite, recorded);
  ASSERT_TRUE(once.ok()) << once.status();
  EXPECT_EQ(*WithPoints(*once, recorded), *once);
  const absl::StatusOr<Calibration> read = ParseCalibration(*once);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->points.size(), 3u);
  EXPECT_EQ(read->points[0].size, std::nullopt);
  EXPECT_EQ(read->points[1].size, recorded.points[0].point.size);
  EXPECT_EQ(read->points[2].size, recorded.points[1].point.size);
  EXPECT_EQ(read->points[2].time_ns, 1e6);
  EXPECT_EQ(ParseCalibration(*WithPoints(R"({"dtype": "bf16", "points": []})", recorded))->points.size(), 2u);
  for (const char* broken : {"", "[]", "{}", R"({"points": 7})"}) {
    EXPECT_EQ(WithPoints(broken, recorded).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace dsocr::calibrate
