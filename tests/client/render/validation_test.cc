#include "client/render/junit.h"
#include "client/render/validation_table.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::StageVerdict Stage(const char* name, double predicted_ms, double measured_ms, bool within) {
  v1::StageVerdict stage;
  stage.set_stage(name);
  stage.set_predicted_ms(predicted_ms);
  stage.set_measured_ms(measured_ms);
  stage.set_ratio(predicted_ms / measured_ms);
  stage.set_error_pct(100 * (measured_ms - predicted_ms) / measured_ms);
  stage.set_max_error_pct(20);
  stage.set_within(within);
  return stage;
}

v1::Validation Sample(const char* id = "v-1", double measured_ms = 100) {
  v1::Validation validation;
  validation.set_validation_id(id);
  validation.set_suite("night<ly>");
  validation.set_started_at("2026-01-02T03:04:05Z");
  validation.set_summary("0 of 1 cases passed");
  v1::CaseVerdict& verdict = *validation.add_cases();
  verdict.set_name("small");
  verdict.set_workload("page");
  verdict.set_device("CPU \"x\" & co");
  *verdict.add_stages() = Stage("sam", 90, measured_ms, true);
  *verdict.add_stages() = Stage("total", 50, measured_ms, false);
  v1::RegressionVerdict& regression = *verdict.mutable_regression();
  regression.set_baseline_id("v-0");
  regression.set_is_regression(true);
  regression.set_module_id("decode/lm_head");
  regression.set_change_pct(5.2);
  regression.set_why("decode/lm_head (gemv) is 5.2 % slower\nthan 'before'");
  v1::ModuleChange& change = *regression.add_modules();
  change.set_module_id("decode/lm_head");
  change.set_operator_category("gemv");
  change.set_change_pct(5.2);
  change.set_p_value(0.0001);
  return validation;
}

TEST(JUnitTest, HasATestAStageAndOneForTheComparison) {
  const std::string xml = JUnitXml(Sample());
  EXPECT_THAT(xml, HasSubstr("<testsuites name=\"night&lt;ly&gt;\" tests=\"3\" failures=\"2\" errors=\"0\">"));
  EXPECT_THAT(xml, HasSubstr("<testcase name=\"sam\" classname=\"night&lt;ly&gt;.small\" time=\"0.100000\"/>"));
  EXPECT_THAT(xml, HasSubstr("message=\"predicted 50 ms, measured 100 ms: 50 % off, bound 20 %\""));
  EXPECT_THAT(xml, HasSubstr("5.2 % slower than &apos;before&apos;"));
}

TEST(JUnitTest, ACaseThatWasNotMeasuredIsAnError) {
  v1::Validation validation;
  v1::CaseVerdict& verdict = *validation.add_cases();
  verdict.set_name("small");
  verdict.set_error("killed \x01 & gone");
  const std::string xml = JUnitXml(validation);
  EXPECT_THAT(xml, HasSubstr("errors=\"1\""));
  EXPECT_THAT(xml, HasSubstr("<error message=\"killed   &amp; gone\"/>"));
}

TEST(ValidationTextTest, ShowsWhatIsOutsideAndWhatBecameSlower) {
  const std::string text = ValidationText(Sample(), /*has_color=*/false);
  EXPECT_THAT(text, HasSubstr("total    50.0 ms    100 ms   0.50  50.0 %   20 %              outside"));
  EXPECT_THAT(text, HasSubstr("decode/lm_head  gemv   +5.2 %  0.0 %  <0.001"));
  EXPECT_THAT(text, HasSubstr("FAILED  v-1 · 0 of 1 cases passed\n"));
  EXPECT_THAT(text, Not(HasSubstr("\033")));
  EXPECT_THAT(ValidationText(Sample(), /*has_color=*/true), HasSubstr("\033[31mFAILED\033[0m"));
}

TEST(HistoryTest, TheChartGoesFromTheOldestToTheNewest) {
  v1::ListValidationsResponse history;
  *history.add_validations() = Sample("v-3", 200);
  *history.add_validations() = Sample("v-2", 150);
  *history.add_validations() = Sample("v-1", 100);
  const std::string text = HistoryText(history, /*has_color=*/false);
  EXPECT_THAT(text, HasSubstr("  measured  ▁▅█  100 ms to 200 ms\n"));
  EXPECT_THAT(text, HasSubstr("decode/lm_head +5.2 %"));
  EXPECT_LT(text.find("v-3"), text.find("v-1")) << "the table is newest first";
  EXPECT_THAT(HistoryMarkdown(history), HasSubstr("```text\nnight<ly>/small\n"));
  EXPECT_THAT(HistoryText({}, /*has_color=*/false), HasSubstr("VALIDATION"));
}

TEST(SparklineTest, SpansTheRange) {
  EXPECT_EQ(Sparkline({}), "");
  EXPECT_EQ(Sparkline({1, 1}), "▄▄");
  EXPECT_EQ(Sparkline({0, 7, 3}), "▁█▄");
}

}  // namespace
}  // namespace dsocr::client
