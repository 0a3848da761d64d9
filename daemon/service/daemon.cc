#include "daemon/service/daemon.h"

#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "daemon/service/call_observer.h"
#include "fmt/format.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/server_builder.h"
#include "grpcpp/server_posix.h"

namespace dsocr::service {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
constexpr int kMaxRequestBytes = 4 << 20;  // uploads travel in chunks of 1 MiB; the rest is smaller
constexpr int kMaxThreads = 128;           // a call being served or a watcher holds one
// Calls that are still there after it are cut off: by then every run is recorded.
constexpr std::chrono::milliseconds kShutdownGrace{500};

// Where agents say hello: beside the first unix socket, else in the user's own socket directory.
std::string AgentSocketPath(const config::Config& config, const config::Surroundings& surroundings) {
  for (const std::string& address : config.listen) {
    if (const std::string path = address.substr(std::min(address.size(), kUnixPrefix.size())) + ".agent";
        address.starts_with(kUnixPrefix) && path.size() < sizeof(sockaddr_un::sun_path)) {
      return path;
    }
  }
  return fmt::format("{}/agent-{}.sock", config::DefaultSocketDir(surroundings), ::getpid());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(config::Config config, const config::Surroundings& surroundings,
                                                      ops::Log* log) {
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(config), log));
  DSOCR_RETURN_IF_ERROR(daemon->BindSockets(surroundings));
  DSOCR_RETURN_IF_ERROR(daemon->StartParts(surroundings));
  DSOCR_RETURN_IF_ERROR(daemon->StartServer());
  return daemon;
}

Daemon::~Daemon() { Stop(); }

// Sockets come first: of two daemons, the second one must not touch the store.
absl::Status Daemon::BindSockets(const config::Surroundings& surroundings) {
  for (const std::string& address : config_.Get()->listen) {
    if (!address.starts_with(kUnixPrefix)) {
      continue;
    }
    const std::string path = address.substr(kUnixPrefix.size());
    const std::string directory = std::filesystem::path(path).parent_path().string();
    const bool is_default = directory == config::DefaultSocketDir(surroundings);
    DSOCR_RETURN_IF_ERROR(ops::PrepareSocketDir(directory, surroundings.uid, /*must_be_private=*/is_default));
    DSOCR_ASSIGN_OR_RETURN(std::unique_ptr<ops::UnixListener> listener, ops::UnixListener::Bind(path));
    listeners_.push_back(std::move(listener));
    addresses_.push_back(address);
  }
  return absl::OkStatus();
}

absl::Status Daemon::StartParts(const config::Surroundings& surroundings) {
  const std::shared_ptr<const config::Config> config = config_.Get();
  machine_ = calibrate::Machine::Probe();
  DSOCR_ASSIGN_OR_RETURN(store_, store::Store::Open(config->store));
  const std::string agent_socket = AgentSocketPath(*config, surroundings);
  DSOCR_RETURN_IF_ERROR(ops::PrepareSocketDir(std::filesystem::path(agent_socket).parent_path().string(),
                                              surroundings.uid,
                                              /*must_be_private=*/false));
  DSOCR_ASSIGN_OR_RETURN(collector_, collect::Collector::Start(agent_socket, config->agent_path));
  planner_ = std::make_unique<run::Planner>(store_.get(), &config_, &machine_);
  runs_ = std::make_unique<run::RunManager>(run::ModelRunTools{.planner = planner_.get(),
                                                               .store = store_.get(),
                                                               .config = &config_,
                                                               .collector = collector_.get(),
                                                               .log = log_},
                                            &activity_);
  DSOCR_RETURN_IF_ERROR(runs_->Recover());
  analytic_ = std::make_unique<AnalyticService>(planner_.get(), runs_.get(), store_.get(), &activity_);
  profile_ = std::make_unique<ProfileService>(runs_.get(), &activity_);
  catalog_ = std::make_unique<CatalogService>(store_.get(), &machine_, planner_.get(), runs_.get(), &activity_);
  validation_ =
      std::make_unique<ValidationService>(planner_.get(), runs_.get(), store_.get(), &config_, &machine_, &activity_);
  if (!config->http.empty()) {
    http_ = std::make_unique<HttpEndpoint>(HttpParts{.planner = planner_.get(),
                                                     .runs = runs_.get(),
                                                     .store = store_.get(),
                                                     .collector = collector_.get(),
                                                     .catalog = catalog_.get(),
                                                     .activity = &activity_});
    DSOCR_RETURN_IF_ERROR(http_->Start(config->http));
  }
  return absl::OkStatus();
}

absl::Status Daemon::StartServer() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.SetResourceQuota(grpc::ResourceQuota("dsocrd").SetMaxThreads(kMaxThreads));
  std::vector<std::pair<std::string, std::unique_ptr<int>>> ports;
  for (const std::string& address : config_.Get()->listen) {
    if (!address.starts_with(kUnixPrefix)) {
      auto& [host, port] = ports.emplace_back(address.substr(0, address.rfind(':')), std::make_unique<int>(0));
      builder.AddListeningPort(address, grpc::InsecureServerCredentials(), port.get());
    }
  }
  for (grpc::Service* service :
       {static_cast<grpc::Service*>(analytic_.get()), static_cast<grpc::Service*>(profile_.get()),
        static_cast<grpc::Service*>(catalog_.get()), static_cast<grpc::Service*>(validation_.get())}) {
    builder.RegisterService(service);
  }
  if (http_ != nullptr) {  // who cannot ask for the counts need not pay for them
    builder.experimental().SetInterceptorCreators(ObserveCalls(http_->calls()));
  }
  server_ = builder.BuildAndStart();
  for (const auto& [host, port] : ports) {
    if (server_ == nullptr || *port == 0) {
      return absl::UnavailableError(
          fmt::format("listen '{}': the port cannot be served; is another program using it?", host));
    }
    addresses_.push_back(fmt::format("{}:{}", host, *port));
  }
  if (server_ == nullptr) {
    return absl::InternalError("gRPC server: it did not start; see the log");
  }
  if (http_ != nullptr) {
    addresses_.push_back(fmt::format("http://{}", http_->address()));
  }
  catalog_->SetAddresses(addresses_);
  for (const std::unique_ptr<ops::UnixListener>& listener : listeners_) {
    listener->Serve(
        [this](UniqueFd connection) { grpc::AddInsecureChannelFromFd(server_.get(), connection.release()); },
        [this](uid_t uid) { log_->Warning("connection refused: its uid is {}, not the daemon's", uid); });
  }
  return absl::OkStatus();
}

void Daemon::Drain() {
  runs_->Close();
  if (http_ != nullptr) {
    http_->Drain();
  }
}

bool Daemon::IsDrained() { return runs_->CountActive() == 0; }

void Daemon::Stop() {
  for (const std::unique_ptr<ops::UnixListener>& listener : listeners_) {
    listener->Stop();
  }
  if (http_ != nullptr) {
    http_->Stop();
  }
  if (runs_ != nullptr) {
    runs_->Stop();
  }
  if (server_ != nullptr) {
    server_->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
    server_.reset();
  }
}

}  // namespace dsocr::service
