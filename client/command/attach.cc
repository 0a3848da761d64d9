#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "client/command/commands.h"
#include "client/command/recording_flags.h"
#include "client/command/request.h"
#include "client/command/watch.h"
#include "client/render/print.h"
#include "client/render/units.h"
#include "client/session.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

absl::StatusOr<int64_t> PidOf(const CommandLine& line) {
  int64_t pid = 0;
  if (!absl::SimpleAtoi(line.arguments.front(), &pid) || pid <= 0) {
    return absl::InvalidArgumentError(
        fmt::format("PID '{}': not a process id; 'dsocrctl ps' lists them", line.arguments.front()));
  }
  return pid;
}

v1::Route RouteOf(const CommandLine& line) {
  const std::string word = line.Text("--route");
  return word == "agent"    ? v1::ROUTE_AGENT
         : word == "inject" ? v1::ROUTE_INJECT
         : word == "kineto" ? v1::ROUTE_KINETO
                            : v1::ROUTE_UNSPECIFIED;
}

absl::StatusOr<v1::AttachRequest> RequestOf(const CommandLine& line, const Io& io) {
  v1::AttachRequest request;
  DSOCR_ASSIGN_OR_RETURN(const int64_t pid, PidOf(line));
  request.set_pid(pid);
  request.set_route(RouteOf(line));
  request.set_depth(Depth(line));
  request.set_duration_s(absl::ToDoubleSeconds(line.Duration("--duration").value_or(absl::ZeroDuration())));
  request.set_requests(line.Integer("--requests").value_or(0));
  if (line.Has("--requests") && request.requests() <= 0) {
    return absl::InvalidArgumentError(
        fmt::format("--requests {}: not positive; give how many are to be recorded", request.requests()));
  }
  DSOCR_ASSIGN_OR_RETURN(const double budget, OverheadBudget(line));
  request.set_overhead_budget(budget);
  request.set_children(line.Has("--children"));
  DSOCR_ASSIGN_OR_RETURN(std::string map, ModuleMap(line, io));
  request.set_module_map(std::move(map));
  request.set_run_id(line.Text("--run-id"));
  request.set_artifacts_root(ArtifactsRoot(line, io));
  return request;
}

std::string RouteWord(v1::Route route) { return document::EnumWord(*v1::Route_descriptor()->FindValueByNumber(route)); }

void Explain(Session& session, const v1::ExplainAttachResponse& explained) {
  for (const v1::RouteVerdict& verdict : explained.verdicts()) {
    session.io().Err(fmt::format("dsocrctl: {} {:<6} {}: {}\n", verdict.pid(), RouteWord(verdict.route()),
                                 verdict.is_possible() ? "yes" : "no ", verdict.why()));
  }
}

absl::StatusOr<int> Attach(Session& session) {
  const CommandLine& line = session.line();
  DSOCR_ASSIGN_OR_RETURN(const v1::AttachRequest request, RequestOf(line, session.io()));
  RunWatch watch(session, RunWatch::OnInterrupt::kDetach);
  if (line.Has("--watch")) {
    watch.ShowModules();
  }
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  if (line.Has("--explain")) {
    DSOCR_ASSIGN_OR_RETURN(const v1::ExplainAttachResponse explained,
                           daemon->Call(&v1::ProfileService::Stub::ExplainAttach, request));
    Explain(session, explained);
  }
  DSOCR_ASSIGN_OR_RETURN(const v1::AttachResponse attached, daemon->Call(&v1::ProfileService::Stub::Attach, request));
  session.Say(fmt::format("dsocrctl: attached to {} by route {}; {}\n", request.pid(), RouteWord(attached.route()),
                          request.duration_s() > 0 || request.requests() > 0
                              ? "Ctrl-C ends it sooner"
                              : fmt::format("Ctrl-C or 'dsocrctl detach {}' ends it", request.pid())));
  for (const std::string& note : attached.notes()) {
    session.Say(fmt::format("dsocrctl: note: {}\n", note));
  }
  DSOCR_ASSIGN_OR_RETURN(const v1::Run run, watch.Follow(*daemon, attached.run_id()));
  v1::GetReportRequest get;
  get.set_report_id(run.report_id());
  DSOCR_ASSIGN_OR_RETURN(const v1::AnalyticModelReport report,
                         daemon->Call(&v1::AnalyticService::Stub::GetReport, get));
  if (run.has_first_record_ms()) {
    session.Say(fmt::format("dsocrctl: first record after {}\n", HumanMs(run.first_record_ms())));
  }
  PrintPlace(session, run.report_id(), run.artifacts_dir());
  PrintReport(session, report);
  return kExitDone;
}

absl::StatusOr<int> Detach(Session& session) {
  v1::DetachRequest request;
  DSOCR_ASSIGN_OR_RETURN(const int64_t pid, PidOf(session.line()));
  request.set_pid(pid);
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  DSOCR_ASSIGN_OR_RETURN(const v1::Run run, daemon->Call(&v1::ProfileService::Stub::Detach, request));
  DSOCR_RETURN_IF_ERROR(StatusOf(run));
  session.Out(PlaceLines(run.report_id(), run.artifacts_dir()));
  return kExitDone;
}

}  // namespace

Command AttachCommand() {
  return {
      .name = "attach",
      .arguments = "[FLAGS] PID",
      .summary = "record a live job for a while, without restarting it, and leave no trace in it",
      .examples =
          "  dsocrctl attach 4711 --duration 10s        ten seconds of it, by module\n"
          "  dsocrctl attach 4711 --watch               its stages while it runs, until Ctrl-C\n"
          "  dsocrctl attach 4711 --depth all --requests 20 -o json > report.json\n"
          "  dsocrctl attach 4711 --overhead-budget 1%  for hours; 'dsocrctl detach 4711' ends it\n",
      .min_arguments = 1,
      .max_arguments = 1,
      .outputs = kAllOutputs,
      .flags = {{"--duration", ValueKind::kDuration, "DURATION", "how long (default: until Ctrl-C or detach)"},
                {"--requests", ValueKind::kInteger, "N", "until N are over: a prefill with its steps, or a root call"},
                {"--route",
                 ValueKind::kChoice,
                 "ROUTE",
                 "auto, agent, inject or kineto (default auto: the first that is possible)",
                 {"auto", "agent", "inject", "kineto"}},
                DepthFlag(),
                ModuleMapFlag(),
                {"--children", ValueKind::kSwitch, "", "its descendants that compute, too"},
                {"--watch", ValueKind::kSwitch, "", "show its modules on stderr, once a second"},
                {"--explain", ValueKind::kSwitch, "", "say first how each route is judged, on stderr"},
                OverheadBudgetFlag(),
                {"--run-id", ValueKind::kText, "ID", "id of the run (default: made up)"},
                ArtifactsDirFlag()},
      .run = Attach};
}

Command DetachCommand() {
  return {.name = "detach",
          .arguments = "PID",
          .summary = "end the recording of a live job; its report is built, the job goes on",
          .examples = "  dsocrctl detach 4711\n",
          .min_arguments = 1,
          .max_arguments = 1,
          .run = Detach};
}

}  // namespace dsocr::client
