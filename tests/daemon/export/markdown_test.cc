#include "daemon/export/markdown.h"

#include <algorithm>
#include <regex>
#include <set>
#include <string>

#include "daemon/export/text.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/report/sample_join.h"

namespace dsocr::exporter {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::AnalyticModelReport Measured() {
  v1::AnalyticModelReport report = report::BuildReport(report::SampleInput(), report::SamplePrediction());
  EXPECT_TRUE(report::JoinMeasurement(report::SampleMeasurement(), report::SamplePrediction(), report::SampleInput(),
                                      v1::ROUTE_LAUNCH, &report)
                  .ok());
  return report;
}

const std::string& PageOf(const std::vector<Page>& pages, const std::string& file_name) {
  const auto found = std::find_if(pages.begin(), pages.end(), [&](const Page& p) { return p.file_name == file_name; });
  static const std::string none;
  return found != pages.end() ? found->text : none;
}

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
  const std::string text = ToMarkdown(Measured());
  EXPECT_THAT(text, HasSubstr("# Report `r-000000000001`"));
  EXPECT_THAT(text, HasSubstr("## Stages"));
  EXPECT_THAT(text, HasSubstr("| prefill "));
  EXPECT_THAT(text, HasSubstr("`prefill/layer[0,2]/q_proj`"));
  EXPECT_THAT(text, HasSubstr("93.3 % of 3.75 ms of device time belong to a module, 0.25 ms to none"));
}

TEST(ToMarkdown, WithoutAMeasurementHasNoAttribution) {
  EXPECT_THAT(ToMarkdown(report::BuildReport(report::SampleInput(), report::SamplePrediction())),
              Not(HasSubstr("## Attribution")));
}

TEST(LayerPages, ShowDefinitionFiguresAndOperators) {
  const std::vector<Page> pages = LayerPages(Measured());
  EXPECT_EQ(pages.front().file_name, "summary.md");
  const std::string& page = PageOf(pages, "prefill.layer-0_2.md");
  EXPECT_THAT(page, HasSubstr("`sample.Module`"));
  EXPECT_THAT(page, HasSubstr("for, 2 times"));
  EXPECT_THAT(page, HasSubstr("[`prefill`](prefill.md)"));
  EXPECT_THAT(page, HasSubstr("`[1, 128, 64]`"));
  EXPECT_THAT(page, HasSubstr("a\\|b"));
  EXPECT_THAT(page, HasSubstr("[`prefill/layer[0,2]/q_proj`](prefill.layer-0_2.q_proj.md)"));
  EXPECT_THAT(page, HasSubstr("## Measurement"));
}

TEST(LayerPages, EveryLinkOfTheFullModelLeadsToAPage) {
  const auto report = report::BuildReport(report::SampleInput());
  ASSERT_TRUE(report.ok()) << report.status();
  const std::vector<Page> pages = LayerPages(*report);
  EXPECT_EQ(pages.size(), static_cast<size_t>(report->modules_size()) + 1);
  std::set<std::string> names;
  for (const Page& page : pages) {
    EXPECT_TRUE(names.insert(page.file_name).second) << page.file_name;
  }
  EXPECT_TRUE(names.contains("vision.sam.block-2_5_8_11.md"));
  const std::regex link(R"(\]\(([^)]*\.md)\))");
  for (const Page& page : pages) {
    for (std::sregex_iterator it(page.text.begin(), page.text.end(), link), end; it != end; ++it) {
      EXPECT_TRUE(names.contains((*it)[1])) << page.file_name << " -> " << (*it)[1];
    }
  }
}

TEST(LayerPages, ForeignIdsMakeSafeFileNames) {
  v1::AnalyticModelReport report;
  for (const char* id : {"../../etc/passwd", "..", "summary", "a b", "a_b", "a|`b`\n", "model.layers.0"}) {
    report.add_modules()->set_module_id(id);
  }
  report.add_modules()->set_module_id(std::string(5000, 'x'));
  std::set<std::string> names;
  for (const Page& page : LayerPages(report)) {
    EXPECT_EQ(page.file_name.find('/'), std::string::npos);
    EXPECT_NE(page.file_name.front(), '.');
    EXPECT_LT(page.file_name.size(), 255u);
    EXPECT_TRUE(names.insert(page.file_name).second) << page.file_name;
  }
  EXPECT_TRUE(names.contains("summary.md"));
  EXPECT_TRUE(names.contains("summary-2.md"));
  EXPECT_TRUE(names.contains("model.layers.0.md"));
}

}  // namespace
}  // namespace dsocr::exporter
