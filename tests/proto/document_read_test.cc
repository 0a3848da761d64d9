#include <chrono>
#include <string>
#include <vector>

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

TEST(Parse, TakesANumberWithoutAFractionForAnInteger) {
  v1::AnalyticModelReport report;
  const std::string text = Edited(Format::kJson, "\"hidden_size\": 1280", "\"hidden_size\": 1280.0");
  ASSERT_TRUE(Parse(text, Format::kJson, /*allow_unknown=*/false, &report).ok());
  EXPECT_EQ(ToJson(report), ToJson(SampleReport()));
  EXPECT_EQ(ReportError(Edited(Format::kJson, "\"hidden_size\": 1280", "\"hidden_size\": 1.0e16")),
            "model.hidden_size: 1.0e+16: expected an integer");
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

TEST(Parse, RefusesMissingKeys) {
  EXPECT_EQ(ReportError(Edited(Format::kJson, "\"hidden_size\": 1280,", "")),
            "model: \"hidden_size\": this key is missing");
  EXPECT_EQ(ReportError(Edited(Format::kJson, "\"hf_revision\": null,", "")),
            "model: \"hf_revision\": this key is missing");
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

TEST(Parse, RefusesBytesThatAreNoText) {
  EXPECT_EQ(ReportError("{\n\"report_id\": \"\xFF\"}"), "document: line 2 column 15: this is not UTF-8");
  EXPECT_EQ(ReportError(std::string("{}\0x", 4)), "document: line 1 column 3: a text file has no NUL byte");
  EXPECT_EQ(ReportError(std::string("a: b\0", 5), Format::kYaml),
            "document: line 1 column 5: a text file has no NUL byte");
  EXPECT_THAT(ReportError("report_id: \"\x01\"\n", Format::kYaml),
              HasSubstr("line 1 column 13: this is not valid YAML"));
}

TEST(Parse, PassesOverAByteOrderMark) {
  EXPECT_EQ(ReportError("\uFEFF" + ToJson(SampleReport())), "");
  EXPECT_EQ(ReportError("\uFEFF" + ToYaml(SampleReport()), Format::kYaml), "");
}

TEST(Parse, KeepsTheErrorOnOneLineWhateverTheKey) {
  EXPECT_EQ(ReportError("{\"a\\nb\": 1}"), "\"a\\nb\": \"a\\nb\": unknown key");
  EXPECT_EQ(ReportError("{\"" + std::string(200, 'k') + "\": 1}"),
            std::string(60, 'k') + "…: 200 bytes: a key has at most 128 bytes");
}

TEST(Parse, RefusesDirectivesThatDefineTags) {
  EXPECT_EQ(ReportError("%TAG !a! b\n--- {}\n", Format::kYaml), "document: line 1 column 1: tags are not supported");
  EXPECT_EQ(ReportError("# %TAG\n{}\n", Format::kYaml), "document: \"report_id\": this key is missing");
}

TEST(Parse, RefusesYamlWhoseLastLineDoesNotEnd) {
  v1::OperatorCategory category;
  const std::string whole = "category_id: a\ndisplay_name: b\ndescription: c\nmatch_classes: [d]";
  EXPECT_EQ(ErrorOf(whole, Format::kYaml, &category),
            "document: line 4 column 19: the last line does not end: the file is cut off");
  EXPECT_EQ(ErrorOf(whole + "\n", Format::kYaml, &category), "");
  EXPECT_EQ(ErrorOf("{category_id: a, display_name: b, description: c, match_classes: [d]}", Format::kYaml, &category),
            "");
  EXPECT_EQ(ParsePartial("description: c", Format::kYaml, &category), absl::OkStatus());
}

TEST(ParseForeign, PassesOverUnknownKeysAndMissesNone) {
  v1::OperatorCategory category;
  EXPECT_EQ(ParseForeign("{\"description\": \"c\", \"colour\": {}}", Format::kJson, &category), absl::OkStatus());
  EXPECT_EQ(category.description(), "c");
  EXPECT_EQ(ParseForeign("{\"description\": 1}", Format::kJson, &category).message(),
            "description: 1: expected a string");
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
  EXPECT_THAT(ReportError(many, Format::kJson, true), HasSubstr("a document has at most 250000 values"));
}

TEST(Parse, RefusesDocumentsOverTheLimit) {
  EXPECT_EQ(ReportError(std::string(kMaxBytes + 1, ' ')), "document: 16777217 bytes: a document has at most 16 MiB");
  EXPECT_EQ(ReportError(std::string(kMaxBytes + 1, ' '), Format::kYaml),
            "document: 16777217 bytes: a document has at most 16 MiB");
}

// Every prefix is an error that names a place.
TEST(Parse, RefusesAReportTruncatedAtAnyByte) {
  for (const Format format : {Format::kJson, Format::kYaml}) {
    v1::AnalyticModelReport small;  // of a job whose model is not known
    small.set_report_id("r");
    *small.add_modules() = SampleReport().modules(2);
    small.mutable_modules(0)->clear_parent_id();
    *small.mutable_provenance() = SampleReport().provenance();
    const std::string text = format == Format::kJson ? ToJson(small) : ToYaml(small);
    // The last line feed of JSON is white space; without that of YAML nobody knows whether "nul" was to be "null".
    const size_t end = text.size() - (format == Format::kJson ? 1 : 0);
    for (size_t size = 0; size < end; ++size) {
      const std::vector<v1::CheckProblem> problems = Check(text.substr(0, size), format, /*allow_unknown=*/false);
      ASSERT_FALSE(problems.empty()) << (format == Format::kJson ? "JSON" : "YAML") << " cut off at byte " << size;
      EXPECT_FALSE(problems[0].path().empty() || problems[0].reason().empty());
    }
    EXPECT_TRUE(Check(text.substr(0, end), format, /*allow_unknown=*/false).empty());
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
