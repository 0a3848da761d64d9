#include "client/session.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iterator>

#include "absl/time/clock.h"
#include "base/status.h"
#include "client/autostart.h"
#include "fmt/format.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"

namespace dsocr::client {
namespace {

constexpr int kMaxMessageBytes = 64 << 20;  // a full report is about 0.5 MB; a daemon gone mad must not fill our memory
constexpr int kBackoffMs = 20;              // a daemon that has just been started serves after about 10 ms
constexpr int kConnectMs = 3000;  // for one attempt, handshake and all: what gRPC means by the smallest backoff
constexpr absl::Duration kStartPatience = absl::Seconds(20);  // for as many as a daemon that was just started needs
constexpr size_t kMaxSecretBytes = 1 << 20;                   // certificates, keys and tokens are a few KiB

absl::StatusOr<std::string> ReadSecret(const CommandLine& line, std::string_view flag) {
  const std::string path = line.Text(flag);
  std::ifstream file(path, std::ios::binary);
  std::string text;
  text.resize(kMaxSecretBytes + 1);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.empty() || text.size() > kMaxSecretBytes) {
    return absl::InvalidArgumentError(
        fmt::format("{} '{}': not readable, empty or over 1 MiB; give a PEM or token file", flag, path));
  }
  return text;
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(const CommandLine& line) {
  if (line.Has("--tls-cert") != line.Has("--tls-key")) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key: one is missing; give both");
  }
  if (!line.Has("--tls-ca")) {
    if (line.Has("--tls-cert")) {
      return absl::InvalidArgumentError(
          "--tls-cert: no --tls-ca; give the certificates that the daemon's goes back to");
    }
    return grpc::InsecureChannelCredentials();
  }
  grpc::SslCredentialsOptions options;
  DSOCR_ASSIGN_OR_RETURN(options.pem_root_certs, ReadSecret(line, "--tls-ca"));
  if (line.Has("--tls-cert")) {
    DSOCR_ASSIGN_OR_RETURN(options.pem_cert_chain, ReadSecret(line, "--tls-cert"));
    DSOCR_ASSIGN_OR_RETURN(options.pem_private_key, ReadSecret(line, "--tls-key"));
  }
  return grpc::SslCredentials(options);
}

absl::StatusOr<std::string> ReadToken(const CommandLine& line, const Address& address) {
  if (!line.Has("--token-file")) {
    return "";
  }
  if (address.socket_path.empty() && !line.Has("--tls-ca")) {
    return absl::InvalidArgumentError(
        "--token-file: a token is not sent in clear text; add --tls-ca, or use a unix socket");
  }
  DSOCR_ASSIGN_OR_RETURN(std::string token, ReadSecret(line, "--token-file"));
  token.erase(token.find_last_not_of(" \t\r\n") + 1);
  return token;
}

std::shared_ptr<grpc::Channel> MakeChannel(const Address& address,
                                           const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // a daemon is never behind one
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kBackoffMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);
  if (!address.socket_path.empty()) {
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");  // a path is no host name
  }
  return grpc::CreateCustomChannel(address.target, credentials, arguments);
}

}  // namespace

Daemon::Daemon(std::shared_ptr<grpc::Channel> channel, std::string address, std::string token, absl::Time deadline)
    : address_(std::move(address)),
      token_(std::move(token)),
      deadline_(deadline),
      analytic_(v1::AnalyticService::NewStub(channel)),
      profile_(v1::ProfileService::NewStub(channel)),
      catalog_(v1::CatalogService::NewStub(channel)),
      validation_(v1::ValidationService::NewStub(channel)) {}

std::unique_ptr<grpc::ClientContext> Daemon::NewContext() const {
  auto context = std::make_unique<grpc::ClientContext>();
  if (deadline_ != absl::InfiniteFuture()) {
    context->set_deadline(absl::ToChronoTime(deadline_));
  }
  if (!token_.empty()) {
    context->AddMetadata("authorization", fmt::format("Bearer {}", token_));
  }
  return context;
}

Session::Session(const CommandLine& line, Io& io) : line_(line), io_(io), is_quiet_(line.Has("-q")) {
  const auto& outputs = line.command->outputs;
  output_ = line.Text("--output", outputs.empty() ? "" : outputs.front());
  const std::string color = line.Text("--color", "auto");
  out_has_color_ = color == "always" || (color == "auto" && io.out_is_terminal && !io.Env("NO_COLOR"));
  const std::optional<absl::Duration> timeout = line.Duration("--timeout");
  deadline_ = timeout ? absl::Now() + *timeout : absl::InfiniteFuture();
}

void Session::Say(std::string_view text) {
  if (!is_quiet_) {
    io_.Err(text);
  }
}

absl::StatusOr<Daemon*> Session::Connect(bool may_start) {
  if (daemon_ != nullptr) {
    return daemon_.get();
  }
  DSOCR_ASSIGN_OR_RETURN(const Address address, ResolveAddress(line_, io_));
  DSOCR_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ChannelCredentials> credentials, MakeCredentials(line_));
  DSOCR_ASSIGN_OR_RETURN(std::string token, ReadToken(line_, address));
  const bool is_served = address.socket_path.empty() || IsServed(address.socket_path);
  if (!is_served) {
    if (!may_start || !address.may_be_started) {
      return absl::UnavailableError(fmt::format("dsocrd at {}: nobody serves there; start it with 'dsocrd --listen {}'",
                                                address.text, address.text));
    }
    const std::string log_file = StateDir(io_) + "/dsocrd.log";
    Say(fmt::format("dsocrctl: starting dsocrd at {}, log in {}\n", address.text, log_file));
    DSOCR_RETURN_IF_ERROR(StartDaemon(
        {.program = io_.executable_dir + "/dsocrd", .socket_path = address.socket_path, .log_file = log_file}));
  }
  const std::shared_ptr<grpc::Channel> channel = MakeChannel(address, credentials);
  if (!is_served) {
    // Its socket is there before its store is open, which takes a busy machine longer than an attempt to connect may.
    channel->WaitForConnected(absl::ToChronoTime(std::min(deadline_, absl::Now() + kStartPatience)));
  }
  daemon_ = std::make_unique<Daemon>(channel, address.text, std::move(token), deadline_);
  return daemon_.get();
}

}  // namespace dsocr::client
