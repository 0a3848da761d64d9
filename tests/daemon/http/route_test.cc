#include "daemon/http/route.h"

#include "gtest/gtest.h"

namespace dsocr::http {
namespace {

Match Find(std::string_view method, std::string_view target) {
  const absl::StatusOr<Match> match = FindRoute(method, target);
  EXPECT_TRUE(match.ok()) << match.status();
  return match.value_or(Match{});
}

TEST(RouteTest, EveryRouteIsFoundByItsOwnPath) {
  for (const Route& route : Routes()) {
    EXPECT_EQ(Find(route.method, route.path).route, &route) << route.path;
  }
}

TEST(RouteTest, PathMustBeWhole) {
  for (const char* path : {"/", "/healthz/", "//healthz", "/healthz/x", "/analytic/deepseek-ocr//summary",
                           "/analytic/deepseek-ocr/a/b/summary", "/Healthz"}) {
    const Match match = Find("GET", path);
    EXPECT_EQ(match.route, nullptr) << path;
    EXPECT_EQ(match.allow, "") << path;
  }
}

TEST(RouteTest, SlashInAnIdStaysInTheId) {
  EXPECT_EQ(Find("GET", "/analytic/deepseek-ocr/a%2Fb/model").report_id, "a/b");
}

TEST(RouteTest, BadTargetsAreRefused) {
  for (const char* target : {"", "*", "healthz", "http://localhost/healthz", "/a%", "/a%2", "/a%zz", "/a%+1"}) {
    EXPECT_EQ(FindRoute("GET", target).status().code(), absl::StatusCode::kInvalidArgument) << target;
  }
}

}  // namespace
}  // namespace dsocr::http
