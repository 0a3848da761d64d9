#include "daemon/http/api.h"

#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "daemon/config/settings.h"
#include "daemon/http/openapi.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::http {
namespace {

constexpr std::string_view kElsewhere = "other";  // label of requests that no route takes: clients cannot add labels

// A Host is HOST or HOST:PORT; the port does not matter to who is meant.
absl::Status CheckHost(const std::string& host) {
  const size_t colon = host.rfind(':');
  const bool has_port = colon != std::string::npos && !host.ends_with(']');
  if (config::IsLoopback(absl::AsciiStrToLower(has_port ? host.substr(0, colon) : host))) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      fmt::format("host '{:.100}': not a name of this listener; ask localhost or 127.0.0.1", host));
}

// application/json, in UTF-8 if a charset is named.
bool IsJson(const std::string& content_type) {
  const std::string type = absl::AsciiStrToLower(content_type);
  const size_t semicolon = std::min(type.find(';'), type.size());
  if (absl::StripAsciiWhitespace(absl::string_view(type).substr(0, semicolon)) != kJson.data()) {
    return false;
  }
  const size_t charset = type.find("charset=", semicolon);
  return charset == std::string::npos || absl::StartsWith(absl::string_view(type).substr(charset), "charset=utf-8") ||
         absl::StartsWith(absl::string_view(type).substr(charset), "charset=\"utf-8\"");
}

Response Document(const google::protobuf::Message& message, int status = 200) {
  Response response;
  response.status = status;
  response.body = document::ToJson(message);
  return response;
}

template <typename Message>
Response DocumentOr(const absl::StatusOr<Message>& message) {
  return message.ok() ? Document(*message) : Refuse(message.status());
}

Response NoSuchPath(const Request& request) {
  return Refuse(absl::NotFoundError(
      fmt::format("no path '{:.100}': not one of this daemon; GET /openapi.json lists them", request.target)));
}

Response NoSuchMethod(const Request& request, const std::string& allow) {
  Response response =
      Refuse(405, "METHOD_NOT_ALLOWED",
             fmt::format("method {:.20}: not for '{:.100}'; use {}", request.method, request.target, allow));
  response.headers.emplace_back("Allow", allow);
  return response;
}

}  // namespace

Api::Api(Services services, Vocabulary vocabulary, std::string version, CallLog* calls)
    : services_(std::move(services)),
      vocabulary_(std::move(vocabulary)),
      openapi_(OpenApiDocument(vocabulary_, version)),
      calls_(calls) {}

Response Api::Handle(const Request& request) {
  const absl::Time start = absl::Now();
  std::string label(kElsewhere);
  Response response = Dispatch(request, &label);
  calls_->Add("http", label, std::to_string(response.status), absl::Now() - start);
  return response;
}

Response Api::Dispatch(const Request& request, std::string* label) {
  if (const absl::Status host = CheckHost(request.host); !host.ok()) {
    return Refuse(host);
  }
  const absl::StatusOr<Match> match = FindRoute(request.method, request.target);
  if (!match.ok()) {
    return Refuse(match.status());
  }
  if (match->route == nullptr) {
    return match->allow.empty() ? NoSuchPath(request) : NoSuchMethod(request, match->allow);
  }
  *label = fmt::format("{} {}", match->route->method, match->route->path);
  switch (match->route->endpoint) {
    case Endpoint::kRun:
      return Run(request);
    case Endpoint::kSummary:
      return DocumentOr(services_.summary(match->report_id));
    case Endpoint::kModel:
      return DocumentOr(services_.model(match->report_id));
    case Endpoint::kMetrics:
      return {.content_type = std::string(kMetricsContentType), .body = MetricsText(services_.figures(), *calls_)};
    case Endpoint::kHealth:
      if (const absl::Status health = services_.health(); !health.ok()) {
        return Refuse(503, "UNAVAILABLE", std::string(health.message()));
      }
      return {.body = "{\"status\": \"serving\"}\n"};
    case Endpoint::kOpenApi:
      return {.body = openapi_};
  }
  return NoSuchPath(request);
}

Response Api::Run(const Request& request) {
  const bool is_encoded =
      !request.content_encoding.empty() && !absl::EqualsIgnoreCase(request.content_encoding, "identity");
  if (!IsJson(request.content_type) || is_encoded) {
    return Refuse(
        415, "UNSUPPORTED_MEDIA_TYPE",
        fmt::format("content type '{:.100}': not {}; send JSON in UTF-8, unencoded", request.content_type, kJson));
  }
  v1::DeepSeekOCRAnalyticRequest message;
  if (const absl::Status parsed = document::ParsePartial(request.body, document::Format::kJson, &message);
      !parsed.ok()) {
    return Refuse(parsed);
  }
  const absl::StatusOr<v1::DeepSeekOCRAnalyticAccepted> accepted = services_.run_analytic(message);
  if (!accepted.ok()) {
    Response response = Refuse(accepted.status());
    if (response.status == 400 && IsWellFormed(message, vocabulary_)) {
      // Nothing is wrong with any one value: they contradict one another.
      response =
          Refuse(409, absl::StatusCodeToString(accepted.status().code()), std::string(accepted.status().message()));
    }
    return response;
  }
  Response response = Document(*accepted, 202);
  response.headers.emplace_back("Location", fmt::format("/analytic/deepseek-ocr/{}/summary", accepted->report_id()));
  return response;
}

}  // namespace dsocr::http
