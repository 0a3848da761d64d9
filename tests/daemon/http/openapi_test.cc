#include "daemon/http/openapi.h"

#include <set>
#include <string>

#include "dsocr/v1/analytic.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/daemon/http/sample_services.h"

namespace dsocr::http {
namespace {

using Json = nlohmann::json;
using ::testing::Contains;
using ::testing::Not;

Json Document() { return Json::parse(OpenApiDocument(SampleVocabulary(), "1.2.3")); }

Json Schema(const std::string& name) { return Document().at("components").at("schemas").at(name); }

std::set<std::string> References(const Json& node) {
  std::set<std::string> found;
  if (node.is_object() && node.contains("$ref")) {
    found.insert(node.at("$ref").get<std::string>());
  }
  if (node.is_structured()) {
    for (const Json& child : node) {
      found.merge(References(child));
    }
  }
  return found;
}

TEST(OpenApiTest, EveryReferenceResolves) {
  const Json document = Document();
  for (const std::string& reference : References(document)) {
    EXPECT_TRUE(document.contains(Json::json_pointer(reference.substr(1)))) << reference;
  }
}

TEST(OpenApiTest, WrittenDocumentsHaveEveryKeyOfTheirMessage) {
  const Json schema = Schema("DeepSeekOCRAnalyticReportSummary");
  const google::protobuf::Descriptor& type = *v1::DeepSeekOCRAnalyticReportSummary::descriptor();
  ASSERT_EQ(schema.at("required").size(), static_cast<size_t>(type.field_count()));
  for (int i = 0; i < type.field_count(); ++i) {
    EXPECT_TRUE(schema.at("properties").contains(type.field(i)->name()));
    EXPECT_THAT(schema.at("required"), Contains(type.field(i)->name()));
  }
}

TEST(OpenApiTest, AbsentOptionalsAreNull) {
  EXPECT_EQ(Schema("DeepSeekOCRAnalyticReportSummary").at("properties").at("measured_total_time_ms").at("type"),
            Json::parse(R"(["number", "null"])"));
  EXPECT_EQ(Schema("DeepSeekOCRAnalyticModel").at("properties").at("workload"),
            Json::parse(R"({"anyOf": [{"$ref": "#/components/schemas/OCRWorkloadProfile"}, {"type": "null"}]})"));
  EXPECT_EQ(Schema("DeepSeekOCRAnalyticReportSummary").at("properties").at("notes").at("type"), "string");
}

TEST(OpenApiTest, EnumsAreTheWordsOfDocuments) {
  EXPECT_EQ(Schema("AnalyticModuleSummary").at("properties").at("stage").at("enum"),
            Json::parse(R"(["vision", "projector", "prefill", "decode", "other"])"));
}

TEST(OpenApiTest, RequestsTakeNoOtherKeyAndSayTheirLimits) {
  EXPECT_EQ(Schema("DeepSeekOCRAnalyticRequest").at("additionalProperties"), false);
  const Json base_size = Schema("WorkloadOverridesInput").at("properties").at("base_size");
  EXPECT_EQ(base_size.at("minimum"), 16);
  EXPECT_EQ(base_size.at("maximum"), 8192);
  EXPECT_EQ(base_size.at("multipleOf"), 16);
  EXPECT_EQ(Schema("DeepSeekOCRAnalyticRequest").at("properties").at("dtype").at("enum"),
            Json::parse(R"(["", "fp32", "bf16"])"));
}

TEST(OpenApiTest, ReadAndWrittenFormOfOneMessageAreTwoSchemas) {
  EXPECT_THAT(Schema("OCRWorkloadProfileInput").at("required"), Not(Contains("batch")));
  EXPECT_THAT(Schema("OCRWorkloadProfile").at("required"), Contains("batch"));
}

TEST(OpenApiTest, ShapesAndParametersAreBareValues) {
  const Json properties = Schema("AnalyticModuleNode").at("properties");
  EXPECT_EQ(properties.at("input_shapes").at("items").at("type"), "array");
  EXPECT_EQ(properties.at("constructor_params").at("additionalProperties").at("type"),
            Json::parse(R"(["integer", "number", "string", "boolean"])"));
}

TEST(OpenApiTest, IdOfAnAcceptedReportLeadsToItsDocuments) {
  const Json links =
      Document().at("paths").at("/analytic/deepseek-ocr/run").at("post").at("responses").at("202").at("links");
  EXPECT_EQ(links.at("getReportSummary").at("parameters").at("report_id"), "$response.body#/report_id");
  EXPECT_TRUE(links.contains("getReportModel"));
}

}  // namespace
}  // namespace dsocr::http
