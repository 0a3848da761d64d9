#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "client/command/commands.h"
#include "client/command/recording_flags.h"
#include "client/command/request.h"
#include "client/command/watch.h"
#include "client/render/print.h"
#include "client/session.h"
#include "fmt/format.h"

namespace dsocr::client {
namespace {

// 32-bit in the request. Whether a value makes sense is the daemon's to say.
absl::StatusOr<int32_t> Int32Flag(const CommandLine& line, std::string_view flag, int32_t otherwise) {
  const int64_t value = line.Integer(flag).value_or(otherwise);
  if (value != static_cast<int32_t>(value)) {
    return absl::InvalidArgumentError(fmt::format("{} {}: out of range; give a small integer", flag, value));
  }
  return static_cast<int32_t>(value);
}

// Flags that cannot go together, and values that cannot be.
absl::Status CheckFlags(const CommandLine& line) {
  if (line.Has("--model") && line.Has("--random-weights")) {
    return absl::InvalidArgumentError("--random-weights: --model has weights of its own; give one of the two");
  }
  if (line.Has("--prompt") && !line.Has("--model")) {
    return absl::InvalidArgumentError("--prompt: only a model's own tokenizer can read it; add --model DIR");
  }
  if (line.Has("--analytic-only") && (line.Has("--image") || line.Has("--prompt"))) {
    return absl::InvalidArgumentError(
        "--analytic-only: it opens no image and no tokenizer; give --page WxH and --seq-len in place of --image and "
        "--prompt");
  }
  return OverheadBudget(line).status();
}

absl::StatusOr<v1::StartRunRequest> MakeRun(const CommandLine& line, const Io& io,
                                            v1::DeepSeekOCRAnalyticRequest request) {
  v1::StartRunRequest start;
  v1::ModelRun* run = start.mutable_model();
  *run->mutable_request() = std::move(request);
  run->set_random_seed(line.Integer("--random-weights").value_or(0));
  if (line.Has("--image")) {
    run->set_image_path(AbsolutePath(io, line.Text("--image")));
  }
  if (line.Has("--prompt")) {
    run->set_prompt(line.Text("--prompt"));
  }
  DSOCR_ASSIGN_OR_RETURN(const int32_t warmup, Int32Flag(line, "--warmup", 1));
  DSOCR_ASSIGN_OR_RETURN(const int32_t repeats, Int32Flag(line, "--repeats", 1));
  run->set_warmup(warmup);
  run->set_repeats(repeats);
  DSOCR_ASSIGN_OR_RETURN(const double overhead_budget, OverheadBudget(line));
  run->set_overhead_budget(overhead_budget);
  return start;
}

absl::StatusOr<int> PrintResult(Session& session, Daemon& daemon, const std::string& report_id,
                                const std::string& artifacts_dir) {
  v1::GetReportRequest get;
  get.set_report_id(report_id);
  DSOCR_ASSIGN_OR_RETURN(const v1::AnalyticModelReport report, daemon.Call(&v1::AnalyticService::Stub::GetReport, get));
  PrintPlace(session, report_id, artifacts_dir);
  PrintReport(session, report);
  return kExitDone;
}

absl::StatusOr<int> RunAnalytic(Session& session, const v1::DeepSeekOCRAnalyticRequest& request) {
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  DSOCR_ASSIGN_OR_RETURN(const v1::DeepSeekOCRAnalyticAccepted accepted,
                         daemon->Call(&v1::AnalyticService::Stub::RunAnalytic, request));
  if (session.line().Has("--detach")) {
    session.Out(fmt::format("report_id: {}\n", accepted.report_id()));
    return kExitDone;
  }
  DSOCR_ASSIGN_OR_RETURN(const std::string artifacts_dir, WatchReport(*daemon, accepted.report_id()));
  return PrintResult(session, *daemon, accepted.report_id(), artifacts_dir);
}

absl::StatusOr<int> RunMeasured(Session& session, const v1::StartRunRequest& start) {
  RunWatch watch(session);
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  DSOCR_ASSIGN_OR_RETURN(const v1::StartRunResponse started, daemon->Call(&v1::ProfileService::Stub::StartRun, start));
  if (session.line().Has("--detach")) {
    session.Out(fmt::format("report_id: {}\nrun_id: {}\n", started.report_id(), started.run_id()));
    return kExitDone;
  }
  DSOCR_ASSIGN_OR_RETURN(const v1::Run run, watch.Follow(*daemon, started.run_id()));
  return PrintResult(session, *daemon, run.report_id(), run.artifacts_dir());
}

absl::StatusOr<int> Run(Session& session) {
  DSOCR_RETURN_IF_ERROR(CheckFlags(session.line()));
  DSOCR_ASSIGN_OR_RETURN(v1::DeepSeekOCRAnalyticRequest request, MakeRequest(session.line(), session.io()));
  request.set_cuda_graphs(session.line().Has("--cuda-graphs"));
  if (session.line().Has("--analytic-only") || session.line().Has("--profile-run-id")) {
    return RunAnalytic(session, request);
  }
  DSOCR_ASSIGN_OR_RETURN(const v1::StartRunRequest start, MakeRun(session.line(), session.io(), std::move(request)));
  return RunMeasured(session, start);
}

std::vector<Flag> Flags() {
  std::vector<Flag> flags = RequestFlags();
  const std::vector<Flag> own = {
      {"--device", ValueKind::kText, "DEVICE", "auto, cpu or cuda:N (default auto: cuda:0 if there is one, else cpu)"},
      {"--analytic-only", ValueKind::kSwitch, "", "predict; execute and measure nothing"},
      {"--random-weights", ValueKind::kInteger, "SEED",
       "full-size random weights (the default without --model, seed 0)"},
      {"--image", ValueKind::kPath, "FILE", "page to read (default: a synthetic grey page)"},
      {"--prompt", ValueKind::kText, "TEXT", "prompt, with --model (default: synthetic tokens)"},
      {"--warmup", ValueKind::kInteger, "N", "requests before the measured ones (default 1)"},
      {"--repeats", ValueKind::kInteger, "N", "measured requests; the median one is reported (default 1)"},
      {"--cuda-graphs", ValueKind::kSwitch, "", "decode with CUDA graphs; on a GPU alone"},
      {"--calibration", ValueKind::kText, "ID|FILE|none",
       "what to predict with (default: the device's newest; --analytic-only: datasheet figures)"},
      {"--profile-run-id", ValueKind::kText, "ID", "join the measurement of this earlier run; execute nothing"},
      {"--force-rebuild", ValueKind::kSwitch, "", "make a new report beside one that could be reused"},
      {"--run-id", ValueKind::kText, "ID", "id of the new run (default: made up)"},
      {"--operator-snapshot", ValueKind::kPath, "DIR",
       "TorchInfo artifacts to take operators from (default: built in)"},
      ArtifactsDirFlag(),
      OverheadBudgetFlag(),
      {"--detach", ValueKind::kSwitch, "", "return once the run has begun"},
  };
  flags.insert(flags.end(), own.begin(), own.end());
  return flags;
}

}  // namespace

Command RunCommand() {
  return {.name = "run",
          .arguments = "[FLAGS]",
          .summary = "predict a request, execute it under the profiler, and put both side by side",
          .examples =
              "  dsocrctl run                                       full size, random weights, standard page\n"
              "  dsocrctl run --model ./DeepSeek-OCR --image a.png  real weights, your page\n"
              "  dsocrctl run --workload-profile-id dsocr-a4-v1 --device cuda:0 --repeats 5\n"
              "  dsocrctl run --analytic-only --page 2480x3508 -o json > report.json\n",
          .outputs = kAllOutputs,
          .flags = Flags(),
          .run = Run};
}

}  // namespace dsocr::client
