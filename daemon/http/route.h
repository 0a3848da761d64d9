// The endpoints, in one table: the router and /openapi.json both come from it.
#ifndef DSOCR_DAEMON_HTTP_ROUTE_H_
#define DSOCR_DAEMON_HTTP_ROUTE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace dsocr::http {

enum class Endpoint { kRun, kSummary, kModel, kMetrics, kHealth, kOpenApi };

struct Route {
  Endpoint endpoint;
  std::string_view method;
  std::string_view path;  // "{report_id}" stands for one segment
  std::string_view operation_id;
  std::string_view summary;
  std::string_view description;
  int success;                // HTTP status
  std::vector<int> refusals;  // every other one that the endpoint itself may answer
};

const std::vector<Route>& Routes();

struct Match {
  const Route* route = nullptr;  // null: no such path, or `allow` says which methods it has
  std::string report_id;         // decoded; empty where the path has none
  std::string allow;             // "GET, HEAD"; empty: no such path
};

// HEAD goes where GET goes. The query is not looked at: no endpoint takes one. INVALID_ARGUMENT for a target that is no
// path or is badly percent-encoded.
absl::StatusOr<Match> FindRoute(std::string_view method, std::string_view target);

}  // namespace dsocr::http

#endif  // DSOCR_DAEMON_HTTP_ROUTE_H_
