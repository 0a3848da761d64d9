#include "daemon/export/layer_pages.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/analytic/routings.h"
#include "tests/daemon/report/sample_join.h"

namespace dsocr::exporter {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Document {
  explicit Document(report::ReportInput made_from) : input(std::move(made_from)) {
    report = *report::BuildReport(input);
    const Origin origin = {input.model, input.workload, input.device};
    pages = LayerPages(report, &origin);
  }

  const std::string& Text(const std::string& file_name) const {
    const auto found =
        std::find_if(pages.begin(), pages.end(), [&](const Page& page) { return page.file_name == file_name; });
    static const std::string none;
    return found != pages.end() ? found->text : none;
  }

  report::ReportInput input;
  v1::AnalyticModelReport report;
  std::vector<Page> pages;
};

Document Published(const std::string& profile_id, const std::string& device = "h200-sxm") {
  report::ReportInput input = report::SampleInput();
  input.workload = *analytic::FindWorkload(profile_id);
  input.device = *analytic::FindDevice(device);
  return Document(input);
}

std::vector<std::string> Cells(const std::string& line) {
  std::vector<std::string> cells;
  std::stringstream row(line.substr(1));
  for (std::string cell; std::getline(row, cell, '|');) {
    const size_t first = cell.find_first_not_of(' ');
    cells.push_back(first == std::string::npos ? "" : cell.substr(first, cell.find_last_not_of(' ') + 1 - first));
  }
  return cells;
}

// The rows of the table below a heading, its head first, without the line of dashes.
std::vector<std::vector<std::string>> TableBelow(const std::string& text, const std::string& heading) {
  std::vector<std::vector<std::string>> rows;
  std::stringstream lines(text.substr(std::min(text.find("\n" + heading + "\n"), text.size())));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('|')) {
      if (!line.starts_with("|-")) {
        rows.push_back(Cells(line));
      }
    } else if (!rows.empty()) {
      break;
    }
  }
  return rows;
}

double NumberOf(std::string text) {
  text.erase(std::remove(text.begin(), text.end(), ','), text.end());
  return text.empty() ? 0 : std::stod(text);
}

// "`total_io_tb` 0.25" -> 0.25
double FieldOf(const std::string& cell) { return NumberOf(cell.substr(cell.find(' ') + 1)); }

TEST(LayerPages, SumsOfEveryPageAreTheFiguresOfTheReport) {
  for (const auto& [profile, device, launches] :
       {std::tuple("dsocr-a4-v1", "h200-sxm", "launches"), std::tuple("dsocr-tiny-v1", "h200-sxm", "launches"),
        std::tuple("dsocr-a4-v1", "cpu", "operators dispatched")}) {
    const std::map<std::string, double> unit = {
        {"calls", 1},     {launches, 1}, {"FLOPs", 1e12}, {"vector FLOPs", 1e12}, {"bytes, both", 1e12 / 8},
        {"time, ns", 1e6}};
    const Document document = Published(profile, device);
    for (int module = 0; module < document.report.modules_size(); ++module) {
      const v1::AnalyticModuleNode& node = document.report.modules(module);
      const std::string file = document.pages[static_cast<size_t>(module) + 1].file_name;  // the summary is first
      SCOPED_TRACE(file);
      const auto rows = TableBelow(document.Text(file), "## Result");
      ASSERT_FALSE(rows.empty());
      const size_t sum_column = rows.front().size() - 2;
      int checked = 0;
      for (const std::vector<std::string>& row : rows) {
        if (!unit.contains(row.front())) {
          continue;
        }
        ++checked;
        const double sum = NumberOf(row[sum_column]);
        EXPECT_NEAR(FieldOf(row[sum_column + 1]) * unit.at(row.front()), sum, 1e-12 * sum + 1e-3) << row.front();
        // Of a leaf: the columns between, each so many calls of so much.
        double of_calls = 0;
        for (size_t i = 1; i < sum_column; ++i) {
          of_calls += NumberOf(rows.front()[i].substr(0, rows.front()[i].find(' '))) * NumberOf(row[i]);
        }
        if (node.children().empty()) {
          EXPECT_NEAR(of_calls, sum, 1e-9 * sum + 1) << row.front();
        }
      }
      EXPECT_EQ(checked, static_cast<int>(unit.size()));
    }
  }
}

class ChildrenTable : public ::testing::TestWithParam<const char*> {};

TEST_P(ChildrenTable, AddsUpToTheParent) {
  const Document document = Published("dsocr-a4-v1", GetParam());
  int parents = 0;
  for (const Page& page : document.pages) {
    SCOPED_TRACE(page.file_name);
    const auto rows = TableBelow(page.text, "## Children, in execution order");
    if (rows.empty()) {
      continue;
    }
    ++parents;
    for (size_t column = 2; column < 9; ++column) {  // FLOPs … ms
      double sum = 0;
      for (size_t i = 1; i + 1 < rows.size(); ++i) {
        sum += NumberOf(rows[i][column]);
      }
      EXPECT_NEAR(sum, NumberOf(rows.back()[column]), column == 8 ? 1e-6 * static_cast<double>(rows.size()) : 0)
          << rows.front()[column];
    }
  }
  EXPECT_GT(parents, 30);
}

INSTANTIATE_TEST_SUITE_P(Devices, ChildrenTable, ::testing::Values("h200-sxm", "cpu"),
                         [](const auto& info) { return std::string(info.param) == "cpu" ? "cpu" : "gpu"; });

TEST(LayerPages, OnACpuALeafSaysWhatIsDispatched) {
  const Document document = Published("dsocr-tiny-v1", "cpu");
  const auto rows = TableBelow(document.Text("vision.sam.patch_embed.md"), "## Census of a call");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_THAT(rows[1], ::testing::ElementsAre("`contiguous conv2d permute`", "conv", "1", "3"));
  EXPECT_THAT(document.Text("vision.sam.md"), Not(HasSubstr("## Census")));
  EXPECT_THAT(Published("dsocr-tiny-v1").Text("vision.sam.patch_embed.md"), Not(HasSubstr("## Census")));
}

TEST(LayerPages, EveryLinkLeadsToAPage) {
  const Document document = Published("dsocr-standard-v1");
  EXPECT_EQ(document.pages.size(), static_cast<size_t>(document.report.modules_size()) + 1);
  std::set<std::string> names;
  for (const Page& page : document.pages) {
    EXPECT_TRUE(names.insert(page.file_name).second) << page.file_name;
  }
  EXPECT_TRUE(names.contains("vision.sam.block-2_5_8_11.md"));
  const std::regex link(R"(\]\(([^)]*\.md)\))");
  for (const Page& page : document.pages) {
    for (std::sregex_iterator it(page.text.begin(), page.text.end(), link), end; it != end; ++it) {
      EXPECT_TRUE(names.contains((*it)[1])) << page.file_name << " -> " << (*it)[1];
    }
  }
}

size_t Width(const std::string& line) {
  return static_cast<size_t>(
      std::count_if(line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

TEST(LayerPages, ReadWellAsTextToo) {
  for (const Page& page : Published("dsocr-a4-v1", "cpu").pages) {
    SCOPED_TRACE(page.file_name);
    std::stringstream lines(page.text);
    size_t table_width = 0;
    int fences = 0;
    bool was_empty = false;
    for (std::string line; std::getline(lines, line);) {
      const size_t width = line.starts_with('|') ? Width(line) : 0;
      EXPECT_TRUE(width == 0 || table_width == 0 || width == table_width) << line;
      table_width = width;
      fences += line.starts_with("```") ? 1 : 0;
      EXPECT_FALSE(line.ends_with(' ')) << line;
      EXPECT_FALSE(line.empty() && was_empty);
      was_empty = line.empty();
      if (fences % 2 == 0) {
        EXPECT_EQ(std::count(line.begin(), line.end(), '$') % 2, 0) << line;
      }
    }
    EXPECT_EQ(fences % 2, 0);
    EXPECT_TRUE(page.text.ends_with('\n') && !page.text.ends_with("\n\n"));
  }
}

TEST(LayerPages, DoNotDependOnTheRun) {
  report::ReportInput input = report::SampleInput();
  input.device = *analytic::FindDevice("h200-sxm");
  const Document one(input);
  input.report_id = "r-other";
  input.layer_docs_dir = "/elsewhere/layers";
  input.config_path = "/opt/deepseek-ocr-v1-base.json";
  input.provenance.set_started_at("2027-01-01T00:00:00Z");
  input.provenance.set_duration_ms(12);
  const Document other(input);
  ASSERT_EQ(one.pages.size(), other.pages.size());
  for (size_t i = 0; i < one.pages.size(); ++i) {
    EXPECT_EQ(one.pages[i].text, other.pages[i].text) << one.pages[i].file_name;
  }
}

// tests/golden/README.md says how they are made.
TEST(LayerPages, AreThoseReviewed) {
  const Document document = Published("dsocr-standard-v1");
  for (const char* name : {"vision.sam.block-2_5_8_11.mlp.lin1.md", "vision.sam.block-2_5_8_11.attn.md",
                           "decode.layer-1-11.self_attn.core.md", "prefill.layer-1-11.moe.experts.md"}) {
    std::ifstream file(std::string(DSOCR_SOURCE_DIR "/tests/golden/layers/") + name);
    std::stringstream golden;
    golden << file.rdbuf();
    EXPECT_EQ(document.Text(name), golden.str()) << name;
  }
}

TEST(LayerPages, SummaryHasTotalsPrimitivesExpertsAndCache) {
  const std::string summary = Published("dsocr-standard-v1").Text("summary.md");
  for (const char* heading : {"## Totals by stage", "## Sizes", "## Device, and the time of a call", "## Modules",
                              "## Analytic primitives", "### Matrix product", "### Grouped matrix product",
                              "## Expected distinct experts", "## KV cache", "## Assumptions", "## Sources"}) {
    EXPECT_THAT(summary, HasSubstr(std::string("\n") + heading + "\n"));
  }
  const auto experts = TableBelow(summary, "## Expected distinct experts");
  ASSERT_EQ(experts.size(), 3u);
  EXPECT_EQ(experts[2], (std::vector<std::string>{"decode step", "1", "6"}));
  const auto cache = TableBelow(summary, "## KV cache");
  EXPECT_EQ(cache[1], (std::vector<std::string>{"prefill", "512", "31,457,280"}));  // 61,440 a position
  EXPECT_EQ(cache.back(), (std::vector<std::string>{"decode step 63, the last", "575", "35,328,000"}));
}

TEST(LayerPages, ARecordedRoutingIsNamedWhereItDecides) {
  report::ReportInput input = report::SampleInput();
  input.model.decoder.routing = analytic::UnevenRouting(input.model.decoder, input.workload.seq_len, 3);
  const Document document(input);
  const std::string summary = document.Text("summary.md");
  EXPECT_THAT(summary,
              HasSubstr("goes by the routing that run r-1 recorded, over 128 tokens in prefill and 3 in decode"));
  const auto experts = TableBelow(summary, "## Expected distinct experts");
  ASSERT_EQ(experts.size(), 3u);
  EXPECT_EQ(experts[2], (std::vector<std::string>{"decode step", "1", "6", "6"}));
  EXPECT_LT(std::stod(experts[1][3]), std::stod(experts[1][2]));
  EXPECT_THAT(document.Text("prefill.layer-1-11.moe.experts.md"), HasSubstr("by the recorded routing"));
  EXPECT_THAT(Published("dsocr-tiny-v1").Text("prefill.layer-1-11.moe.experts.md"),
              Not(HasSubstr("by the recorded routing")));
}

TEST(LayerPages, AMeasurementSaysHowUnevenlyExpertsWerePicked) {
  Document document(report::SampleInput());
  v1::ModuleMeasurement& measured = *document.report.add_module_measurements();
  measured.set_module_id("prefill/layer[1-11]/moe/experts");
  measured.set_calls(1);
  measured.set_distinct_experts(12);
  v1::ExpertPicks& picks = *measured.add_expert_picks();
  picks.set_layer(7);
  for (const int64_t of_expert : {3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1}) {  // six of each of four tokens
    picks.add_picks(of_expert);
  }
  const Origin origin = {document.input.model, document.input.workload, document.input.device};
  document.pages = LayerPages(document.report, &origin);
  const auto rows = TableBelow(document.Text("prefill.layer-1-11.moe.experts.md"), "## Measurement");
  using Row = std::vector<std::string>;
  EXPECT_THAT(rows, testing::IsSupersetOf(
                        {Row{"distinct experts a call", "12"}, Row{"of an even routing", "20.83"},
                         Row{"tokens that picked the busiest expert", "75.0 % (layer 7; of an even routing 9.4 %)"}}));
}

TEST(LayerPages, AWorkloadThatDecodesNothingHasAllPages) {
  report::ReportInput input = report::SampleInput();
  input.workload.max_new_tokens = 1;
  const Document document(input);
  EXPECT_THAT(document.Text("decode.layer-0.self_attn.core.md"), HasSubstr("None for this workload."));
  EXPECT_THAT(document.Text("decode.md"), HasSubstr("None for this workload."));
}

TEST(LayerPages, WithoutAModelShowWhatWasMeasured) {
  const std::vector<Page> pages = LayerPages(report::JoinedReport(), nullptr);
  EXPECT_EQ(pages.front().file_name, "summary.md");
  const auto page = std::find_if(pages.begin(), pages.end(),
                                 [](const Page& page) { return page.file_name == "prefill.layer-0_2.md"; });
  ASSERT_NE(page, pages.end());
  for (const char* part : {"`sample.Module`", "for, 2 times", "[`prefill`](prefill.md)", "`[1, 128, 64]`", "a\\|b",
                           "[`prefill/layer[0,2]/q_proj`](prefill.layer-0_2.q_proj.md)", "## Measurement"}) {
    EXPECT_THAT(page->text, HasSubstr(part));
  }
  EXPECT_THAT(page->text, Not(HasSubstr("## Work")));
}

TEST(LayerPages, ForeignIdsMakeSafeFileNames) {
  v1::AnalyticModelReport report;
  for (const char* id : {"../../etc/passwd", "..", "summary", "a b", "a_b", "a|`b`\n", "model.layers.0"}) {
    report.add_modules()->set_module_id(id);
  }
  report.add_modules()->set_module_id(std::string(5000, 'x'));
  std::set<std::string> names;
  for (const Page& page : LayerPages(report, nullptr)) {
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
