#include "daemon/http/openapi.h"

#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "daemon/http/message.h"
#include "daemon/http/metrics.h"
#include "daemon/http/route.h"
#include "daemon/http/schema.h"
#include "dsocr/v1/analytic.pb.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::http {
namespace {

struct Refusal {
  std::string_view name;  // in components.responses
  std::string_view reason;
  std::string_view description;
};

const std::map<int, Refusal>& Refusals() {
  static const auto& refusals = *new std::map<int, Refusal>{
      {400,
       {"BadRequest", "INVALID_ARGUMENT", "The request or its document is malformed; the message names the path."}},
      {403, {"Forbidden", "PERMISSION_DENIED", "The Host is not a name of this listener, or a file may not be read."}},
      {404, {"NotFound", "NOT_FOUND", "No such report, run, model, workload or device; the message suggests one."}},
      {409,
       {"Conflict", "FAILED_PRECONDITION",
        "Each value is well-formed, but they contradict one another or what the daemon has: a seq_len under the image "
        "tokens, crop mode with another image_size, a run_id that is taken."}},
      {413, {"TooLarge", "PAYLOAD_TOO_LARGE", "The body has over 1 MiB."}},
      {415, {"NotJson", "UNSUPPORTED_MEDIA_TYPE", "The body is not application/json in UTF-8, unencoded."}},
      {429, {"Exhausted", "RESOURCE_EXHAUSTED", "A limit of the daemon is reached, or its disk is full."}},
      {431, {"LargeHeader", "HEADER_TOO_LARGE", "The header has over 8 KiB."}},
      {500, {"Failed", "INTERNAL", "A fault of the daemon; its log says more."}},
      {503, {"Unavailable", "UNAVAILABLE", "The daemon is shutting down or its store is busy; try again."}},
  };
  return refusals;
}

Json ErrorSchema() {
  return {
      {"type", "object"},
      {"properties",
       {{"error",
         {{"type", "object"},
          {"properties",
           {{"code", {{"type", "integer"}, {"minimum", 400}, {"maximum", 599}, {"description", "The HTTP status."}}},
            {"message",
             {{"type", "string"}, {"description", "One line: what was wrong, why, and what to do about it."}}},
            {"reason", {{"type", "string"}, {"pattern", "^[A-Z_]+$"}, {"description", "For programs."}}}}},
          {"required", {"code", "message", "reason"}}}}}},
      {"required", Json::array({"error"})}};
}

Json HealthSchema() {
  return {{"type", "object"},
          {"properties", {{"status", {{"type", "string"}, {"enum", Json::array({"serving"})}}}}},
          {"required", Json::array({"status"})}};
}

Json RefusalResponse(int status, const Refusal& refusal) {
  const Json example = {{"error", {{"code", status}, {"message", refusal.description}, {"reason", refusal.reason}}}};
  return {{"description", refusal.description},
          {"content", {{kJson, {{"schema", {{"$ref", "#/components/schemas/Error"}}}, {"example", example}}}}}};
}

// What a report's id leads to, for readers and for testers that follow links.
Json Links() {
  Json links = Json::object();
  for (const Route& route : Routes()) {
    if (route.path.find("{report_id}") != std::string_view::npos) {
      links[route.operation_id] = {{"operationId", route.operation_id},
                                   {"parameters", {{"report_id", "$response.body#/report_id"}}}};
    }
  }
  return links;
}

v1::DeepSeekOCRAnalyticAccepted AcceptedExample() {
  v1::DeepSeekOCRAnalyticAccepted accepted;
  accepted.set_report_id("r-3f09c2a1b7e4");
  accepted.set_status(v1::REPORT_STATUS_RUNNING);
  return accepted;
}

// The content of a successful response.
Json SuccessContent(const Route& route, SchemaSet* schemas) {
  const auto written = [&](const google::protobuf::Descriptor* type) -> Json {
    return {{kJson, {{"schema", schemas->Refer(*type, Direction::kWritten)}}}};
  };
  switch (route.endpoint) {
    case Endpoint::kRun: {
      Json content = written(v1::DeepSeekOCRAnalyticAccepted::descriptor());
      content[std::string(kJson)]["example"] = Json::parse(document::ToJson(AcceptedExample()));
      return content;
    }
    case Endpoint::kSummary:
      return written(v1::DeepSeekOCRAnalyticReportSummary::descriptor());
    case Endpoint::kModel:
      return written(v1::DeepSeekOCRAnalyticModel::descriptor());
    case Endpoint::kMetrics:
      return {{kMetricsContentType, {{"schema", {{"type", "string"}}}}}};
    case Endpoint::kHealth:
      return {{kJson, {{"schema", HealthSchema()}}}};
    case Endpoint::kOpenApi:
      return {{kJson, {{"schema", {{"type", "object"}, {"required", {"openapi", "info", "paths"}}}}}}};
  }
  return Json::object();
}

Json Success(const Route& route, SchemaSet* schemas) {
  Json response = {{"description", route.summary}, {"content", SuccessContent(route, schemas)}};
  if (route.endpoint == Endpoint::kRun) {
    response["headers"] = {{"Location",
                            {{"description", "The report's summary."},
                             {"required", true},
                             {"schema", {{"type", "string"}, {"pattern", "^/analytic/deepseek-ocr/"}}}}}};
    response["links"] = Links();
  }
  return response;
}

Json RequestBody(SchemaSet* schemas) {
  const Json examples = {
      {"defaults", {{"summary", "The standard workload on the daemon's machine"}, {"value", Json::object()}}},
      {"gpu",
       {{"summary", "A GPU that need not be there"},
        {"value", {{"workload_profile_id", "dsocr-a4-v1"}, {"device", "h200-sxm"}, {"force_rebuild", true}}}}},
      {"overrides",
       {{"summary", "A longer prompt"},
        {"value",
         {{"workload_profile_id", "dsocr-tiny-v1"}, {"workload", {{"seq_len", 200}, {"max_new_tokens", 128}}}}}}},
  };
  const Json schema = schemas->Refer(*v1::DeepSeekOCRAnalyticRequest::descriptor(), Direction::kRead);
  return {{"required", true}, {"content", {{kJson, {{"schema", schema}, {"examples", examples}}}}}};
}

Json ReportIdParameter() {
  return {{"name", "report_id"},
          {"in", "path"},
          {"required", true},
          {"description", "An id, or latest for the report that was added last."},
          {"schema", {{"type", "string"}, {"minLength", 1}}},
          {"example", "latest"}};
}

Json Operation(const Route& route, SchemaSet* schemas) {
  Json operation = {{"operationId", route.operation_id}, {"summary", route.summary}};
  if (!route.description.empty()) {
    operation["description"] = route.description;
  }
  if (route.path.find("{report_id}") != std::string_view::npos) {
    operation["parameters"] = Json::array({ReportIdParameter()});
  }
  if (route.endpoint == Endpoint::kRun) {
    operation["requestBody"] = RequestBody(schemas);
  }
  operation["responses"][std::to_string(route.success)] = Success(route, schemas);
  for (const int status : route.refusals) {
    operation["responses"][std::to_string(status)] = {
        {"$ref", fmt::format("#/components/responses/{}", Refusals().at(status).name)}};
  }
  return operation;
}

}  // namespace

std::string OpenApiDocument(const Vocabulary& vocabulary, std::string_view version) {
  SchemaSet schemas(&vocabulary);
  Json paths = Json::object();
  for (const Route& route : Routes()) {
    paths[route.path][absl::AsciiStrToLower(std::string(route.method))] = Operation(route, &schemas);
  }
  Json responses = Json::object();
  for (const auto& [status, refusal] : Refusals()) {
    responses[refusal.name] = RefusalResponse(status, refusal);
  }
  Json components = schemas.components();
  components["Error"] = ErrorSchema();
  const Json document = {
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "dsocrd"},
        {"version", version},
        {"description",
         "Predictions of what DeepSeek-OCR costs, module by module. Documents are those of "
         "`dsocrctl`: every key is there, an absent optional is null."}}},
      {"servers", Json::array({{{"url", "/"}}})},
      {"paths", std::move(paths)},
      {"components", {{"schemas", std::move(components)}, {"responses", std::move(responses)}}},
  };
  return document.dump(2) + "\n";
}

}  // namespace dsocr::http
