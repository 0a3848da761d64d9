// How an error of ours travels: canonical code, the one-line message, and a google.rpc.ErrorInfo detail.
#ifndef DSOCR_DAEMON_SERVICE_STATUS_H_
#define DSOCR_DAEMON_SERVICE_STATUS_H_

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace dsocr::service {

// The ErrorInfo has domain "dsocr" and, as reason, the code's name ("INVALID_ARGUMENT"). An OK status stays OK.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace dsocr::service

#endif  // DSOCR_DAEMON_SERVICE_STATUS_H_
