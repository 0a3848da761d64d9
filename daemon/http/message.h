// One HTTP request and its response, as the endpoints see them: no socket, no bytes on the wire.
#ifndef DSOCR_DAEMON_HTTP_MESSAGE_H_
#define DSOCR_DAEMON_HTTP_MESSAGE_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace dsocr::http {

inline constexpr std::string_view kJson = "application/json";

struct Request {
  std::string method;  // as sent: "GET", or whatever a client thinks of
  std::string target;  // as sent: "/metrics?x=1"
  std::string host;    // the Host header; empty: none
  std::string content_type;
  std::string content_encoding;
  std::string body;
};

struct Response {
  int status = 200;
  std::string content_type{kJson};
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // beside Content-Type and those of the server
};

// {"error": {"code": 404, "message": "no report 'x': …", "reason": "NOT_FOUND"}}
Response Refuse(int status, std::string_view reason, std::string_view message);

// The same, of an error of the services: the reason is its canonical code, as in gRPC's ErrorInfo.
Response Refuse(const absl::Status& error);

// The HTTP status of a canonical code: NOT_FOUND is 404, INVALID_ARGUMENT 400, what contradicts the daemon's state 409.
int HttpStatusOf(absl::StatusCode code);

}  // namespace dsocr::http

#endif  // DSOCR_DAEMON_HTTP_MESSAGE_H_
