#include <chrono>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/document.h"
#include "tests/proto/sample_report.h"

namespace dsocr::document {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string ErrorOf(const std::string& text, Format format, google::protobuf::Message* message,
                    bool allow_unknown = false) {
  return std::string(Parse(text, format, allow_unknown, message).message());
}

std::string ReportError(const std::string& text, Format format = Format::kJson, bool allow_unknown = false) {
  v1::AnalyticModelReport report;
  return ErrorOf(text, format, &report, allow_unknown);
}

// The sample report with one piece of its text replaced.
std::string Edited(Format format, const std::string& from, const std::string& to) {
  std::string text = format == Format::kJson ? ToJson(SampleReport()) : ToYaml(SampleReport());
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Parse, NamesPathAndValueOfAWrongType) {
  EXPECT_EQ(ReportError(Edited(Format::kJson, "\"hidden_size\": 1280", "\"hidden_size\": \"big\"")),
            "model.hidden_size: \"big\": expected an integer");
  EXPECT_EQ(ReportError(Edited(Format::kJson, "\"hidden_size\": 1280", "\"hidden_size\": 1.5")),
            "model.hidden_size: 1.5: expected an integer");
  EXPECT_EQ(ReportError(Edited(Format::kJson, "\"uses_moe\": true", "\"uses_moe\": 1")),
            "model.uses_moe: 1: expected true or false");
  EXPECT_EQ(ReportError(Edited(Format::kJson, "\"module_id\": \"vision/sam\"", "\"module_id\": null")),
            "modules[2].module_id: null: expected a string");
  EXPECT_EQ(ReportError(Edited(Format::kJson, "\"eps\": 1.0e-06", "\"eps\": null")),
            "modules[0].constructor_params.eps: null: expected a finite number, a string or a boolean");
  EXPECT_EQ(ReportError(Edited(Format::kJson, "\"eps\": 1.0e-06", "\"eps\": []")),
            "modules[0].constructor_params.eps: […]: expected a number, a string or a boolean");
  EXPECT_EQ(ReportError(Edited(Format::kJson, "[1, 3, 1024, 1024]", "[1, 3, true]")),
            "modules[0].input_shapes[0][2]: true: expected an integer");
  EXPECT_EQ(ReportError(Edited(Format::kJson, "[1, 3, 1024, 1024]", "{}")),
            "modules[0].input_shapes[0]: {…}: expected an array of integers");
  EXPECT_EQ(ReportError(Edited(Format::kJson, "[1, 3, 1024, 1024]", "[[1]]")),
            "modules[0].input_shapes[0][0]: […]: expected an integer");
  EXPECT_EQ(ReportError(Edited(Format::kJson, "\"hidden_size\": 1280", "\"hidden_size\": {}")),
            "model.hidden_size: {…}: expected a single value");
  EXPECT_EQ(ReportError("{\"model\": 3}"), "model: 3: expected an object");
  EXPECT_EQ(ReportError("{\"model\": []}"), "model: […]: expected an object");
  EXPECT_EQ(ReportError("{\"modules\": {}}"), "modules: {…}: expected an array");
  EXPECT_EQ(ReportError("{\"modules\": null}"), "modules: null: expected an array");
  EXPECT_EQ(ReportError("{\"modules\": [3]}"), "modules[0]: 3: expected an object");
}

TEST(Parse, SuggestsTheEnumWordThatWasMeant) {
  EXPECT_EQ(
      ReportError(Edited(Format::kJson, "\"stage\": \"vision\"", "\"stage\": \"visio\"")),
      "modules[1].stage: \"visio\": expected one of vision, projector, prefill, decode, other; did you mean 'vision'?");
}

TEST(Parse, RefusesNumbersThatDoNotFit) {
  EXPECT_EQ(ReportError(Edited(Format::kJson, "\"hidden_size\": 1280", "\"hidden_size\": 9223372036854775808")),
            "model.hidden_size: 9223372036854775808: the number is out of range");
  EXPECT_EQ(ReportError(Edited(Format::kJson, "\"hidden_size\": 1280", "\"hidden_size\": 99999999999999999999999")),
            "model.hidden_size: 99999999999999999999999: the number is out of range");
  EXPECT_THAT(ReportError(Edited(Format::kJson, "\"wall_time_ms\": 12500.0", "\"wall_time_ms\": 1e999")),
              AllOf(StartsWith("module_measurements[0].wall_time_ms: line "), HasSubstr("out of range")));
  EXPECT_THAT(ReportError(Edited(Format::kJson, "\"wall_time_ms\": 12500.0", "\"wall_time_ms\": NaN")),
              AllOf(StartsWith("module_measurements[0].wall_time_ms: line "), HasSubstr("not valid JSON")));
  EXPECT_EQ(ReportError(Edited(Format::kYaml, "wall_time_ms: 12500.0", "wall_time_ms: .nan"), Format::kYaml),
            "module_measurements[0].wall_time_ms: .nan: the number is out of range");
  EXPECT_EQ(ReportError(Edited(Format::kYaml, "wall_time_ms: 12500.0", "wall_time_ms: 1.0e+999"), Format::kYaml),
            "module_measurements[0].wall_time_ms: 1.0e+999: the number is out of range");
}

TEST(Parse, RefusesUnknownKeysUnlessAllowed) {
  const std::string text =
      Edited(Format::kJson, "\"hidden_size\"", "\"hiden_size\": {\"a\": [1, {\"b\": null}]}, \"hidden_size\"");
  EXPECT_EQ(ReportError(text), "model.hiden_size: \"hiden_size\": unknown key; did you mean 'hidden_size'?");
  EXPECT_EQ(ReportError(text, Format::kJson, /*allow_unknown=*/true), "");
}

TEST(Parse, RefusesDuplicateKeys) {
  EXPECT_EQ(ReportError("{\"report_id\": \"a\", \"report_id\": \"a\"}"),
            "report_id: \"report_id\": this key stands here twice");
  EXPECT_EQ(ReportError(Edited(Format::kJson, "\"eps\": 1.0e-06", "\"eps\": 1, \"eps\": 2")),
            "modules[0].constructor_params.eps: \"eps\": this key stands here twice");
  EXPECT_EQ(ReportError("report_id: a\nreport_id: b\n", Format::kYaml),
            "report_id: \"report_id\": this key stands here twice");
}

TEST(Parse, RefusesMissingKeysButNotOptionalOnes) {
  EXPECT_EQ(ReportError(Edited(Format::kJson, "\"hidden_size\": 1280,", "")),
            "model: \"hidden_size\": this key is missing");
  EXPECT_EQ(ReportError(Edited(Format::kJson, "\"hf_revision\": null,", "")), "");
  EXPECT_EQ(ReportError("{}"), "document: \"report_id\": this key is missing");
}

TEST(Parse, RefusesWhatIsNoDocument) {
  EXPECT_EQ(ReportError(""), "document: line 1 column 1: the document ends too early");
  EXPECT_EQ(ReportError("[]"), "document: […]: expected an object");
  EXPECT_EQ(ReportError("3"), "document: 3: expected an object");
  EXPECT_EQ(ReportError("", Format::kYaml), "document: nothing: the document is empty");
  EXPECT_EQ(ReportError("- a", Format::kYaml), "document: […]: expected an object");
  EXPECT_THAT(ReportError(ToJson(SampleReport()) + "x"), HasSubstr("not valid JSON"));
  EXPECT_THAT(ReportError(ToYaml(SampleReport()) + "---\na: b\n", Format::kYaml),
              HasSubstr("a file holds one document"));
}

TEST(Parse, NamesLineAndColumnOfASyntaxError) {
  EXPECT_EQ(ReportError("{\n  \"report_id\": oops\n}"), "report_id: line 2 column 16: this is not valid JSON");
  EXPECT_THAT(ReportError("report_id: \"a\nmodel: [", Format::kYaml), StartsWith("report_id: line 2 column 9: "));
}

TEST(Parse, RefusesAnchorsAliasesTagsAndOddKeysInYaml) {
  EXPECT_THAT(ReportError("report_id: &a x\nnotes: *a\n", Format::kYaml), HasSubstr("anchors are not supported"));
  EXPECT_THAT(ReportError("report_id: !!str x\n", Format::kYaml), HasSubstr("tags are not supported"));
  EXPECT_THAT(ReportError("? [a]\n: b\n", Format::kYaml), HasSubstr("a key must be a string"));
  EXPECT_THAT(ReportError("report_id: \"\xFF\"\n", Format::kYaml), HasSubstr("line 1 column 13: this is not UTF-8"));
}

TEST(Parse, ReadsYamlAsPeopleAndOtherWritersWriteIt) {
  v1::OperatorCategory category;
  EXPECT_EQ(ErrorOf("# a comment\ncategory_id: 'it''s'\ndisplay_name: |\n  two\n  lines\ndescription: folded\n  text\n"
                    "match_classes: [a, \"b\"]\n",
                    Format::kYaml, &category),
            "");
  EXPECT_EQ(category.category_id(), "it's");
  EXPECT_EQ(category.display_name(), "two\nlines\n");
  EXPECT_EQ(category.description(), "folded text");
  EXPECT_EQ(category.match_classes(1), "b");
  EXPECT_EQ(ErrorOf("category_id: 1\n", Format::kYaml, &category), "category_id: 1: expected a string");
}

TEST(Parse, RefusesDeepNesting) {
  const std::string deep = "{\"x\":" + std::string(100'000, '[');
  EXPECT_THAT(ReportError(deep, Format::kJson, true), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(ReportError("x: " + std::string(100, '[') + std::string(100, ']'), Format::kYaml, true),
              HasSubstr("nested deeper than 64 levels"));
}

TEST(Parse, RefusesMoreValuesThanAnyReportHas) {
  std::string many = "{\"x\": [";
  for (size_t i = 0; i <= kMaxValues; ++i) {
    many += "0,";
  }
  EXPECT_THAT(ReportError(many, Format::kJson, true), HasSubstr("a document has at most 1000000 values"));
}

TEST(Parse, RefusesDocumentsOverTheLimit) {
  EXPECT_THAT(ReportError(std::string(kMaxYamlBytes + 1, ' '), Format::kYaml), HasSubstr("at most 4 MiB"));
  EXPECT_THAT(ReportError(std::string(kMaxJsonBytes + 1, ' ')), HasSubstr("at most 128 MiB"));
}

// Every prefix is an error that names a place (white space at the end apart), and none crashes.
TEST(Parse, RefusesAReportTruncatedAtAnyByte) {
  for (const Format format : {Format::kJson, Format::kYaml}) {
    v1::AnalyticModelReport small;
    small.set_report_id("r");
    *small.add_modules() = SampleReport().modules(2);
    *small.mutable_provenance() = SampleReport().provenance();
    const std::string text = format == Format::kJson ? ToJson(small) : ToYaml(small);
    const size_t end = text.find_last_not_of("\n}") + 1;
    size_t accepted = 0;
    for (size_t size = 0; size < end; ++size) {
      const std::string error = ReportError(text.substr(0, size), format);
      accepted += error.empty() ? 1 : 0;
      EXPECT_EQ(error.find('\n'), std::string::npos);
    }
    // YAML without its last key is missing an optional one only, and has no end mark: "calibration_id: nul" is a
    // string.
    EXPECT_LE(accepted, format == Format::kJson ? 0 : 40);
  }
}

TEST(Parse, ShowsOnlyTheBeginningOfALongValue) {
  const std::string error = ReportError("{\"model\": \"" + std::string(1'000'000, 'x') + "\"}");
  EXPECT_LT(error.size(), 150u);
  EXPECT_THAT(error, HasSubstr("…\": expected an object"));
}

TEST(FormatOfFileName, GoesByTheEnding) {
  EXPECT_EQ(FormatOfFileName("a/report.yaml"), Format::kYaml);
  EXPECT_EQ(FormatOfFileName("report.yml"), Format::kYaml);
  EXPECT_EQ(FormatOfFileName("report.json"), Format::kJson);
  EXPECT_EQ(FormatOfFileName("report"), Format::kJson);
}

}  // namespace
}  // namespace dsocr::document
