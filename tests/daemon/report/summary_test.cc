#include <string>

#include "daemon/report/report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/report/sample_join.h"

namespace dsocr::report {
namespace {

using ::testing::SizeIs;

TEST(Summarize, ListsTheLeavesThatTakeMost) {
  const v1::DeepSeekOCRAnalyticReportSummary summary = Summarize(BuildReport(SampleInput(), SamplePrediction()));
  EXPECT_EQ(summary.report_id(), "r-000000000001");
  EXPECT_EQ(summary.model_variant(), "deepseek-ocr-v1-base");
  EXPECT_EQ(summary.workload_profile_id(), "dsocr-tiny-v1");
  EXPECT_DOUBLE_EQ(summary.predicted_total_time_ms(), 3);
  EXPECT_FALSE(summary.has_measured_total_time_ms());
  ASSERT_THAT(summary.top_modules(), SizeIs(3));  // q_proj, sample and decode, which has no children here
  EXPECT_EQ(summary.top_modules(0).module_id(), "prefill/sample");
  EXPECT_DOUBLE_EQ(summary.top_modules(0).share_of_model_time(), 2.0 / 3);
  EXPECT_EQ(summary.top_modules(1).module_id(), "prefill/layer[0,2]/q_proj");
  EXPECT_DOUBLE_EQ(summary.top_modules(1).total_flops_tflops(), 0.004);
  EXPECT_EQ(summary.top_modules(1).stage(), v1::STAGE_PREFILL);
}

TEST(Summarize, ShowsTenOfAFullModelLargestFirst) {
  const auto report = BuildReport(SampleInput());
  ASSERT_TRUE(report.ok()) << report.status();
  const v1::DeepSeekOCRAnalyticReportSummary summary = Summarize(*report);
  ASSERT_THAT(summary.top_modules(), SizeIs(kTopModules));
  for (int i = 1; i < kTopModules; ++i) {
    EXPECT_GE(summary.top_modules(i - 1).share_of_model_time(), summary.top_modules(i).share_of_model_time());
  }
}

TEST(Summarize, CarriesTheMeasuredTotal) {
  const v1::DeepSeekOCRAnalyticReportSummary summary = Summarize(JoinedReport());
  EXPECT_DOUBLE_EQ(summary.measured_total_time_ms(), 4);
  EXPECT_DOUBLE_EQ(summary.predicted_vs_measured_ratio(), 0.75);
}

TEST(Summarize, GoesByMeasuredOwnTimeWhereNothingWasPredicted) {
  const auto report = BuildUnrecognisedReport(SampleMeasurement(), {v1::ROUTE_LAUNCH}, "r-1", "p-1", "/d", {});
  ASSERT_TRUE(report.ok()) << report.status();
  const v1::DeepSeekOCRAnalyticReportSummary summary = Summarize(*report);
  EXPECT_FALSE(summary.has_predicted_total_time_ms());
  EXPECT_EQ(summary.top_modules(0).module_id(), "prefill/layer[0,2]/q_proj");
  EXPECT_DOUBLE_EQ(summary.top_modules(0).share_of_model_time(), 0.5);
  EXPECT_FALSE(summary.top_modules(0).has_total_time_ms());
}

TEST(Summarize, OfAnEmptyReportIsEmpty) { EXPECT_TRUE(Summarize(v1::AnalyticModelReport()).top_modules().empty()); }

}  // namespace
}  // namespace dsocr::report
