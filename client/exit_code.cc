#include "client/exit_code.h"

#include <string_view>

#include "fmt/format.h"

namespace dsocr::client {
namespace {

// gRPC's own UNAVAILABLE has no details; the daemon's statuses carry an ErrorInfo.
bool IsTransportFailure(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE && status.error_details().empty();
}

}  // namespace

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitDone;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kAlreadyExists:  // a run id or an output file that is there
      return kExitUsage;
    case absl::StatusCode::kNotFound:
      return kExitNoSuchThing;
    case absl::StatusCode::kUnavailable:
      return kExitUnreachable;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return kExitNotPermitted;
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
      return kExitCancelled;
    default:
      return kExitFailed;
  }
}

std::string ErrorLine(const absl::Status& status) {
  std::string text(status.message().data(), status.message().size());
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    c = byte < 0x20 || byte == 0x7F ? ' ' : c;
  }
  return fmt::format("dsocrctl: error: {}\n", text);
}

absl::Status FromGrpc(const grpc::Status& status, const std::string& address) {
  if (status.ok()) {
    return absl::OkStatus();
  }
  if (IsTransportFailure(status)) {
    return absl::UnavailableError(
        fmt::format("dsocrd at {}: not reachable; 'dsocrctl status' shows whether it runs", address));
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED && status.error_details().empty()) {
    return absl::DeadlineExceededError(
        fmt::format("dsocrd at {}: no answer in time; give it longer with --timeout", address));
  }
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED && status.error_details().empty()) {
    return absl::UnimplementedError(
        fmt::format("dsocrd at {}: does not know this call; update it to the version of dsocrctl", address));
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace dsocr::client
