#include "daemon/report/diff.h"

#include <cmath>
#include <cstdint>
#include <string>

#include "daemon/report/report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/report/sample_join.h"

namespace dsocr::report {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

template <typename Rows>
int64_t SumOf(const Rows& rows) {
  int64_t sum_ns = 0;
  for (const v1::DiffRow& row : rows) {
    sum_ns += std::llround(row.difference_ms() * 1e6);
  }
  return sum_ns;
}

const v1::DiffRow* Find(const v1::DiffReportsResponse& diff, const std::string& id) {
  for (const auto* rows : {&diff.modules(), &diff.operators()}) {
    for (const v1::DiffRow& row : *rows) {
      if (row.id() == id) {
        return &row;
      }
    }
  }
  return nullptr;
}

// q_proj takes half a millisecond longer, nothing is idle any more.
attribution::Result Slower() {
  attribution::Result measured = SampleMeasurement();
  for (attribution::ModuleSum& sum : measured.request.modules) {
    if (sum.module_id != "prefill/sample") {
      sum.device_ns += 500'000;
      sum.busy_ns += 500'000;
      sum.categories[0].device_ns += 500'000;
      sum.self_device_ns += sum.module_id == "prefill/layer[0,2]/q_proj" ? 500'000 : 0;
    }
  }
  measured.request.attributed_ns += 500'000;
  measured.request.total_ns += 250'000;
  return measured;
}

TEST(DiffReports, EachModuleAndOperatorHasItsShare) {
  const v1::DiffReportsResponse diff = DiffReports(JoinedReport(), JoinedReport(Slower()));
  EXPECT_EQ(diff.basis(), v1::DIFF_BASIS_MEASURED);
  EXPECT_DOUBLE_EQ(diff.difference_ms(), 0.25);
  EXPECT_EQ(diff.modules(0).id(), "prefill/layer[0,2]/q_proj");
  EXPECT_DOUBLE_EQ(diff.modules(0).difference_ms(), 0.5);
  EXPECT_DOUBLE_EQ(diff.modules(0).share_of_total(), 0.125);
  EXPECT_DOUBLE_EQ(Find(diff, "gemm")->difference_ms(), 0.5);
  EXPECT_DOUBLE_EQ(Find(diff, "[idle]")->difference_ms(), -0.25);
  EXPECT_DOUBLE_EQ(Find(diff, "[unattributed]")->a_ms(), 0.25);
  EXPECT_DOUBLE_EQ(Find(diff, "prefill/sample")->difference_ms(), 0);
  EXPECT_EQ(SumOf(diff.modules()), 250'000);
  EXPECT_EQ(SumOf(diff.operators()), 250'000);
  EXPECT_THAT(diff.notes(), IsEmpty());
}

TEST(DiffReports, AReportAgainstItselfHasNoDifference) {
  const v1::AnalyticModelReport report = JoinedReport();
  const v1::DiffReportsResponse diff = DiffReports(report, report);
  for (const v1::DiffRow& row : diff.modules()) {
    EXPECT_EQ(row.difference_ms(), 0) << row.id();
  }
  EXPECT_EQ(diff.difference_ms(), 0);
  EXPECT_FALSE(diff.has_p_value());
}

TEST(DiffReports, PredictedTimesAreComparedWhereOneSideWasNotMeasured) {
  ReportInput input = SampleInput();
  input.workload = *analytic::FindWorkload("dsocr-a4-v1");
  const v1::AnalyticModelReport small = *BuildReport(SampleInput());
  const v1::AnalyticModelReport large = *BuildReport(input);
  const v1::DiffReportsResponse diff = DiffReports(small, large);
  EXPECT_EQ(diff.basis(), v1::DIFF_BASIS_PREDICTED);
  EXPECT_GT(diff.difference_ms(), 0);
  EXPECT_EQ(SumOf(diff.modules()), std::llround(diff.difference_ms() * 1e6));
  EXPECT_EQ(SumOf(diff.operators()), std::llround(diff.difference_ms() * 1e6));
  EXPECT_THAT(diff.notes(), Contains(HasSubstr("workload: dsocr-tiny-v1 and dsocr-a4-v1")));
}

TEST(DiffReports, AModuleOfOneSideTookNothingOnTheOther) {
  const v1::AnalyticModelReport a = JoinedReport();
  v1::AnalyticModelReport b = a;
  b.mutable_module_measurements(4)->set_module_id("prefill/speculate");
  const v1::DiffReportsResponse diff = DiffReports(a, b);
  EXPECT_DOUBLE_EQ(Find(diff, "prefill/sample")->b_ms(), 0);
  EXPECT_DOUBLE_EQ(Find(diff, "prefill/speculate")->a_ms(), 0);
  EXPECT_EQ(SumOf(diff.modules()), 0);
}

TEST(DiffReports, RepeatsSayWhetherADifferenceIsChance) {
  v1::AnalyticModelReport a = JoinedReport();
  v1::AnalyticModelReport b = a;
  for (int i = 0; i < 5; ++i) {
    a.mutable_module_measurements(3)->add_repeat_times_ms(2 + 0.01 * i);
    b.mutable_module_measurements(3)->add_repeat_times_ms(3 + 0.01 * i);
    a.mutable_module_measurements(0)->add_repeat_times_ms(4 + i);
    b.mutable_module_measurements(0)->add_repeat_times_ms(4.5 + i);
  }
  const v1::DiffReportsResponse diff = DiffReports(a, b);
  EXPECT_NEAR(Find(diff, "prefill/layer[0,2]/q_proj")->p_value(), 2.0 / 252, 1e-9);
  EXPECT_FALSE(Find(diff, "prefill/sample")->has_p_value());
  EXPECT_GT(diff.p_value(), 0.3);
}

TEST(JoinMeasurement, KeepsTheTimesOfEveryRepeat) {
  attribution::Result measured = SampleMeasurement();
  measured.request_total_ns = {4'000'000, 5'000'000};
  measured.repeats = {{"deepseek_ocr", "", {4'000'000, 5'000'000}}, {"prefill", "deepseek_ocr", {3'500'000, 0}}};
  const v1::AnalyticModelReport report = JoinedReport(measured);
  EXPECT_THAT(report.module_measurements(0).repeat_times_ms(), testing::ElementsAre(4, 5));
  EXPECT_THAT(report.module_measurements(1).repeat_times_ms(), testing::ElementsAre(3.5, 0));
  EXPECT_THAT(report.module_measurements(2).repeat_times_ms(), IsEmpty());
  measured.request_total_ns.resize(201, 1);
  EXPECT_THAT(JoinedReport(measured).module_measurements(0).repeat_times_ms(), IsEmpty());
}

}  // namespace
}  // namespace dsocr::report
