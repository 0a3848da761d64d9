// dsocrd: predicts, runs and measures DeepSeek-OCR for its clients.
#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "daemon/config/command_line.h"
#include "daemon/config/settings.h"
#include "daemon/config/version.h"
#include "daemon/ops/log.h"
#include "daemon/ops/notify.h"
#include "daemon/ops/signals.h"
#include "daemon/service/daemon.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace dsocr {
namespace {

constexpr int kExitDone = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr absl::Duration kTick = absl::Seconds(1);  // how late idle exit may be
constexpr absl::Duration kDrainTick = absl::Milliseconds(50);
// Arenas beyond two cost resident memory and bring nothing: calls are short and few at a time.
constexpr int kMallocArenas = 2;

int Fail(const absl::Status& status) {
  fmt::print(stderr, "dsocrd: error: {}\n", std::string(status.message()));
  return absl::IsInvalidArgument(status) ? kExitUsage : kExitFailed;
}

class Process {
 public:
  Process(config::Invocation invocation, config::Surroundings surroundings, config::Resolved resolved)
      : invocation_(std::move(invocation)),
        surroundings_(std::move(surroundings)),
        resolved_(std::move(resolved)),
        log_(resolved_.config.log_file) {}

  int Run() {
    if (const absl::Status opened = log_.Reopen(); !opened.ok()) {
      return Fail(opened);
    }
    absl::StatusOr<std::unique_ptr<service::Daemon>> daemon =
        service::Daemon::Start(resolved_.config, surroundings_, &log_);
    if (!daemon.ok()) {
      return Fail(daemon.status());
    }
    log_.Info("dsocrd {} (pid {}) serves {}", config::kVersion, ::getpid(), fmt::join((*daemon)->addresses(), ", "));
    Notify("READY=1");
    ServeUntilTold(**daemon);
    Notify("STOPPING=1");
    Drain(**daemon);
    (*daemon)->Stop();
    log_.Info("dsocrd ended");
    return kExitDone;
  }

 private:
  void Notify(std::string_view state) {
    if (const auto socket = surroundings_.environment.find("NOTIFY_SOCKET");
        socket != surroundings_.environment.end()) {
      ops::Notify(socket->second, state);
    }
  }

  void ServeUntilTold(service::Daemon& daemon) {
    while (true) {
      switch (ops::WaitForSignal(kTick)) {
        case ops::Signal::kStop:
          log_.Info("told to stop");
          return;
        case ops::Signal::kReload:
          Reload(daemon);
          break;
        case ops::Signal::kNone:
          break;
      }
      if (daemon.IdleFor(absl::Now()) > resolved_.config.idle_exit) {
        log_.Info("idle for {}", absl::FormatDuration(resolved_.config.idle_exit));
        return;
      }
    }
  }

  // Until no run goes on, the deadline has passed, or a second signal comes.
  void Drain(service::Daemon& daemon) {
    daemon.Drain();
    const absl::Time deadline = absl::Now() + resolved_.config.drain_deadline;
    while (!daemon.IsDrained() && absl::Now() < deadline) {
      if (ops::WaitForSignal(kDrainTick) == ops::Signal::kStop) {
        log_.Warning("told to stop again: runs are cut off");
        return;
      }
    }
  }

  void Reload(service::Daemon& daemon) {
    Notify(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", MonotonicMicroseconds()));
    if (const absl::Status opened = log_.Reopen(); !opened.ok()) {
      log_.Error("reload: {}", std::string(opened.message()));
    }
    absl::StatusOr<config::Resolved> next = config::Resolve(invocation_.flags, invocation_.config_file, surroundings_);
    if (next.ok()) {
      const config::ReloadOutcome outcome = config::CompareForReload(resolved_, *next);
      log_.Info("reloaded: {}",
                outcome.taken.empty() ? "nothing changed" : fmt::format("{}", fmt::join(outcome.taken, ", ")));
      for (const std::string& key : outcome.refused) {
        log_.Warning("reload: {} changed, which needs a restart", key);
      }
      resolved_ = config::TakeReloadable(resolved_, *next);
      daemon.Reload(resolved_.config);
    } else {
      log_.Error("reload: the old configuration stays: {}", std::string(next.status().message()));
    }
    Notify("READY=1");
  }

  static int64_t MonotonicMicroseconds() {
    timespec now;
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return absl::ToInt64Microseconds(absl::DurationFromTimespec(now));
  }

  const config::Invocation invocation_;
  const config::Surroundings surroundings_;
  config::Resolved resolved_;
  ops::Log log_;
};

int Main(const std::vector<std::string>& arguments) {
  ::mallopt(M_ARENA_MAX, kMallocArenas);
  config::Surroundings surroundings = config::Surroundings::OfThisProcess();
  absl::StatusOr<config::Invocation> invocation = config::ParseCommandLine(arguments, surroundings);
  if (!invocation.ok()) {
    return Fail(invocation.status());
  }
  if (invocation->action == config::Action::kHelp) {
    fmt::print("{}", config::HelpText());
    return kExitDone;
  }
  if (invocation->action == config::Action::kVersion) {
    fmt::print("dsocrd {}\n", config::kVersion);
    return kExitDone;
  }
  absl::StatusOr<config::Resolved> resolved = config::Resolve(invocation->flags, invocation->config_file, surroundings);
  if (!resolved.ok()) {
    return Fail(resolved.status());
  }
  if (invocation->action == config::Action::kPrintConfig) {
    fmt::print("{}", config::PrintConfig(*resolved));
    return kExitDone;
  }
  if (invocation->action == config::Action::kCheckConfig) {
    fmt::print("configuration is valid\n");
    return kExitDone;
  }
  ops::BlockSignals();
  return Process(*std::move(invocation), std::move(surroundings), *std::move(resolved)).Run();
}

}  // namespace
}  // namespace dsocr

int main(int argc, char** argv) { return dsocr::Main(std::vector<std::string>(argv + 1, argv + argc)); }
