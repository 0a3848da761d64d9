// Counts the gRPC calls of a server in a CallLog: by method and code, with their duration.
#ifndef DSOCR_DAEMON_SERVICE_CALL_OBSERVER_H_
#define DSOCR_DAEMON_SERVICE_CALL_OBSERVER_H_

#include <memory>
#include <vector>

#include "daemon/http/metrics.h"
#include "grpcpp/support/server_interceptor.h"

namespace dsocr::service {

// What grpc::ServerBuilder takes as interceptors. `calls` must outlive the server.
std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> ObserveCalls(http::CallLog* calls);

}  // namespace dsocr::service

#endif  // DSOCR_DAEMON_SERVICE_CALL_OBSERVER_H_
