// Documents made to hurt their reader: each is one line that names a place, within a second of processor time and 256
// MiB.
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/document.h"
#include "tests/proto/sample_report.h"

namespace dsocr::document {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
constexpr double kOverhead = 20;  // what sanitizers and debug builds add
#else
constexpr double kOverhead = 1;
#endif
constexpr double kMaxMegabytes = 256 * kOverhead;

// A document of any size: `prefix`, then `unit` again and again. "#" in a unit is a running number.
struct Hostile {
  const char* name;
  Format format;
  const char* prefix;
  const char* unit;
};

void PrintTo(const Hostile& hostile, std::ostream* out) { *out << hostile.name; }

std::string TextOf(const Hostile& hostile, size_t size) {
  std::string text = hostile.prefix;
  text.reserve(size + 128);
  const std::string unit = hostile.unit;
  const size_t number = unit.find('#');
  for (size_t i = 0; text.size() < size; ++i) {
    if (number == std::string::npos) {
      text += unit;
    } else {
      text.append(unit, 0, number).append(std::to_string(i)).append(unit, number + 1);
    }
  }
  text.resize(size);
  return text;
}

const std::vector<Hostile>& Documents() {
  static const auto& documents = *new std::vector<Hostile>{
      {"JsonLongString", Format::kJson, "{\"report_id\": \"", "x"},
      {"JsonLongKey", Format::kJson, "{\"", "x"},
      {"JsonLongNumber", Format::kJson, "{\"x\": 1", "1"},
      {"JsonNumbers", Format::kJson, "{\"x\": [0", ",0"},
      {"JsonFloats", Format::kJson, "{\"x\": [0", ",1.2345678901234567e-300"},
      {"JsonDeepArrays", Format::kJson, "{\"x\": ", "["},
      {"JsonDeepObjects", Format::kJson, "", "{\"x\":"},
      {"JsonUnknownKeys", Format::kJson, "{\"k\": 0", ",\"k#\":0"},
      {"JsonDuplicateKeys", Format::kJson, "{\"report_id\": \"\"", ",\"report_id\":\"\""},
      {"JsonParameters", Format::kJson, "{\"modules\":[{\"constructor_params\":{\"k\":0", ",\"k#\":0"},
      {"JsonManyParameters", Format::kJson, "{\"modules\":[{\"constructor_params\":{\"k\":0",
       ",\"a_rather_long_name_of_a_parameter_#\":\"a_rather_long_text_as_its_value_#\""},
      {"JsonShapes", Format::kJson, "{\"modules\":[{\"input_shapes\":[[]", ",[]"},
      {"JsonOneShape", Format::kJson, "{\"modules\":[{\"input_shapes\":[[1", ",1"},
      {"JsonChildren", Format::kJson, "{\"modules\":[{\"children\":[\"\"", ",\"\""},
      {"JsonSpace", Format::kJson, "", " "},
      {"JsonEscapes", Format::kJson, "{\"report_id\": \"", "\\ud83d\\ude00"},
      {"YamlLongPlain", Format::kYaml, "report_id: ", "x"},
      {"YamlLongQuoted", Format::kYaml, "report_id: \"", "x"},
      {"YamlLongKey", Format::kYaml, "", "x"},
      {"YamlLiteral", Format::kYaml, "report_id: |\n", "  x\n"},
      {"YamlFolded", Format::kYaml, "report_id: a\n", "  a\n"},
      {"YamlLongNumber", Format::kYaml, "x: 1", "1"},
      {"YamlNumbers", Format::kYaml, "x: [0", ",0"},
      {"YamlItems", Format::kYaml, "x:\n", "- 0\n"},
      {"YamlDeepArrays", Format::kYaml, "x: ", "["},
      {"YamlDeepItems", Format::kYaml, "x:\n  ", "- "},
      {"YamlDeepKeys", Format::kYaml, "", "? "},
      {"YamlUnknownKeys", Format::kYaml, "", "k#: 0\n"},
      {"YamlDuplicateKeys", Format::kYaml, "", "report_id: a\n"},
      {"YamlParameters", Format::kYaml, "modules: [{constructor_params: {k: 0", ", k#: 0"},
      {"YamlQuotedKeys", Format::kYaml, "{", "\"k\" "},
      {"YamlSpace", Format::kYaml, "", " "},
      {"YamlLines", Format::kYaml, "", "\n"},
      {"YamlComment", Format::kYaml, "#", "x"},
      {"YamlComments", Format::kYaml, "", "# x\n"},
      {"YamlTabs", Format::kYaml, "a:", "\t"},
      {"YamlDocuments", Format::kYaml, "", "---\n"},
      {"YamlDocumentEnds", Format::kYaml, "a: b\n", "...\n"},
      {"YamlTagDirectives", Format::kYaml, "", "%TAG !t#! tag:\n"},
      {"YamlTagDirectivesBehind", Format::kYaml, "a: b\n...\n", "%TAG !t#! tag:\n"},
      {"YamlDirectives", Format::kYaml, "", "%A# b\n"},
      {"YamlLongTag", Format::kYaml, "report_id: !", "x"},
      {"YamlLongAnchor", Format::kYaml, "report_id: &", "x"},
      {"YamlAliasBomb", Format::kYaml, "a0: &a0 x\n", "a#: &a# [*a0, *a0]\n"},
      {"YamlColons", Format::kYaml, "a", ": a"},
  };
  return documents;
}

double CpuSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// VmRSS, VmHWM.
double MegabytesOf(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == key + ":") {
      double kilobytes = 0;
      status >> kilobytes;
      return kilobytes / 1024;
    }
  }
  return 0;
}

void ForgetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

class HostileDocument : public ::testing::TestWithParam<Hostile> {};

// Reads it, unknown keys allowed, and expects the error of a reader that stayed within its bounds.
void ExpectRefused(const std::string& text, Format format) {
  v1::AnalyticModelReport report;
  ForgetPeak();
  const double megabytes = MegabytesOf("VmRSS");
  const double start = CpuSeconds();
  const absl::Status status = Parse(text, format, /*allow_unknown=*/true, &report);
  const double seconds = CpuSeconds() - start;
  const double peak = MegabytesOf("VmHWM") - megabytes;
  const std::string error(status.message());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(error, ::testing::MatchesRegex(".+: .+: .+"));
  EXPECT_EQ(error.find('\n'), std::string::npos);
  EXPECT_LT(error.size(), 400u);
  EXPECT_LT(peak, kMaxMegabytes) << error;
  // Recorded, not judged; the limits on bytes and values are what bounds it.
  ::testing::Test::RecordProperty("seconds", fmt::format("{:.3f}", seconds));
  ::testing::Test::RecordProperty("megabytes", fmt::format("{:.0f}", peak));
}

// The largest of its kind that is read at all.
TEST_P(HostileDocument, EndsInAnErrorThatNamesAPlace) {
  ExpectRefused(TextOf(GetParam(), kMaxBytes), GetParam().format);
}

TEST(Parse, RefusesAHundredMegabytesAtOnce) {
  for (const Hostile& hostile : {Documents().front(), Documents().back()}) {
    ExpectRefused(TextOf(hostile, 100'000'000), hostile.format);
  }
}

INSTANTIATE_TEST_SUITE_P(Documents, HostileDocument, ::testing::ValuesIn(Documents()),
                         [](const auto& info) { return std::string(info.param.name); });

// A report of 200,000 modules, most of them wrong, is bounded by the number of problems.
TEST(Validate, TakesAnyReportThatParses) {
  v1::AnalyticModelReport report = SampleReport();
  const std::string long_id(100'000, 'x');
  report.mutable_modules(0)->set_module_id(long_id);
  for (int i = 0; i < 200'000; ++i) {
    v1::AnalyticModuleNode& node = *report.add_modules();
    node.set_module_id(std::to_string(i));
    if (i % 2 == 0) {
      node.set_parent_id(std::to_string(i + 2));
      node.add_children(std::to_string(i - 2));
    }
  }
  const std::vector<v1::CheckProblem> problems = Validate(report);
  ASSERT_EQ(problems.size(), 1000u);
  for (const v1::CheckProblem& problem : problems) {
    EXPECT_LT(problem.ByteSizeLong(), 500u);
  }
}

}  // namespace
}  // namespace dsocr::document
