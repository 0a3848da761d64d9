// The HTTP listener over the parts of the daemon: the same functions as gRPC's services, other clothes.
#ifndef DSOCR_DAEMON_SERVICE_HTTP_ENDPOINT_H_
#define DSOCR_DAEMON_SERVICE_HTTP_ENDPOINT_H_

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "daemon/collect/collector.h"
#include "daemon/http/api.h"
#include "daemon/http/metrics.h"
#include "daemon/http/server.h"
#include "daemon/ops/activity.h"
#include "daemon/run/plan.h"
#include "daemon/run/run_manager.h"
#include "daemon/service/catalog_service.h"
#include "daemon/store/store.h"

namespace dsocr::service {

// What the endpoints need; borrowed.
struct HttpParts {
  run::Planner* planner;
  run::RunManager* runs;
  store::Store* store;
  collect::Collector* collector;
  CatalogService* catalog;
  ops::Activity* activity;
};

// Thread-safe, but for Start and Stop.
class HttpEndpoint {
 public:
  explicit HttpEndpoint(const HttpParts& parts) : parts_(parts) {}

  // Serves when it returns. Errors are http::Server::Listen's and the store's.
  absl::Status Start(const std::string& address);
  const std::string& address() const { return server_->address(); }  // REQUIRES: started

  // /healthz says from now on that the daemon is going.
  void Drain() { is_draining_ = true; }
  void Stop();

  http::CallLog* calls() { return &calls_; }

 private:
  http::Services MakeServices();
  absl::Status Health() const;
  http::Figures TakeFigures() const;

  const HttpParts parts_;
  const absl::Time started_ = absl::Now();
  std::atomic<bool> is_draining_ = false;
  http::CallLog calls_;
  std::unique_ptr<http::Api> api_;
  std::unique_ptr<http::Server> server_;  // the last: its threads use all of the above
};

}  // namespace dsocr::service

#endif  // DSOCR_DAEMON_SERVICE_HTTP_ENDPOINT_H_
