#include <map>
#include <optional>
#include <string>

#include "base/status.h"
#include "client/child_process.h"
#include "client/command/commands.h"
#include "client/command/recording_flags.h"
#include "client/command/request.h"
#include "client/command/watch.h"
#include "client/output_file.h"
#include "client/render/print.h"
#include "client/session.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

// The document of --out: as -o says, else by the file's name.
std::string FormatOfOut(const CommandLine& line) {
  if (line.Has("--output")) {
    return line.Text("--output");
  }
  return document::FormatOfFileName(line.Text("--out")) == document::Format::kYaml ? "yaml" : "json";
}

// The run is not waited for any more: the daemon need not keep a session for it.
void Abandon(Daemon& daemon, const std::string& run_id) {
  v1::GetRunRequest request;
  request.set_run_id(run_id);
  daemon.Call(&v1::ProfileService::Stub::CancelRun, request).status().IgnoreError();
}

absl::Status DeliverReport(Session& session, Daemon& daemon, const std::string& report_id,
                           std::optional<OutputFile> file) {
  v1::GetReportRequest request;
  request.set_report_id(report_id);
  DSOCR_ASSIGN_OR_RETURN(const v1::AnalyticModelReport report,
                         daemon.Call(&v1::AnalyticService::Stub::GetReport, request));
  if (!file) {
    session.io().Err(RenderReport(report, session.output(), /*has_color=*/false));
    return absl::OkStatus();
  }
  DSOCR_RETURN_IF_ERROR(file->Write(RenderReport(report, FormatOfOut(session.line()), /*has_color=*/false)));
  return file->Commit();
}

absl::StatusOr<int> Launch(Session& session) {
  const CommandLine& line = session.line();
  DSOCR_ASSIGN_OR_RETURN(const double overhead_budget, OverheadBudget(line));
  DSOCR_ASSIGN_OR_RETURN(std::string module_map, ModuleMap(line, session.io()));
  std::optional<OutputFile> file;
  if (line.Has("--out")) {
    DSOCR_ASSIGN_OR_RETURN(OutputFile created,
                           OutputFile::Create(AbsolutePath(session.io(), line.Text("--out")), line.Has("--force")));
    file.emplace(std::move(created));
  }
  ChildProcess child;
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  v1::StartRunRequest start;
  for (const std::string& word : line.program) {
    start.mutable_launch()->add_command(word);
  }
  start.mutable_launch()->set_run_id(line.Text("--run-id"));
  start.mutable_launch()->set_artifacts_root(ArtifactsRoot(line, session.io()));
  start.mutable_launch()->set_overhead_budget(overhead_budget);
  start.mutable_launch()->set_depth(Depth(line));
  start.mutable_launch()->set_module_map(std::move(module_map));
  DSOCR_ASSIGN_OR_RETURN(const v1::StartRunResponse started, daemon->Call(&v1::ProfileService::Stub::StartRun, start));
  const std::map<std::string, std::string> environment(started.environment().begin(), started.environment().end());
  if (const absl::Status status = child.Start(line.program, environment); !status.ok()) {
    Abandon(*daemon, started.run_id());
    return status;
  }
  const int wait_status = child.Wait();

  v1::FinishLaunchRequest finish;
  finish.set_run_id(started.run_id());
  finish.set_wait_status(wait_status);
  const absl::StatusOr<v1::Run> run = daemon->Call(&v1::ProfileService::Stub::FinishLaunch, finish);
  absl::Status delivered = run.ok() ? StatusOf(*run) : run.status();
  if (delivered.ok()) {
    delivered = DeliverReport(session, *daemon, run->report_id(), std::move(file));
  }
  if (const std::string failure = DescribeWaitStatus(wait_status); !failure.empty()) {
    return absl::InternalError(
        fmt::format("command '{}': {}; {}", line.program.front(), failure,
                    delivered.ok() ? fmt::format("its report is '{}'", run->report_id()) : "there is no report of it"));
  }
  DSOCR_RETURN_IF_ERROR(delivered);
  return kExitDone;
}

}  // namespace

Command LaunchCommand() {
  return {.name = "launch",
          .arguments = "[FLAGS] -- CMD [ARG…]",
          .summary = "run any command under the profiler's agent; its stdout stays its own",
          .examples =
              "  dsocrctl launch -- python ocr.py page.png\n"
              "  dsocrctl launch --out report.json -- ./my_libtorch_job --batch 4\n"
              "  dsocrctl launch --overhead-budget 1% -- python serve.py\n",
          .takes_program = true,
          .outputs = kAllOutputs,
          .flags = {{"--out", ValueKind::kPath, "FILE",
                     "report file, JSON or by -o or its .yaml name (default: a table on stderr)"},
                    {"--force", ValueKind::kSwitch, "", "overwrite an existing --out"},
                    {"--run-id", ValueKind::kText, "ID", "id of the run (default: made up)"},
                    ArtifactsDirFlag(),
                    DepthFlag(),
                    ModuleMapFlag(),
                    OverheadBudgetFlag()},
          .run = Launch};
}

}  // namespace dsocr::client
