#include <cmath>
#include <limits>

#include "dsocr/v1/profile.pb.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "proto/document.h"
#include "tests/proto/sample_report.h"

namespace dsocr::document {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;

v1::OperatorCategory Category(const std::string& description) {
  v1::OperatorCategory category;
  category.set_category_id("gemm");
  category.set_description(description);
  return category;
}

TEST(ToJson, WritesEveryKeyInDeclarationOrder) {
  EXPECT_EQ(ToJson(v1::AnalyticModuleSummary()),
            "{\n"
            "  \"module_id\": \"\",\n"
            "  \"name\": \"\",\n"
            "  \"stage\": \"unspecified\",\n"
            "  \"share_of_model_time\": 0.0,\n"
            "  \"total_time_ms\": null,\n"
            "  \"total_flops_tflops\": null,\n"
            "  \"memory_activations_gb\": null\n"
            "}\n");
}

TEST(ToJson, WritesANodeAsTheContractShowsIt) {
  v1::AnalyticModuleNode node;
  node.set_module_id("vision/sam/block[2,5,8,11]");
  node.set_stage(v1::STAGE_VISION);
  node.add_children("a");
  node.add_children("b");
  node.set_repetition(v1::REPETITION_PARFOR);
  node.set_repetition_count(9007199254740993);
  (*node.mutable_constructor_params())["z"].set_float_value(1.0);
  (*node.mutable_constructor_params())["a"].set_int_value(1);
  for (const int64_t dim : {1, 3, 640, 640}) {
    (node.input_shapes_size() == 0 ? node.add_input_shapes() : node.mutable_input_shapes(0))->add_dims(dim);
  }
  node.add_input_shapes()->add_dims(7);
  EXPECT_EQ(ToJson(node), R"({
  "module_id": "vision/sam/block[2,5,8,11]",
  "name": "",
  "qualified_class_name": "",
  "stage": "vision",
  "parent_id": null,
  "children": [
    "a",
    "b"
  ],
  "repetition": "parfor",
  "repetition_count": 9007199254740993,
  "constructor_params": {
    "a": 1,
    "z": 1.0
  },
  "input_shapes": [
    [1, 3, 640, 640],
    [7]
  ],
  "output_shapes": []
}
)");
  EXPECT_EQ(ToYaml(node), R"(module_id: "vision/sam/block[2,5,8,11]"
name: ""
qualified_class_name: ""
stage: vision
parent_id: null
children:
  - a
  - b
repetition: parfor
repetition_count: 9007199254740993
constructor_params:
  a: 1
  z: 1.0
input_shapes:
  - [1, 3, 640, 640]
  - [7]
output_shapes: []
)");
}

TEST(ToYaml, WritesMapsInSequencesBehindTheirDash) {
  v1::CheckReportResponse response;
  for (const char* path : {"a", "b"}) {
    response.add_problems()->set_path(path);
  }
  EXPECT_EQ(ToYaml(response), R"(problems:
  - path: a
    value: ""
    reason: ""
  - path: b
    value: ""
    reason: ""
)");
}

TEST(ToJson, WritesAbsentMessagesAsNull) {
  EXPECT_THAT(ToJson(v1::RunEvent()), HasSubstr("\"run\": null"));
  EXPECT_THAT(ToJson(v1::AnalyticModelReport()), HasSubstr("\"model\": null"));
}

TEST(ToJson, WritesStringMapsSorted) {
  v1::StartRunResponse response;
  (*response.mutable_environment())["B"] = "2";
  (*response.mutable_environment())["A"] = "1";
  EXPECT_THAT(ToJson(response), HasSubstr("\"environment\": {\n    \"A\": \"1\",\n    \"B\": \"2\"\n  }"));
}

TEST(ToJson, EscapesWhatAReaderOrTerminalWouldStumbleOver) {
  const std::string json = ToJson(Category("\" \\ / \b \f \n \r \t \x01 \x7F \u0085 \u2028 \uFEFF é 字 😀"));
  EXPECT_THAT(json, HasSubstr(R"("\" \\ / \b \f \n \r \t \u0001 \u007f \u0085 \u2028 \ufeff é 字 😀")"));
}

TEST(ToJson, ReplacesBytesThatAreNotUtf8) {
  EXPECT_THAT(ToJson(Category("a\xC0\xAF\xED\xA0\x80z")), HasSubstr("\"a\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDz\""));
  EXPECT_THAT(ToJson(Category("\xF0\x9F\x98")), HasSubstr("\"\uFFFD\uFFFD\uFFFD\""));
}

TEST(FormatDouble, IsShortestAndKeepsItsPoint) {
  EXPECT_EQ(FormatDouble(0), "0.0");
  EXPECT_EQ(FormatDouble(-0.0), "-0.0");
  EXPECT_EQ(FormatDouble(1), "1.0");
  EXPECT_EQ(FormatDouble(0.1), "0.1");
  EXPECT_EQ(FormatDouble(12500.123456), "12500.123456");
  EXPECT_EQ(FormatDouble(1e-5), "1.0e-05");
  EXPECT_EQ(FormatDouble(1.5e300), "1.5e+300");
  EXPECT_EQ(FormatDouble(5e-324), "5.0e-324");
  EXPECT_EQ(FormatDouble(std::numeric_limits<double>::infinity()), "null");
  EXPECT_EQ(FormatDouble(std::nan("")), "null");
}

TEST(ToYaml, QuotesWhatSomeReaderTakesForSomethingElse) {
  for (const char* text :
       {"no",   "Yes",  "ON", "null", "~",  "true", "1",  "1.0",  "1e3", "0x10", "2026-01-01", "12:30", "- a",
        "a: b", "a #b", "#a", "*a",   "&a", "!a",   "%a", "@a",   "`a",  "[a",   "{a",         "a]",    "'a",
        "a\nb", " a",   "a ", "",     "=",  "<<",   "?",  ".inf", "-",   ".",    "NaN",        "é"}) {
    EXPECT_THAT(ToYaml(Category(text)), HasSubstr("description: \"")) << text;
  }
  for (const char* text :
       {"dsocr-standard-v1", "/home/u/r", "torch.nn.Linear", "one page", "deepseek-ai/DeepSeek-OCR"}) {
    EXPECT_THAT(ToYaml(Category(text)), HasSubstr(std::string("description: ") + text + "\n"));
  }
}

TEST(EnumWord, DropsThePrefixOfTheEnum) {
  EXPECT_EQ(EnumWord(*v1::VisionBackbone_descriptor()->FindValueByNumber(v1::VISION_BACKBONE_SAM_VIT_B)), "sam_vit_b");
  EXPECT_EQ(EnumWord(*v1::Bound_descriptor()->FindValueByNumber(v1::BOUND_L2)), "l2");
  EXPECT_EQ(EnumWord(*v1::RunState_descriptor()->FindValueByNumber(v1::RUN_STATE_DONE)), "done");
}

class RoundTrip : public ::testing::TestWithParam<Format> {
 protected:
  std::string Write(const google::protobuf::Message& message) const {
    return GetParam() == Format::kJson ? ToJson(message) : ToYaml(message);
  }
};

TEST_P(RoundTrip, GivesAnEqualReportAndTheSameBytes) {
  for (const v1::AnalyticModelReport& report :
       {SampleReport(), SampleGpuReport(), PredictedOnly(), v1::AnalyticModelReport::default_instance()}) {
    const std::string text = Write(report);
    v1::AnalyticModelReport read;
    ASSERT_EQ(Parse(text, GetParam(), /*allow_unknown=*/false, &read), absl::OkStatus());
    EXPECT_TRUE(MessageDifferencer::Equals(report, read));
    EXPECT_EQ(Write(read), text);
  }
}

TEST_P(RoundTrip, KeepsEveryCharacter) {
  std::string all;
  for (char32_t c = 0; c < 0x3000; ++c) {
    if (c < 0x80) {
      all += static_cast<char>(c);
    } else if (c < 0x800) {
      all += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
    } else {
      all += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
              static_cast<char>(0x80 | (c & 0x3F))};
    }
  }
  for (const std::string& text :
       {all, std::string("\uFEFF\uFFFE\uFFFF\U0001F600\U0010FFFF"), std::string("'\"\\u0041")}) {
    v1::OperatorCategory read;
    ASSERT_EQ(Parse(Write(Category(text)), GetParam(), false, &read), absl::OkStatus());
    EXPECT_EQ(read.description(), text);
  }
}

TEST_P(RoundTrip, KeepsTheTypeOfParameters) {
  v1::AnalyticModuleNode node;
  auto& params = *node.mutable_constructor_params();
  params["float"].set_float_value(3);
  params["tiny"].set_float_value(1e-300);
  params["int"].set_int_value(std::numeric_limits<int64_t>::min());
  params["text"].set_string_value("3");
  params["bool"].set_bool_value(false);
  params["key: with, odd\ncharacters"].set_string_value("null");
  v1::AnalyticModuleNode read;
  ASSERT_EQ(Parse(Write(node), GetParam(), false, &read), absl::OkStatus());
  EXPECT_TRUE(MessageDifferencer::Equals(node, read));
}

INSTANTIATE_TEST_SUITE_P(Formats, RoundTrip, ::testing::Values(Format::kJson, Format::kYaml),
                         [](const auto& info) { return info.param == Format::kJson ? "Json" : "Yaml"; });

}  // namespace
}  // namespace dsocr::document
