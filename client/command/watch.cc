#include "client/command/watch.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "client/render/table.h"
#include "client/render/units.h"
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

std::string PlaceLines(const std::string& report_id, const std::string& artifacts_dir) {
  return fmt::format("report_id: {}\nartifacts_dir: {}\n", report_id, artifacts_dir);
}

void PrintPlace(Session& session, const std::string& report_id, const std::string& artifacts_dir) {
  const std::string lines = PlaceLines(report_id, artifacts_dir);
  if (session.output() == "table") {
    session.Out(lines + "\n");
  } else {
    session.Say(lines);
  }
}

RunWatch::RunWatch(Session& session, OnInterrupt on_interrupt)
    : session_(session), on_interrupt_(on_interrupt), interrupts_([this](int count) { Interrupt(count); }) {}

void RunWatch::Interrupt(int count) {
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

// A table that is drawn over itself on a terminal, and one after the other elsewhere.
void RunWatch::ShowLive(const v1::RunEvent& event) {
  constexpr int kMaxRows = 40;
  Table table;
  table.columns = {{"MODULE", "module_id"},
                   {"CALLS", "calls", true},
                   {"TIME", "device_time_ms", true},
                   {"SELF", "self_device_time_ms", true},
                   {"SHARE", "share", true}};
  double total_ms = 0;
  for (const v1::LiveModule& module : event.modules()) {
    total_ms += module.self_device_time_ms();
  }
  for (const v1::LiveModule& module : event.modules()) {
    if (static_cast<int>(table.rows.size()) == kMaxRows) {
      break;
    }
    table.rows.push_back(
        {Cell(std::string(2 * static_cast<size_t>(std::clamp(module.depth(), 0, 20)), ' ') + module.module_id()),
         Cell(fmt::format("{}", module.calls())), Cell(HumanMs(module.device_time_ms())),
         Cell(HumanMs(module.self_device_time_ms())),
         Cell(HumanShare(total_ms > 0 ? module.device_time_ms() / total_ms : 0))});
  }
  const std::string text =
      fmt::format("{}  {}\n", StateWord(event.run().state()), event.message()) + TableText(table, /*has_color=*/false);
  if (session_.shows_progress()) {
    if (shown_lines_ > 0) {
      session_.io().Err(fmt::format("\033[{}A\033[J", shown_lines_));
    }
    shown_lines_ = static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  }
  session_.Say(text);
}

void RunWatch::Show(const v1::RunEvent& event) {
  const v1::RunState state = event.run().state();
  if (shows_modules_ && event.modules_size() > 0) {
    ShowLive(event);
    return;
  }
  if (shown_lines_ > 0) {
    return;  // the table stays
  }
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
  if (interrupts_.was_interrupted() && on_interrupt_ == OnInterrupt::kCancel &&
      event.run().state() != v1::RUN_STATE_DONE) {
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
