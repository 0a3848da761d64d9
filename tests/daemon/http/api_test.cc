#include "daemon/http/api.h"

#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/daemon/http/sample_services.h"

namespace dsocr::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ApiTest : public ::testing::Test {
 protected:
  Response Ask(const Request& request) {
    Api api(services_, SampleVocabulary(), "1.2.3", &calls_);
    return api.Handle(request);
  }
  Response Get(const std::string& target) { return Ask({.method = "GET", .target = target, .host = "localhost:80"}); }
  Response Post(const std::string& body, const std::string& content_type = "application/json") {
    return Ask({.method = "POST",
                .target = "/analytic/deepseek-ocr/run",
                .host = "127.0.0.1:80",
                .content_type = content_type,
                .body = body});
  }

  Services services_ = SampleServices();
  CallLog calls_;
};

std::optional<std::string> HeaderOf(const Response& response, const std::string& name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) {
      return value;
    }
  }
  return std::nullopt;
}

nlohmann::json ErrorOf(const Response& response) { return nlohmann::json::parse(response.body).at("error"); }

TEST_F(ApiTest, RunIsAcceptedAndSaysWhereItsSummaryIs) {
  const Response response = Post(R"({"workload_profile_id": "dsocr-tiny-v1"})");
  EXPECT_EQ(response.status, 202);
  EXPECT_EQ(HeaderOf(response, "Location"), "/analytic/deepseek-ocr/r-1/summary");
  EXPECT_EQ(nlohmann::json::parse(response.body),
            nlohmann::json::parse(R"({"report_id": "r-1", "status": "running", "reused": false})"));
}

TEST_F(ApiTest, RequestReachesTheServiceAsItWasSent) {
  v1::DeepSeekOCRAnalyticRequest seen;
  services_.run_analytic = [&](const v1::DeepSeekOCRAnalyticRequest& request) {
    seen = request;
    return v1::DeepSeekOCRAnalyticAccepted();
  };
  Post(R"({"device": "h200-sxm", "force_rebuild": true, "profile_run_id": null, "workload": {"seq_len": 300}})");
  EXPECT_EQ(seen.device(), "h200-sxm");
  EXPECT_TRUE(seen.force_rebuild());
  EXPECT_FALSE(seen.has_profile_run_id());
  EXPECT_EQ(seen.workload().seq_len(), 300);
}

TEST_F(ApiTest, MalformedDocumentIsRefusedWithItsPath) {
  struct Case {
    std::string body;
    std::string fragment;
  };
  const Case cases[] = {{"", "document"},
                        {"{", "line 1"},
                        {"[]", "expected an object"},
                        {R"({"modle_id": "x"})", "modle_id: "},
                        {R"({"workload": {"seq_length": 1}})", "workload.seq_length"},
                        {R"({"workload": {"seq_len": "1"}})", "workload.seq_len: \"1\": expected an integer"},
                        {R"({"model_id": null})", "model_id"},
                        {"{\"model_id\": \"\xff\"}", "line 1"}};
  for (const Case& malformed : cases) {
    const Response response = Post(malformed.body);
    EXPECT_EQ(response.status, 400) << malformed.body;
    EXPECT_EQ(ErrorOf(response).at("code"), 400);
    EXPECT_EQ(ErrorOf(response).at("reason"), "INVALID_ARGUMENT");
    EXPECT_THAT(ErrorOf(response).at("message").get<std::string>(), HasSubstr(malformed.fragment));
  }
}

TEST_F(ApiTest, OnlyUnencodedJsonIsRead) {
  for (const char* type : {"", "text/plain", "application/x-www-form-urlencoded", "application/jsonp",
                           "application/json; charset=latin-1"}) {
    EXPECT_EQ(Post("{}", type).status, 415) << type;
  }
  for (const char* type : {"application/json", "Application/JSON ; charset=UTF-8"}) {
    EXPECT_EQ(Post("{}", type).status, 202) << type;
  }
  EXPECT_EQ(Ask({.method = "POST",
                 .target = "/analytic/deepseek-ocr/run",
                 .host = "localhost",
                 .content_type = "application/json",
                 .content_encoding = "gzip",
                 .body = "{}"})
                .status,
            415);
}

TEST_F(ApiTest, WellFormedValuesThatContradictOneAnotherAreAConflict) {
  services_.run_analytic = [](const auto&) -> absl::StatusOr<v1::DeepSeekOCRAnalyticAccepted> {
    return absl::InvalidArgumentError("seq_len 10: the image alone takes 73 tokens; give at least 74");
  };
  const Response conflict = Post(R"({"workload": {"seq_len": 10}})");
  EXPECT_EQ(conflict.status, 409);
  EXPECT_EQ(ErrorOf(conflict).at("reason"), "INVALID_ARGUMENT");
  EXPECT_EQ(Post(R"({"workload": {"seq_len": 0}})").status, 400);
}

TEST_F(ApiTest, ErrorsOfTheServicesKeepTheirReason) {
  EXPECT_EQ(ErrorOf(Get("/analytic/deepseek-ocr/r-2/summary")).at("reason"), "NOT_FOUND");
  const std::pair<absl::StatusCode, int> cases[] = {
      {absl::StatusCode::kNotFound, 404},           {absl::StatusCode::kAlreadyExists, 409},
      {absl::StatusCode::kFailedPrecondition, 409}, {absl::StatusCode::kPermissionDenied, 403},
      {absl::StatusCode::kResourceExhausted, 429},  {absl::StatusCode::kUnavailable, 503},
      {absl::StatusCode::kInternal, 500},           {absl::StatusCode::kDataLoss, 500}};
  for (const auto& [code, status] : cases) {
    services_.run_analytic = [code = code](const auto&) -> absl::StatusOr<v1::DeepSeekOCRAnalyticAccepted> {
      return absl::Status(code, "what: why; what to do");
    };
    const Response response = Post("{}");
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(ErrorOf(response).at("message"), "what: why; what to do");
  }
}

TEST_F(ApiTest, ReportIdIsDecoded) {
  EXPECT_EQ(Get("/analytic/deepseek-ocr/r%2D1/summary?x=1").status, 200);
  EXPECT_THAT(Get("/analytic/deepseek-ocr/a%2Fb%00%ff/summary").body, HasSubstr("NOT_FOUND"));
}

TEST_F(ApiTest, OtherMethodsAreToldWhichOnesThereAre) {
  const Response response = Ask({.method = "DELETE", .target = "/analytic/deepseek-ocr/run", .host = "localhost"});
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(HeaderOf(response, "Allow"), "POST");
  EXPECT_EQ(HeaderOf(Ask({.method = "PO ST", .target = "/metrics", .host = "localhost"}), "Allow"), "GET, HEAD");
  EXPECT_EQ(Ask({.method = "HEAD", .target = "/healthz", .host = "localhost"}).status, 200);
  EXPECT_EQ(Get("/").status, 404);
}

TEST_F(ApiTest, HostThatIsNotLoopbackIsRefused) {
  for (const char* host : {"", "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example",
                           "0.0.0.0", "localhost:80:80", "[::2]"}) {
    EXPECT_EQ(Ask({.method = "GET", .target = "/healthz", .host = host}).status, 403) << host;
  }
  for (const char* host : {"localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:80"}) {
    EXPECT_EQ(Ask({.method = "GET", .target = "/healthz", .host = host}).status, 200) << host;
  }
}

TEST_F(ApiTest, HealthIsThatOfTheServices) {
  EXPECT_EQ(Get("/healthz").status, 200);
  services_.health = [] { return absl::DataLossError("store: damaged"); };
  EXPECT_EQ(Get("/healthz").status, 503);
}

TEST_F(ApiTest, MetricsCountRequestsByRouteAndNeverByWhatAClientMadeUp) {
  Get("/healthz");
  Get("/xyzzy");
  Get("/analytic/deepseek-ocr/xyzzy/summary");
  const Response response = Get("/metrics");
  EXPECT_EQ(response.content_type, kMetricsContentType);
  EXPECT_THAT(response.body, HasSubstr("dsocrd_reports 4\n"));
  EXPECT_THAT(response.body, HasSubstr("dsocrd_build_info{version=\"1.2.3\"} 1\n"));
  EXPECT_THAT(response.body, HasSubstr("{transport=\"http\",method=\"GET /healthz\",code=\"200\"} 1\n"));
  EXPECT_THAT(response.body, HasSubstr("{transport=\"http\",method=\"other\",code=\"404\"} 1\n"));
  EXPECT_THAT(response.body, HasSubstr("method=\"GET /analytic/deepseek-ocr/{report_id}/summary\",code=\"404\"} 1\n"));
  EXPECT_THAT(response.body, Not(HasSubstr("xyzzy")));
}

}  // namespace
}  // namespace dsocr::http
