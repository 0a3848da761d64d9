#include "daemon/export/csv.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/report/sample_join.h"

namespace dsocr::exporter {
namespace {

using ::testing::Each;
using ::testing::SizeIs;

using Row = std::vector<std::string>;

// A reader of RFC 4180 that shares no code with the writer.
std::vector<Row> Parse(const std::string& csv) {
  std::vector<Row> rows(1, Row(1));
  bool quoted = false;
  for (size_t i = 0; i < csv.size(); ++i) {
    const char c = csv[i];
    if (quoted && c == '"' && i + 1 < csv.size() && csv[i + 1] == '"') {
      rows.back().back() += csv[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && c == ',') {
      rows.back().emplace_back();
    } else if (!quoted && c == '\r') {
      rows.emplace_back(1);
      ++i;
    } else {
      rows.back().back() += c;
    }
  }
  rows.pop_back();  // what follows the last line's end
  return rows;
}

std::string Cell(const std::vector<Row>& rows, size_t row, const std::string& column) {
  const auto found = std::find(rows[0].begin(), rows[0].end(), column);
  return found == rows[0].end() ? "no such column" : rows[row][static_cast<size_t>(found - rows[0].begin())];
}

TEST(ToCsv, HasARowAModuleAndQuotesTheIdsOfGroups) {
  const std::string csv = ToCsv(report::BuildReport(report::SampleInput(), report::SamplePrediction()));
  const std::vector<Row> rows = Parse(csv);
  ASSERT_THAT(rows, SizeIs(7));
  EXPECT_THAT(rows, Each(SizeIs(rows[0].size())));
  EXPECT_NE(csv.find("\r\n\"prefill/layer[0,2]\",\"layer[0,2]\",prefill,"), std::string::npos);
  EXPECT_EQ(Cell(rows, 3, "module_id"), "prefill/layer[0,2]");
  EXPECT_EQ(Cell(rows, 3, "predicted_time_ms"), "1.0");
  EXPECT_EQ(Cell(rows, 3, "total_flops_tflops"), "0.004");
  EXPECT_EQ(Cell(rows, 3, "repetition"), "for");
  EXPECT_EQ(Cell(rows, 3, "measured_time_ms"), "");
}

TEST(ToCsv, ShowsMeasuredBesidePredicted) {
  const std::vector<Row> rows = Parse(ToCsv(report::JoinedReport()));
  EXPECT_THAT(rows, Each(SizeIs(rows[0].size())));
  EXPECT_EQ(Cell(rows, 5, "module_id"), "prefill/sample");
  EXPECT_EQ(Cell(rows, 5, "predicted_time_ms"), "2.0");
  EXPECT_EQ(Cell(rows, 5, "measured_time_ms"), "1.001");
  EXPECT_EQ(Cell(rows, 5, "mfu"), "");
  EXPECT_EQ(Cell(rows, 6, "predicted_vs_measured_ratio"), "");  // decode did not run
}

TEST(ToCsv, QuotesWhatAForeignJobNames) {
  v1::AnalyticModelReport report;
  report.add_modules()->set_module_id("a \"b\",\r\nc");
  const std::vector<Row> rows = Parse(ToCsv(report));
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[1][0], "a \"b\",\r\nc");
}

}  // namespace
}  // namespace dsocr::exporter
