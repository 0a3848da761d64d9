#include "daemon/validate/judge.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::validate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Predicted: sam 100 ms and decode 50 ms, each in 10 operations. Measured: as given.
v1::AnalyticModelReport Report(double sam_ms, double decode_ms, int64_t sam_launches = 10) {
  v1::AnalyticModelReport report;
  report.set_report_id("r-1");
  report.mutable_workload()->set_profile_id("page");
  const auto add = [&](const char* module_id, double predicted_ms, double measured_ms, int64_t launches) {
    v1::ModuleMetricsSnapshot& predicted = *report.add_module_metrics();
    predicted.set_module_id(module_id);
    predicted.set_total_time_ms(predicted_ms);
    predicted.set_launches(10);
    v1::ModuleMeasurement& measured = *report.add_module_measurements();
    measured.set_module_id(module_id);
    measured.set_busy_time_ms(measured_ms);
    measured.set_launches(launches);
  };
  add("vision/sam", 100, sam_ms, sam_launches);
  add("decode", 50, decode_ms, 10);
  report.set_predicted_total_time_ms(150);
  report.set_measured_total_time_ms(sam_ms + decode_ms);
  return report;
}

v1::ValidationCase Case(double max_stage_pct, double max_total_pct) {
  v1::ValidationCase of;
  of.set_name("page");
  of.set_best_of(1);
  of.mutable_bounds()->set_max_stage_error_pct(max_stage_pct);
  of.mutable_bounds()->set_max_total_error_pct(max_total_pct);
  return of;
}

TEST(JudgeTest, RepeatsAreOwnTimesThatAddUpToTheRequests) {
  v1::AnalyticModelReport report;
  const auto add = [&](const char* module_id, const char* parent_id, std::vector<double> times_ms,
                       const char* category) {
    v1::AnalyticModuleNode& node = *report.add_modules();
    node.set_module_id(module_id);
    if (*parent_id != 0) {
      node.set_parent_id(parent_id);
    }
    v1::ModuleMeasurement& measured = *report.add_module_measurements();
    measured.set_module_id(module_id);
    measured.mutable_repeat_times_ms()->Assign(times_ms.begin(), times_ms.end());
    v1::MeasuredOperator& small = *measured.add_operator_breakdown();
    small.set_category_id("copy");
    small.set_device_time_ms(0.1);
    v1::MeasuredOperator& large = *measured.add_operator_breakdown();
    large.set_category_id(category);
    large.set_device_time_ms(5);
  };
  add("deepseek_ocr", "", {10, 20}, "gemm");
  add("prefill", "deepseek_ocr", {7, 9.000001}, "gemm");
  add("prefill/norm", "prefill", {2, 3}, "norm");
  add("decode", "deepseek_ocr", {}, "gemv");
  const v1::RunRepeats repeats = RepeatsOf(report);
  ASSERT_EQ(repeats.modules_size(), 3) << "decode has none";
  EXPECT_THAT(repeats.modules(0).self_time_ns(), ElementsAre(3'000'000, 10'999'999));
  EXPECT_THAT(repeats.modules(1).self_time_ns(), ElementsAre(5'000'000, 6'000'001));
  EXPECT_THAT(repeats.modules(2).self_time_ns(), ElementsAre(2'000'000, 3'000'000));
  EXPECT_EQ(repeats.modules(2).operator_category(), "norm");
}

TEST(JudgeTest, EachStageAndTheTotalHasItsError) {
  const v1::CaseVerdict verdict = Judge(Case(30, 30), Report(80, 50));
  ASSERT_EQ(verdict.stages_size(), 3);
  EXPECT_EQ(verdict.stages(0).stage(), "sam");
  EXPECT_DOUBLE_EQ(verdict.stages(0).ratio(), 1.25);
  EXPECT_DOUBLE_EQ(verdict.stages(0).error_pct(), 25);
  EXPECT_EQ(verdict.stages(1).stage(), "decode");
  EXPECT_EQ(verdict.stages(1).error_pct(), 0);
  EXPECT_EQ(verdict.stages(2).stage(), "total");
  EXPECT_NEAR(verdict.stages(2).error_pct(), 100.0 * 20 / 130, 1e-9);
  EXPECT_TRUE(verdict.passed());
  EXPECT_FALSE(verdict.has_coverage_90_pct()) << "no prediction has an interval";
}

TEST(JudgeTest, AStageOutsideItsBoundFailsTheCaseAndIsNamed) {
  const v1::CaseVerdict verdict = Judge(Case(20, 100), Report(80, 50));
  EXPECT_FALSE(verdict.stages(0).within());
  EXPECT_TRUE(verdict.stages(1).within());
  EXPECT_FALSE(verdict.passed());
  EXPECT_THAT(verdict.why(), HasSubstr("sam is 0.8 times its prediction, 25 % off, its bound is 20 %"));
}

TEST(JudgeTest, MeasuredIsTheMedianOfTheRequests) {
  v1::AnalyticModelReport report = Report(1, 50);
  for (v1::ModuleMeasurement& module : *report.mutable_module_measurements()) {
    for (const double ms : {40, 1800, 80, 60}) {  // 40 60 80 1800 → 60
      module.add_repeat_times_ms(ms);
    }
  }
  const v1::CaseVerdict verdict = Judge(Case(100, 100), report);
  EXPECT_DOUBLE_EQ(verdict.stages(0).measured_ms(), 60);
  EXPECT_EQ(verdict.repeats().modules_size(), 2) << "a later run is compared with them";
}

TEST(JudgeTest, OperationsAreComparedAndJudgedWhereAsked) {
  v1::ValidationCase of = Case(100, 100);
  EXPECT_TRUE(Judge(of, Report(100, 50, 12)).passed());
  of.mutable_bounds()->set_max_launch_error_pct(0);
  const v1::CaseVerdict verdict = Judge(of, Report(100, 50, 12));
  EXPECT_FALSE(verdict.passed());
  EXPECT_THAT(verdict.why(), HasSubstr("sam launched 12 operations, 10 were predicted"));
  of.mutable_bounds()->set_max_launch_error_pct(17);
  EXPECT_TRUE(Judge(of, Report(100, 50, 12)).passed());
}

TEST(JudgeTest, TheSummaryNamesTheFirstCaseThatFailed) {
  v1::Validation validation;
  *validation.add_cases() = Judge(Case(100, 100), Report(80, 50));
  *validation.add_cases() = Failed(Case(1, 1), "dsocr-runner was killed");
  Summarize(&validation);
  EXPECT_FALSE(validation.passed());
  EXPECT_EQ(validation.summary(), "1 of 2 cases passed; page: not measured: dsocr-runner was killed");
}

}  // namespace
}  // namespace dsocr::validate
