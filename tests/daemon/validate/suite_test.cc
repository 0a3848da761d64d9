#include "daemon/validate/suite.h"

#include "daemon/catalog/models.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/document.h"

namespace dsocr::validate {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<v1::ValidationSuite> Read(std::string_view yaml) {
  v1::ValidationSuite suite;
  const absl::Status parsed = document::ParsePartial(yaml, document::Format::kYaml, &suite);
  EXPECT_TRUE(parsed.ok()) << parsed;
  return CompleteSuite(suite);
}

std::string ErrorOf(std::string_view yaml) {
  const absl::StatusOr<v1::ValidationSuite> suite = Read(yaml);
  EXPECT_EQ(suite.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(suite.status().message());
}

TEST(SuiteTest, FillsInWhatACaseLeavesOut) {
  const auto suite = Read(
      "name: nightly\n"
      "bounds: {max_stage_error_pct: 20, max_total_error_pct: 10}\n"
      "cases:\n"
      "  - workload: dsocr-tiny-v1\n"
      "    bounds: {max_total_error_pct: 5}\n");
  ASSERT_TRUE(suite.ok()) << suite.status();
  const v1::ValidationCase& of = suite->cases(0);
  EXPECT_EQ(of.name(), "dsocr-tiny-v1");
  EXPECT_EQ(of.repeats(), 5);
  EXPECT_EQ(of.warmup(), 1);
  EXPECT_EQ(of.bounds().max_stage_error_pct(), 20) << "the suite's";
  EXPECT_EQ(of.bounds().max_total_error_pct(), 5) << "its own";
}

TEST(SuiteTest, AnErrorNamesPathAndValue) {
  EXPECT_THAT(ErrorOf("name: empty\n"), HasSubstr("cases = [0 entries]"));
  EXPECT_THAT(ErrorOf("cases: [{workload: a}, {workload: b, repeats: 0}]\n"), HasSubstr("cases[1].repeats = 0"));
  EXPECT_THAT(ErrorOf("cases: [{workload: a, repeats: 100, best_of: 201}]\n"),
              HasSubstr("cases[0].best_of = 201: out of range; give 1 to 200"));
  EXPECT_THAT(ErrorOf("cases: [{workload: a, bounds: {max_stage_error_pct: -1}}]\n"),
              HasSubstr("cases[0].bounds.max_stage_error_pct = -1"));
  EXPECT_THAT(ErrorOf("bounds: {min_coverage_90_pct: 101}\ncases: [{workload: a}]\n"),
              HasSubstr("bounds.min_coverage_90_pct = 101"));
  EXPECT_THAT(ErrorOf("cases: [{name: a}]\n"), HasSubstr("cases[0].workload"));
  EXPECT_THAT(ErrorOf("cases: [{workload: a}, {workload: a}]\n"), HasSubstr("cases[1].name = 'a'"));
  EXPECT_THAT(ErrorOf("cases: [{workload: a, name: 'a b'}]\n"), HasSubstr("cases[0].name = 'a b'"));
  EXPECT_THAT(ErrorOf("cases: [{workload: a, model: ../model}]\n"), HasSubstr("cases[0].model = '../model'"));
}

TEST(SuiteTest, AnUnknownKeyIsAnError) {
  v1::ValidationSuite suite;
  const absl::Status parsed =
      document::ParsePartial("cases: [{workload: a, repeat: 3}]\n", document::Format::kYaml, &suite);
  EXPECT_THAT(std::string(parsed.message()), HasSubstr("cases[0].repeat"));
}

TEST(SuiteTest, TheBuiltInSuitesAreComplete) {
  for (const char* device : {"cpu", "cuda:0"}) {
    const auto suite = CompleteSuite(BuiltInSuite(device));
    ASSERT_TRUE(suite.ok()) << suite.status();
    for (const v1::ValidationCase& of : suite->cases()) {
      EXPECT_EQ(of.device(), device);
      EXPECT_EQ(of.repeats(), 30);
    }
  }
}

TEST(SuiteTest, OnACpuTheSmallModelRuns) {
  const auto suite = CompleteSuite(BuiltInSuite("cpu"));
  ASSERT_TRUE(suite.ok());
  const std::vector<v1::ModelRun> runs = RunsOf(suite->cases(0), "/artifacts");
  ASSERT_EQ(runs.size(), 1u);
  const v1::ModelRun& run = runs[0];
  EXPECT_EQ(run.request().model_dir(), catalog::SmallModelDir());
  EXPECT_FALSE(catalog::HasWeights(run.request().model_dir()));
  EXPECT_EQ(run.request().artifacts_root(), "/artifacts");
  EXPECT_EQ(run.repeats(), 30 * suite->cases(0).best_of());
  EXPECT_EQ(suite->cases(0).bounds().max_launch_error_pct(), 1);
}

TEST(SuiteTest, ALongCaseIsRunInSeveralProcesses) {
  const auto suite = Read("cases: [{workload: a, repeats: 5, best_of: 100}]\n");
  ASSERT_TRUE(suite.ok()) << suite.status();
  const std::vector<v1::ModelRun> runs = RunsOf(suite->cases(0), "/artifacts");
  ASSERT_EQ(runs.size(), 3u) << "of at most 200 requests, and whole repeats";
  EXPECT_EQ(runs[0].repeats(), 200);
  EXPECT_EQ(runs[1].repeats(), 200);
  EXPECT_EQ(runs[2].repeats(), 100);
}

}  // namespace
}  // namespace dsocr::validate
