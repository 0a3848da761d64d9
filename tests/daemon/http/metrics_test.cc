#include "daemon/http/metrics.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::http {
namespace {

using ::testing::HasSubstr;

TEST(CallLogTest, BucketsAreCumulativeAndTheirBoundsInclusive) {
  CallLog calls;
  calls.Add("http", "GET /x", "200", absl::Milliseconds(1));
  calls.Add("http", "GET /x", "200", absl::Milliseconds(30));
  calls.Add("http", "GET /x", "404", absl::Seconds(60));
  const std::string text = calls.Text();
  EXPECT_THAT(text, HasSubstr("dsocrd_calls_total{transport=\"http\",method=\"GET /x\",code=\"200\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("_bucket{transport=\"http\",method=\"GET /x\",le=\"0.001\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("_bucket{transport=\"http\",method=\"GET /x\",le=\"0.1\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("_bucket{transport=\"http\",method=\"GET /x\",le=\"10\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("_bucket{transport=\"http\",method=\"GET /x\",le=\"+Inf\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("_count{transport=\"http\",method=\"GET /x\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("_sum{transport=\"http\",method=\"GET /x\"} 60.031"));
}

TEST(MetricsTextTest, LabelsAreEscaped) {
  EXPECT_THAT(MetricsText({.version = "a\"b\\c\nd"}, CallLog()), HasSubstr("{version=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

TEST(MetricsTextTest, RunsStandByState) {
  const std::string text = MetricsText({.runs_finished = {{"done", 3}, {"failed", 0}}}, CallLog());
  EXPECT_THAT(text, HasSubstr("# TYPE dsocrd_runs_finished_total counter\n"
                              "dsocrd_runs_finished_total{state=\"done\"} 3\n"
                              "dsocrd_runs_finished_total{state=\"failed\"} 0\n"));
}

TEST(MetricsTextTest, TheLedgerAndIncidentsAreCounted) {
  const std::string text = MetricsText({.operations_launched = 10,
                                        .operations_recorded = 6,
                                        .operations_dropped = 2,
                                        .operations_invalid = 1,
                                        .operations_pending = 1,
                                        .incidents = {{"recovered", 0}, {"stalled", 2}}},
                                       CallLog());
  EXPECT_THAT(text, HasSubstr("dsocrd_operations_launched_total 10\n"));
  EXPECT_THAT(text, HasSubstr("dsocrd_operations_recorded_total 6\n"));
  EXPECT_THAT(text, HasSubstr("dsocrd_operations_dropped_total 2\n"));
  EXPECT_THAT(text, HasSubstr("dsocrd_operations_invalid_total 1\n"));
  EXPECT_THAT(text, HasSubstr("dsocrd_operations_pending_total 1\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE dsocrd_incidents_total counter\n"
                              "dsocrd_incidents_total{code=\"recovered\"} 0\n"
                              "dsocrd_incidents_total{code=\"stalled\"} 2\n"));
}

TEST(MetricsTextTest, CountsAreWrittenToTheLastDigit) {
  EXPECT_THAT(MetricsText({.records_received = 123'456'789'012}, CallLog()),
              HasSubstr("dsocrd_records_received_total 123456789012\n"));
}

}  // namespace
}  // namespace dsocr::http
