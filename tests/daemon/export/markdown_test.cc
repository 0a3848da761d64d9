#include "daemon/export/markdown.h"

#include <string>

#include "daemon/export/text.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/report/sample_join.h"
#include "tests/proto/sample_report.h"

namespace dsocr::exporter {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Figure, ShowsFourDigits) {
  EXPECT_EQ(Figure(0), "0");
  EXPECT_EQ(Figure(1234567), "1234567");
  EXPECT_EQ(Figure(12.3456), "12.35");
  EXPECT_EQ(Figure(0.00123456), "0.001235");
  EXPECT_EQ(Figure(2.0), "2");
  EXPECT_EQ(Figure(-1.5), "-1.5");
}

TEST(Grouped, SetsCommas) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(3336106240), "3,336,106,240");
  EXPECT_EQ(Grouped(-1000), "-1,000");
}

TEST(Table, AlignsItsSource) {
  Table table({{"name", Table::Align::kLeft}, {"ms"}});
  table.Add({"a", "1"});
  table.Add({"…", "12345"});
  EXPECT_EQ(table.ToString(),
            "| name |    ms |\n"
            "|------|------:|\n"
            "| a    |     1 |\n"
            "| …    | 12345 |\n");
}

TEST(ToMarkdown, HasStagesTopModulesAndAttribution) {
  const std::string text = ToMarkdown(report::JoinedReport());
  EXPECT_THAT(text, HasSubstr("# Report `r-000000000001`"));
  EXPECT_THAT(text, HasSubstr("## Stages"));
  EXPECT_THAT(text, HasSubstr("| prefill "));
  EXPECT_THAT(text, HasSubstr("`prefill/layer[0,2]/q_proj`"));
  EXPECT_THAT(text, HasSubstr("93.3 % of 3.75 ms of device time belong to a module, 0.25 ms to none"));
}

TEST(ToMarkdown, SaysHowTheRecordingWentOnAGpu) {
  EXPECT_THAT(ToMarkdown(report::JoinedReport()), Not(HasSubstr("## Recording"))) << "nothing of a GPU was seen";
  const std::string text = ToMarkdown(SampleGpuReport());
  EXPECT_THAT(
      text,
      HasSubstr("## Recording\n\n"
                "| operations of                        |  launched |  recorded | dropped | invalid | pending |\n"));
  EXPECT_THAT(
      text,
      HasSubstr("| device 0, context 1, stream 13       |       316 |       316 |       0 |       0 |       0 |\n"
                "| device 0, context 1, no known stream |        12 |         0 |      12 |       0 |       0 |\n"
                "| **all**                              | 1,204,331 | 1,204,316 |      12 |       0 |       3 |\n"));
  EXPECT_THAT(text, HasSubstr("CUDA graphs (1) were launched 63 times; of their operations 15,120 have the module"));
  EXPECT_THAT(text, HasSubstr("504 one that was inferred (mean confidence 0.97), 8 that of the range"));
  EXPECT_THAT(text, HasSubstr("120 of 1,000 requests were recorded, chosen at random under a budget of 1.0 %"));
  EXPECT_THAT(text, HasSubstr("| `stalled`   |     1 | records stopped: 96 launches"));
}

TEST(ToMarkdown, WithoutAMeasurementHasNoAttribution) {
  EXPECT_THAT(ToMarkdown(report::BuildReport(report::SampleInput(), report::SamplePrediction())),
              Not(HasSubstr("## Attribution")));
}

}  // namespace
}  // namespace dsocr::exporter
