// dsocrd as an object: everything wired, started in order, stopped in reverse.
#ifndef DSOCR_DAEMON_SERVICE_DAEMON_H_
#define DSOCR_DAEMON_SERVICE_DAEMON_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/calibrate/machine.h"
#include "daemon/collect/collector.h"
#include "daemon/config/current.h"
#include "daemon/config/paths.h"
#include "daemon/config/settings.h"
#include "daemon/ops/activity.h"
#include "daemon/ops/log.h"
#include "daemon/ops/unix_listener.h"
#include "daemon/run/plan.h"
#include "daemon/run/run_manager.h"
#include "daemon/service/analytic_service.h"
#include "daemon/service/catalog_service.h"
#include "daemon/service/http_endpoint.h"
#include "daemon/service/profile_service.h"
#include "daemon/service/validation_service.h"
#include "daemon/store/store.h"
#include "grpcpp/server.h"

namespace dsocr::service {

// Thread-safe, but for Stop.
class Daemon {
 public:
  // Serves when it returns. ALREADY_EXISTS: another daemon has one of the sockets; else the error of the part that
  // could not start. `log` must outlive the daemon.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(config::Config config, const config::Surroundings& surroundings,
                                                       ops::Log* log);
  ~Daemon();  // Stop()

  // Nothing new is accepted from now on; what goes on goes on.
  void Drain();
  bool IsDrained();  // no run goes on

  // Ends runs and calls. May be called again.
  void Stop();

  void Reload(config::Config config) { config_.Replace(std::move(config)); }
  absl::Duration IdleFor(absl::Time now) const { return activity_.IdleFor(now); }

  // Where it serves, ports filled in: "unix:/run/user/1000/dsocr/dsocrd.sock", "127.0.0.1:43211",
  // "http://127.0.0.1:8080".
  const std::vector<std::string>& addresses() const { return addresses_; }

 private:
  Daemon(config::Config config, ops::Log* log) : config_(std::move(config)), log_(log) {}
  absl::Status BindSockets(const config::Surroundings& surroundings);
  absl::Status StartParts(const config::Surroundings& surroundings);
  absl::Status StartServer();

  config::Current config_;
  ops::Log* const log_;
  ops::Activity activity_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<ops::UnixListener>> listeners_;
  calibrate::Machine machine_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<collect::Collector> collector_;
  std::unique_ptr<run::Planner> planner_;
  std::unique_ptr<run::RunManager> runs_;
  std::unique_ptr<AnalyticService> analytic_;
  std::unique_ptr<ProfileService> profile_;
  std::unique_ptr<CatalogService> catalog_;
  std::unique_ptr<ValidationService> validation_;
  std::unique_ptr<HttpEndpoint> http_;  // null: HTTP is off
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace dsocr::service

#endif  // DSOCR_DAEMON_SERVICE_DAEMON_H_
