#include "client/command/watch.h"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

constexpr absl::Duration kCancelPatience = absl::Seconds(2);  // a daemon that does not answer must not hold Ctrl-C

std::string StateWord(v1::RunState state) {
  const auto* value = v1::RunState_descriptor()->FindValueByNumber(state);
  return value == nullptr ? "running" : document::EnumWord(*value);
}

bool IsFinal(v1::RunState state) {
  return state == v1::RUN_STATE_DONE || state == v1::RUN_STATE_FAILED || state == v1::RUN_STATE_CANCELLED;
}

}  // namespace

absl::StatusOr<std::string> WatchReport(Daemon& daemon, const std::string& report_id) {
  v1::GetReportRequest request;
  request.set_report_id(report_id);
  const std::unique_ptr<grpc::ClientContext> context = daemon.NewContext();
  const auto reader = daemon.analytic().WatchReport(context.get(), request);
  v1::ReportEvent event;
  while (reader->Read(&event)) {
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) {
    return daemon.Translate(status);
  }
  if (event.state() != v1::REPORT_STATE_READY) {
    return absl::InternalError(
        event.message().empty() ? fmt::format("report '{}': it was not built; try again", report_id) : event.message());
  }
  return event.artifacts_dir();
}

absl::Status StatusOf(const v1::Run& run) {
  if (run.state() == v1::RUN_STATE_DONE) {
    return absl::OkStatus();
  }
  if (run.state() == v1::RUN_STATE_CANCELLED) {
    return absl::CancelledError(fmt::format("run '{}': cancelled; start it again with 'dsocrctl run'", run.run_id()));
  }
  const auto code = static_cast<absl::StatusCode>(run.error_code());
  return absl::Status(code == absl::StatusCode::kOk ? absl::StatusCode::kInternal : code,
                      run.error().empty()
                          ? fmt::format("run '{}': failed without a reason; see the daemon's log", run.run_id())
                          : run.error());
}

RunWatch::RunWatch(Session& session) : session_(session), interrupts_([this](int count) { OnInterrupt(count); }) {}

void RunWatch::OnInterrupt(int count) {
  Daemon* daemon = nullptr;
  std::string run_id;
  {
    absl::MutexLock lock(&mutex_);
    daemon = daemon_;
    run_id = run_id_;
    if (count > 1 && context_ != nullptr) {
      context_->TryCancel();  // the daemon does not answer
      return;
    }
  }
  if (daemon == nullptr) {
    session_.io().Err("dsocrctl: error: run: interrupted before it began; start it again\n");
    ::_exit(kExitCancelled);
  }
  Cancel(*daemon, run_id);
}

void RunWatch::Cancel(Daemon& daemon, const std::string& run_id) {
  v1::GetRunRequest request;
  request.set_run_id(run_id);
  v1::Run run;
  const std::unique_ptr<grpc::ClientContext> context = daemon.NewContext();
  context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kCancelPatience));
  const grpc::Status status = daemon.profile().CancelRun(context.get(), request, &run);
  if (!status.ok()) {
    absl::MutexLock lock(&mutex_);
    if (context_ != nullptr) {
      context_->TryCancel();
    }
  }
}

void RunWatch::ClearLine() {
  if (std::exchange(has_line_, false)) {
    session_.io().Err("\r\033[K");
  }
}

void RunWatch::Show(const v1::RunEvent& event) {
  const v1::RunState state = event.run().state();
  if (session_.shows_progress()) {
    ClearLine();
    if (!IsFinal(state)) {
      const std::string percent = event.has_progress() && std::isfinite(event.progress())
                                      ? fmt::format(" {:3.0f} %", 100 * event.progress())
                                      : "";
      session_.io().Err(fmt::format("{}{}  {}", StateWord(state), percent, event.message()));
      has_line_ = true;
    }
    return;
  }
  if (std::exchange(shown_state_, state) != state && !IsFinal(state)) {
    session_.Say(event.message().empty() ? fmt::format("dsocrctl: {}\n", StateWord(state))
                                         : fmt::format("dsocrctl: {}: {}\n", StateWord(state), event.message()));
  }
}

absl::StatusOr<v1::Run> RunWatch::Follow(Daemon& daemon, const std::string& run_id) {
  const std::unique_ptr<grpc::ClientContext> context = daemon.NewContext();
  {
    absl::MutexLock lock(&mutex_);
    daemon_ = &daemon;
    run_id_ = run_id;
    context_ = context.get();
  }
  v1::GetRunRequest request;
  request.set_run_id(run_id);
  const auto reader = daemon.profile().WatchRun(context.get(), request);
  v1::RunEvent event;
  while (reader->Read(&event)) {
    Show(event);
  }
  ClearLine();
  const grpc::Status status = reader->Finish();
  {
    absl::MutexLock lock(&mutex_);
    context_ = nullptr;
  }
  if (interrupts_.was_interrupted() && event.run().state() != v1::RUN_STATE_DONE) {
    return absl::CancelledError(fmt::format("run '{}': cancelled by you; start it again with 'dsocrctl run'", run_id));
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    Cancel(daemon, run_id);
    return absl::DeadlineExceededError(
        fmt::format("run '{}': not done in time and cancelled; give it longer with --timeout", run_id));
  }
  if (!status.ok()) {
    return daemon.Translate(status);
  }
  const absl::Status run_status = StatusOf(event.run());
  if (!run_status.ok()) {
    return run_status;
  }
  return event.run();
}

}  // namespace dsocr::client
