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

TEST(JudgeTest, EachStageAndTheTotalHasItsError) {
  const v1::CaseVerdict verdict = Judge(Case(30, 30), {Report(80, 50)});
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
  const v1::CaseVerdict verdict = Judge(Case(20, 100), {Report(80, 50)});
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
  const v1::CaseVerdict verdict = Judge(Case(100, 100), {report});
  EXPECT_DOUBLE_EQ(verdict.stages(0).measured_ms(), 60);
  EXPECT_EQ(verdict.repeats().modules_size(), 2) << "a later run is compared with them";
}

TEST(JudgeTest, OfSeveralRunsAllRequestsCount) {
  std::vector<v1::AnalyticModelReport> reports = {Report(1, 50), Report(1, 50), Report(1, 50)};
  double ms = 10;
  for (v1::AnalyticModelReport& report : reports) {
    for (int request = 0; request < 2; ++request, ms += 10) {  // 10 20 | 30 40 | 50 60
      report.mutable_module_measurements(0)->add_repeat_times_ms(ms);
    }
    report.set_measured_total_time_ms(ms);  // 30 | 50 | 70
  }
  v1::ValidationCase of = Case(1e6, 1e6);
  of.set_best_of(2);
  const v1::CaseVerdict verdict = Judge(of, reports);
  EXPECT_DOUBLE_EQ(verdict.stages(0).measured_ms(), 30);
  EXPECT_DOUBLE_EQ(verdict.stages(2).measured_ms(), 50) << "the total";
  EXPECT_THAT(verdict.repeats().modules(0).self_time_ns(), ElementsAre(10'000'000, 30'000'000, 50'000'000));
}

TEST(JudgeTest, OperationsAreComparedAndJudgedWhereAsked) {
  v1::ValidationCase of = Case(100, 100);
  EXPECT_TRUE(Judge(of, {Report(100, 50, 12)}).passed());
  of.mutable_bounds()->set_max_launch_error_pct(0);
  const v1::CaseVerdict verdict = Judge(of, {Report(100, 50, 12)});
  EXPECT_FALSE(verdict.passed());
  EXPECT_THAT(verdict.why(), HasSubstr("sam launched 12 operations, 10 were predicted"));
  of.mutable_bounds()->set_max_launch_error_pct(17);
  EXPECT_TRUE(Judge(of, {Report(100, 50, 12)}).passed());
}

TEST(JudgeTest, TheSummaryNamesTheFirstCaseThatFailed) {
  v1::Validation validation;
  *validation.add_cases() = Judge(Case(100, 100), {Report(80, 50)});
  *validation.add_cases() = Failed(Case(1, 1), "dsocr-runner was killed");
  Summarize(&validation);
  EXPECT_FALSE(validation.passed());
  EXPECT_EQ(validation.summary(), "1 of 2 cases passed; page: not measured: dsocr-runner was killed");
}

}  // namespace
}  // namespace dsocr::validate
