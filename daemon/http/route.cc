#include "daemon/http/route.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "fmt/format.h"

namespace dsocr::http {
namespace {

constexpr std::string_view kReportId = "{report_id}";

std::vector<std::string_view> Segments(std::string_view path) {
  std::vector<std::string_view> segments;
  for (size_t begin = 1; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    segments.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return segments;
}

// RFC 3986, 2.1; nullopt for a '%' without two hex digits.
std::optional<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    unsigned byte = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2) {
      return std::nullopt;
    }
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

// Whether `segments` are those of `route`; its {report_id} goes to `report_id`.
bool Fits(const Route& route, const std::vector<std::string>& segments, std::string* report_id) {
  const std::vector<std::string_view> expected = Segments(route.path);
  if (expected.size() != segments.size()) {
    return false;
  }
  for (size_t i = 0; i < segments.size(); ++i) {
    if (expected[i] == kReportId && !segments[i].empty()) {
      *report_id = segments[i];
    } else if (expected[i] != segments[i]) {
      return false;
    }
  }
  return true;
}

}  // namespace

const std::vector<Route>& Routes() {
  static const auto& routes = *new std::vector<Route>{
      {Endpoint::kRun,
       "POST",
       "/analytic/deepseek-ocr/run",
       "runAnalytic",
       "Predict a workload",
       "Builds the report of a model, workload and device, or finds that of an equal request. Never runs the model. "
       "Every key may be left out. Over HTTP the artifacts go to the daemon's own directory.",
       202,
       {400, 403, 404, 409, 413, 415, 429, 431, 500, 503}},
      {Endpoint::kSummary,
       "GET",
       "/analytic/deepseek-ocr/{report_id}/summary",
       "getReportSummary",
       "Totals and heaviest modules of a report",
       "The ten leaves with the largest share of the time, largest first.",
       200,
       {400, 403, 404, 431, 500, 503}},
      {Endpoint::kModel,
       "GET",
       "/analytic/deepseek-ocr/{report_id}/model",
       "getReportModel",
       "Module tree and metrics of a report",
       "The tree is flat, depth-first, root first.",
       200,
       {400, 403, 404, 431, 500, 503}},
      {Endpoint::kMetrics,
       "GET",
       "/metrics",
       "getMetrics",
       "Metrics of the daemon",
       "In the text format of Prometheus.",
       200,
       {400, 403, 431, 503}},
      {Endpoint::kHealth,
       "GET",
       "/healthz",
       "getHealth",
       "Whether the daemon serves",
       "503 while it is shutting down, or when its store does not answer.",
       200,
       {400, 403, 431, 503}},
      {Endpoint::kOpenApi, "GET", "/openapi.json", "getOpenApi", "This document", "", 200, {400, 403, 431, 503}},
  };
  return routes;
}

absl::StatusOr<Match> FindRoute(std::string_view method, std::string_view target) {
  const std::string_view path = target.substr(0, target.find_first_of("?#"));
  if (!path.starts_with('/')) {
    return absl::InvalidArgumentError("target: it is no path; ask for one that starts with /");
  }
  std::vector<std::string> segments;
  for (const std::string_view segment : Segments(path)) {
    std::optional<std::string> decoded = PercentDecode(segment);
    if (!decoded) {
      return absl::InvalidArgumentError(
          "target: a '%' is not followed by two hex digits; write %25 for a percent sign");
    }
    segments.push_back(*std::move(decoded));
  }
  Match match;
  for (const Route& route : Routes()) {
    if (!Fits(route, segments, &match.report_id)) {
      continue;
    }
    const bool has_head = route.method == "GET";
    match.allow = has_head ? "GET, HEAD" : std::string(route.method);
    if (route.method == method || (has_head && method == "HEAD")) {
      match.route = &route;
    }
  }
  return match;
}

}  // namespace dsocr::http
