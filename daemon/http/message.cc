#include "daemon/http/message.h"

#include "nlohmann/json.hpp"

namespace dsocr::http {

Response Refuse(int status, std::string_view reason, std::string_view message) {
  using Json = nlohmann::ordered_json;
  const Json body = {{"error", {{"code", status}, {"message", message}, {"reason", reason}}}};
  Response response;
  response.status = status;
  // What a client sent may stand in the message, and need not be UTF-8.
  response.body = body.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  return response;
}

Response Refuse(const absl::Status& error) {
  return Refuse(HttpStatusOf(error.code()), absl::StatusCodeToString(error.code()), std::string(error.message()));
}

int HttpStatusOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kCancelled:  // the daemon ends before the call does
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

}  // namespace dsocr::http
