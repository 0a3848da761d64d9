// What a command works with: its command line, the streams, and the daemon once it is needed.
#ifndef DSOCR_CLIENT_SESSION_H_
#define DSOCR_CLIENT_SESSION_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/address.h"
#include "client/command_line.h"
#include "client/exit_code.h"
#include "client/io.h"
#include "dsocr/v1/analytic.grpc.pb.h"
#include "dsocr/v1/catalog.grpc.pb.h"
#include "dsocr/v1/profile.grpc.pb.h"
#include "dsocr/v1/validation.grpc.pb.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"

namespace dsocr::client {

// One daemon, one channel. It connects with its first call.
class Daemon {
 public:
  Daemon(std::shared_ptr<grpc::Channel> channel, std::string address, std::string token, absl::Time deadline);

  // With the deadline of --timeout and the bearer token.
  std::unique_ptr<grpc::ClientContext> NewContext() const;

  // One request, one answer: daemon.Call(&v1::AnalyticService::Stub::GetReport, request).
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                const Request& request) {
    Response response;
    const std::unique_ptr<grpc::ClientContext> context = NewContext();
    const grpc::Status status = (*StubOf<Stub>().*method)(context.get(), request, &response);
    if (!status.ok()) {
      return Translate(status);
    }
    return response;
  }

  absl::Status Translate(const grpc::Status& status) const { return FromGrpc(status, address_); }
  absl::Time deadline() const { return deadline_; }
  v1::AnalyticService::Stub& analytic() { return *analytic_; }
  v1::ProfileService::Stub& profile() { return *profile_; }
  v1::CatalogService::Stub& catalog() { return *catalog_; }
  v1::ValidationService::Stub& validation() { return *validation_; }

 private:
  template <typename Stub>
  Stub* StubOf();

  std::string address_;
  std::string token_;
  absl::Time deadline_;
  std::unique_ptr<v1::AnalyticService::Stub> analytic_;
  std::unique_ptr<v1::ProfileService::Stub> profile_;
  std::unique_ptr<v1::CatalogService::Stub> catalog_;
  std::unique_ptr<v1::ValidationService::Stub> validation_;
};

template <>
inline v1::AnalyticService::Stub* Daemon::StubOf() {
  return analytic_.get();
}
template <>
inline v1::ProfileService::Stub* Daemon::StubOf() {
  return profile_.get();
}
template <>
inline v1::CatalogService::Stub* Daemon::StubOf() {
  return catalog_.get();
}
template <>
inline v1::ValidationService::Stub* Daemon::StubOf() {
  return validation_.get();
}

class Session {
 public:
  // Both must outlive the session.
  Session(const CommandLine& line, Io& io);

  const CommandLine& line() const { return line_; }
  Io& io() { return io_; }

  std::string_view output() const { return output_; }  // table, json, …
  bool out_has_color() const { return out_has_color_; }

  void Out(std::string_view text) { io_.Out(text); }
  // For people: nothing under -q.
  void Say(std::string_view text);
  bool shows_progress() const { return io_.err_is_terminal && !is_quiet_; }

  // The daemon; at the default address it is started where none is, unless --no-start was given. UNAVAILABLE where
  // there is none.
  absl::StatusOr<Daemon*> Connect() { return Connect(!line_.Has("--no-start")); }
  absl::StatusOr<Daemon*> ConnectWithoutStarting() { return Connect(false); }

 private:
  absl::StatusOr<Daemon*> Connect(bool may_start);

  const CommandLine& line_;
  Io& io_;
  std::string output_;
  bool is_quiet_;
  bool out_has_color_;
  absl::Time deadline_;
  std::unique_ptr<Daemon> daemon_;
};

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_SESSION_H_
