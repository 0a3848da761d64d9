// What every call has in common: it keeps the daemon awake, and its error gets its details.
#ifndef DSOCR_DAEMON_SERVICE_CALL_H_
#define DSOCR_DAEMON_SERVICE_CALL_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "base/status.h"
#include "daemon/ops/activity.h"
#include "daemon/run/plan.h"
#include "daemon/service/status.h"
#include "grpcpp/server_context.h"

namespace dsocr::service {

// Connections that came over the unix socket are handed to gRPC as descriptors, and are called "fd:N"; their peer was
// the daemon's user.
inline run::Caller CallerOf(const grpc::ServerContext& context) {
  return context.peer().starts_with("fd:") ? run::Caller::kSameUser : run::Caller::kRemote;
}

// `body` returns absl::Status.
template <typename Body>
grpc::Status Call(ops::Activity* activity, Body&& body) {
  const ops::Activity::Scope scope(activity);
  return ToGrpc(std::forward<Body>(body)());
}

// `body` returns absl::StatusOr<Message>.
template <typename Message, typename Body>
grpc::Status Answer(ops::Activity* activity, Message* response, Body&& body) {
  return Call(activity, [&]() -> absl::Status {
    DSOCR_ASSIGN_OR_RETURN(*response, std::forward<Body>(body)());
    return absl::OkStatus();
  });
}

}  // namespace dsocr::service

#endif  // DSOCR_DAEMON_SERVICE_CALL_H_
