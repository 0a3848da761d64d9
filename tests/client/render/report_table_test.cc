#include "client/render/report_table.h"

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "client/render/report_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proto/sample_report.h"

namespace dsocr::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Reviewed as code; to renew one, put what the failing test prints into the file.
std::string Golden(const std::string& name) {
  std::ifstream file(DSOCR_SOURCE_DIR "/tests/client/render/golden/" + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ReportText, ShowsWhereTheTimeGoes) { EXPECT_EQ(ReportText(SampleReport(), false), Golden("measured.txt")); }

TEST(ReportText, ShowsAPredictionAlone) { EXPECT_EQ(ReportText(PredictedOnly(), false), Golden("predicted.txt")); }

TEST(ReportText, ShowsHowTheRecordingWentOnAGpu) { EXPECT_EQ(ReportText(SampleGpuReport(), false), Golden("gpu.txt")); }

TEST(ReportText, SaysThatLaunchesWereNotCounted) {
  v1::AnalyticModelReport report = SampleGpuReport();
  report.mutable_attribution()->mutable_ledger()->clear_launched();
  report.mutable_attribution()->mutable_ledger()->clear_pending();
  EXPECT_THAT(ReportText(report, false),
              HasSubstr("ledger     1,204,316 recorded + 12 dropped + 0 invalid; launches were not counted\n"));
}

// Every prediction with an interval from three quarters of it to one and a half times.
v1::AnalyticModelReport WithIntervals() {
  v1::AnalyticModelReport report = SampleReport();
  for (v1::ModuleMetricsSnapshot& metrics : *report.mutable_module_metrics()) {
    metrics.add_interval_90_ms(0.75 * metrics.total_time_ms());
    metrics.add_interval_90_ms(1.5 * metrics.total_time_ms());
  }
  return report;
}

TEST(ReportText, SaysHowSureAPredictionIs) {
  const std::string text = ReportText(WithIntervals(), false);
  EXPECT_THAT(text, HasSubstr("PREDICTED     90 %"));
  EXPECT_THAT(text, HasSubstr("±50.0 %"));
}

TEST(ReportText, FitsAHundredColumns) {
  v1::AnalyticModelReport report = WithIntervals();
  report.mutable_residual()->mutable_parts(0)->set_text("elementwise operators 100 % faster than predicted");
  report.mutable_residual()->mutable_parts(0)->set_module_id("vision/sam/block[0-1,3-4,6-7,9-10]/attn/rel_pos/bias");
  const std::string longest = "vision/sam/block[0-1,3-4,6-7,9-10]/attn/rel_pos/scores_of_both_sides";
  report.mutable_modules(3)->set_module_id(longest);
  report.mutable_modules(1)->set_children(1, longest);
  report.mutable_module_metrics(3)->set_module_id(longest);
  report.mutable_module_measurements(3)->set_module_id(longest);
  std::istringstream lines(ReportText(report, false));
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(DisplayWidth(line), 100u) << line;
  }
}

TEST(ReportText, ColoursRatiosByHowFarOffTheyAre) {
  EXPECT_THAT(ReportText(SampleReport(), true), HasSubstr("\033[32m0.90\033[0m"));
  EXPECT_THAT(ReportText(SampleReport(), false), Not(HasSubstr("\033")));
}

TEST(ReportText, AttributedUnattributedAndIdleTimeAreTheTotal) {
  v1::AnalyticModelReport report = SampleReport();
  report.set_measured_total_time_ms(100.000007);
  report.mutable_attribution()->set_unattributed_device_time_ms(30.000003);
  v1::ModuleMeasurement& root = *report.mutable_module_measurements(0);
  root.set_busy_time_ms(60.000001);
  root.set_gap_time_ms(40.000006);  // of a job that is not recognised: what no module owns is in it
  EXPECT_EQ(ReportView(report).IdleMs(), 10.000003);
  EXPECT_THAT(ReportText(report, false), HasSubstr("unattributed 30.0 ms   idle 10.0 ms (10.0 %)"));
}

TEST(ReportText, ShowsAJobWhoseModelIsNotRecognised) {
  v1::AnalyticModelReport report = SampleReport();
  report.clear_model();
  report.clear_workload();
  report.clear_module_metrics();
  report.clear_predicted_total_time_ms();
  report.clear_residual();
  const std::string text = ReportText(report, false);
  EXPECT_THAT(text, HasSubstr("a job whose model is not recognised"));
  EXPECT_THAT(text, HasSubstr("decode"));
  EXPECT_THAT(ReportText(v1::AnalyticModelReport(), false), HasSubstr("not recognised"));
}

TEST(ReportView, PartsAddUpToTheTotal) {
  const v1::AnalyticModelReport report = SampleReport();
  const ReportView view(report);
  for (const std::vector<Figures>& parts : {view.Stages(), view.TopModules(2), view.Categories()}) {
    double predicted = 0;
    double measured = 0;
    for (const Figures& part : parts) {
      predicted += part.predicted_ms.value_or(0);
      measured += part.measured_ms.value_or(0);
    }
    EXPECT_NEAR(predicted, 12000, 6);  // a rest under 0.05 % is not shown
    EXPECT_NEAR(measured, 12500, 6.25);
  }
}

TEST(ReportView, SplitsVisionIntoItsStages) {
  const v1::AnalyticModelReport report = SampleReport();
  std::vector<std::string> labels;
  for (const Figures& stage : ReportView(report).Stages()) {
    labels.push_back(stage.label);
  }
  EXPECT_THAT(labels, ::testing::ElementsAre("sam", "clip", "projector", "prefill", "decode", "[between stages]"));
}

TEST(ModuleTable, IsARowAModule) {
  EXPECT_THAT(TableCsv(ModuleTable(SampleReport())),
              HasSubstr("module_id,stage,calls,predicted_ms,measured_ms,ratio,bound\n"
                        "deepseek_ocr,other,1,12000.0,12500.0,0.96,compute\n"));
}

TEST(ReportMarkdown, HasThreeTables) {
  EXPECT_THAT(ReportMarkdown(SampleReport()),
              HasSubstr("| STAGE | PREDICTED | MEASURED | RATIO | SHARE |  | BOUND |\n"));
}

}  // namespace
}  // namespace dsocr::client
