#include "daemon/run/live_run.h"

#include <poll.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "absl/time/clock.h"
#include "analytic/precision.h"
#include "base/status.h"
#include "cupti/record/trace_file.h"
#include "daemon/attach/injector.h"
#include "daemon/attach/job_report.h"
#include "daemon/attach/kineto.h"
#include "daemon/attach/late_kineto.h"
#include "daemon/attach/module_map.h"
#include "daemon/attach/prepared.h"
#include "daemon/attach/recognise_operators.h"
#include "daemon/attach/request_counter.h"
#include "daemon/attach/target.h"
#include "daemon/config/version.h"
#include "daemon/export/artifacts.h"
#include "daemon/report/measured.h"
#include "daemon/report/report.h"
#include "daemon/report/units.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace dsocr::run {
namespace {

constexpr absl::Duration kHelloLimit = absl::Seconds(3);  // of an agent that is in the process
constexpr absl::Duration kLeaveLimit = absl::Seconds(10);
constexpr absl::Duration kTick = absl::Milliseconds(50);            // how late the end of a window may be
constexpr absl::Duration kFirstTick = absl::Milliseconds(2);        // until the first record has come
constexpr absl::Duration kTraceDuration = absl::Milliseconds(500);  // where none is asked for: 30 to 120 MB of trace
constexpr absl::Duration kTellPeriod = absl::Seconds(1);
constexpr double kLongestWindowSeconds = 30 * 24 * 3600.0;
constexpr size_t kMaxProcesses = 64;  // of one attach
constexpr size_t kMaxShownBytes = 4096;

bool Takes(const v1::AttachRequest& request, v1::Route route) {
  return request.route() == v1::ROUTE_UNSPECIFIED || request.route() == route;
}

std::string Words(const absl::Status& status) { return std::string(status.message()); }

// What can be traced can be told to trace itself; so the rights come first.
absl::Status CheckInjectable(const attach::Target& target) {
  DSOCR_RETURN_IF_ERROR(attach::CheckMayTrace(target));
  return attach::CheckHasLibtorch(target);
}

// PyTorch's profiler asks in it, or can be made to.
absl::Status CheckKineto(const attach::Target& target) {
  if (target.uses_kineto_daemon) {
    return absl::OkStatus();
  }
  const absl::Status late = attach::CheckLateKineto(target);
  return late.ok()
             ? late
             : absl::Status(late.code(), fmt::format("kineto of {}: it was started without KINETO_USE_DAEMON, and "
                                                     "cannot be told now: {}",
                                                     target.pid, Words(late)));
}

absl::Status CheckListens(const attach::Target& target) {
  return attach::FindAgentSocket(target.pid).empty()
             ? absl::FailedPreconditionError(fmt::format(
                   "agent in {}: none listens; start the job with 'dsocrctl launch' or CUDA_INJECTION64_PATH",
                   target.pid))
             : absl::OkStatus();
}

// A way into a process: whether it is open, and what going it means.
struct Way {
  v1::Route route;
  absl::Status judged;
  std::string_view means;
};

// In the order in which they are tried.
std::vector<Way> WaysInto(const attach::Target& target) {
  return {
      {v1::ROUTE_AGENT, CheckListens(target), "an agent listens in it"},
      {v1::ROUTE_INJECT, CheckInjectable(target), "a thread at rest is stopped for about a millisecond"},
      {v1::ROUTE_KINETO, CheckKineto(target),
       target.uses_kineto_daemon
           ? "operators and modules by class, no module paths; its Python code is 2.5 to 5 times slower meanwhile"
           : "only with --route kineto: the agent switches PyTorch's profiler on, of which a thread stays that asks "
             "once a second; no module paths, Python code 2.5 to 5 times slower meanwhile"}};
}

// The process, and with --children those below it that compute. NOT_FOUND: no such process.
absl::StatusOr<std::vector<attach::Target>> TargetsOf(const v1::AttachRequest& request) {
  std::vector<attach::Target> targets;
  DSOCR_ASSIGN_OR_RETURN(attach::Target first, attach::Inspect(static_cast<pid_t>(request.pid())));
  const bool is_first_wanted = !request.children() || first.has_libtorch;
  if (is_first_wanted) {
    targets.push_back(std::move(first));
  }
  if (request.children()) {
    const std::vector<attach::Target> processes = attach::ListProcesses();
    for (const attach::Target* process : attach::DescendantsOf(static_cast<pid_t>(request.pid()), processes)) {
      absl::StatusOr<attach::Target> child = attach::Inspect(process->pid);
      if (child.ok() && child->has_libtorch && targets.size() < kMaxProcesses) {
        targets.push_back(*std::move(child));
      }
    }
    if (targets.empty()) {
      return absl::FailedPreconditionError(fmt::format(
          "no libtorch in {} nor in a process below it; give the pid of a job that computes", request.pid()));
    }
  }
  return targets;
}

// Whether a route that `request` takes may lead into the process. Where all may be tried and none does, why it cannot
// be injected: that needs nothing of the job.
absl::Status CheckReachable(const v1::AttachRequest& request, const attach::Target& target) {
  absl::Status refusal;
  for (const Way& way : WaysInto(target)) {
    if (!Takes(request, way.route)) {
      continue;
    }
    if (way.judged.ok()) {
      return way.judged;
    }
    if (request.route() == way.route || way.route == v1::ROUTE_INJECT) {
      refusal = way.judged;
    }
  }
  return refusal;
}

// The device that the job ran on and the precision of most of its weights.
absl::StatusOr<Plan> PlanOfJob(const ModelRunTools& tools, const attribution::Result& measured) {
  uint64_t halves = 0;
  uint64_t wholes = 0;
  for (const attribution::JobModule& module : measured.job_modules) {
    halves += module.element_bytes == 2 ? module.parameters : 0;
    wholes += module.element_bytes == 4 ? module.parameters : 0;
  }
  v1::DeepSeekOCRAnalyticRequest request;
  request.set_device(measured.gpu ? "cuda:0" : "cpu");
  request.set_dtype(wholes > halves ? "fp32" : "bf16");
  DSOCR_ASSIGN_OR_RETURN(Plan plan, tools.planner->Resolve(request, Caller::kSameUser));
  DSOCR_RETURN_IF_ERROR(tools.planner->Calibrate("", &plan));
  return plan;
}

// Hands all records of a kept trace to `consume`, block by block. NOT_FOUND: they were not kept.
absl::Status ReadRecords(const std::string& trace_path,
                         const std::function<void(std::span<const record::Record>)>& consume) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(trace_path.c_str(), "rbe"), std::fclose);
  if (file == nullptr) {
    return absl::NotFoundError("its records were not kept, so they cannot be read once more for the prediction");
  }
  record::TraceReader reader(file.get());
  for (std::span<const record::Record> records = reader.Next(); !records.empty(); records = reader.Next()) {
    consume(records);
  }
  return absl::OkStatus();
}

// A C++ job without ranges, on a CPU.
bool NamesNothing(const attribution::Result& measured) {
  return measured.job_modules.empty() && measured.request.modules.empty() && !measured.gpu;
}

// By the modules that the job names, or where it names nothing at all by its operators. NOT_FOUND: it is none that is
// known, or its records were not kept.
absl::StatusOr<attach::RecognisedModel> RecogniseJob(const JobRecording& recording) {
  if (NamesNothing(recording.measured)) {
    attach::CallCollector calls;
    DSOCR_RETURN_IF_ERROR(ReadRecords(recording.trace_path, [&calls](auto records) { calls.Consume(records); }));
    return calls.Recognise();
  }
  return attach::Recognise(recording.measured.job_modules, recording.module_map ? &*recording.module_map : nullptr);
}

// NOT_FOUND: as RecogniseJob.
absl::StatusOr<v1::AnalyticModelReport> RecognisedReport(const JobRecording& recording,
                                                         const std::optional<calibrate::RecordedRouting>& routing,
                                                         attach::JobReportInput input) {
  DSOCR_ASSIGN_OR_RETURN(attach::RecognisedModel model, RecogniseJob(recording));
  input.routing_note = calibrate::UseRouting(routing, input.provenance.weights(), &model.model);
  DSOCR_ASSIGN_OR_RETURN(const std::unique_ptr<attach::JobFold> fold, attach::JobFold::Create(model));
  DSOCR_RETURN_IF_ERROR(ReadRecords(recording.trace_path, [&fold](auto records) { fold->Consume(records); }));
  input.precision = model.precision.value_or(input.precision);
  return attach::BuildJobReport(model, fold->Finish(recording.measured), std::move(input));
}

// "3", or of a number that was asked for "3 of 20".
std::string CountOf(int64_t requests, int64_t wanted) {
  return wanted > 0 ? fmt::format("{} of {}", requests, wanted) : fmt::format("{}", requests);
}

std::string RequestNote(const collect::Progress& seen, int64_t wanted) {
  return seen.are_requests_counted
             ? fmt::format("{} whole requests were seen, each a prefill with its decode steps",
                           CountOf(seen.requests, wanted))
             : fmt::format("{} requests were seen, each a call of the root module", CountOf(seen.requests, wanted));
}

}  // namespace

record::Depth DepthOf(v1::Depth depth) { return depth == v1::DEPTH_ALL ? record::Depth::kAll : record::Depth::kStages; }

absl::StatusOr<std::optional<attach::ModuleMap>> ParseModuleMap(const std::string& text) {
  if (text.empty()) {
    return std::nullopt;
  }
  return attach::ModuleMap::Parse(text, "module map");
}

absl::Status CheckAttach(const v1::AttachRequest& request) {
  const auto bad = [](std::string_view field, std::string_view why) {
    return absl::InvalidArgumentError(fmt::format("{}: {}", field, why));
  };
  if (request.pid() <= 0 || request.pid() > INT32_MAX) {
    return bad(fmt::format("pid {}", request.pid()), "not a process id; 'dsocrctl ps' lists them");
  }
  if (!Takes(request, v1::ROUTE_AGENT) && !Takes(request, v1::ROUTE_INJECT) && !Takes(request, v1::ROUTE_KINETO)) {
    return bad("route", "not a way into a live job; give auto, agent, inject or kineto");
  }
  if (!(request.duration_s() >= 0 && request.duration_s() <= kLongestWindowSeconds)) {
    return bad(fmt::format("duration_s {}", request.duration_s()), "out of range; give 0 to 30 days");
  }
  if (request.requests() < 0) {
    return bad(fmt::format("requests {}", request.requests()), "negative; give how many are to be recorded");
  }
  return CheckOverheadBudget(request.overhead_budget());
}

absl::StatusOr<v1::ExplainAttachResponse> ExplainAttach(const v1::AttachRequest& request) {
  DSOCR_RETURN_IF_ERROR(CheckAttach(request));
  DSOCR_ASSIGN_OR_RETURN(const std::vector<attach::Target> targets, TargetsOf(request));
  v1::ExplainAttachResponse response;
  for (const attach::Target& target : targets) {
    for (const Way& way : WaysInto(target)) {
      if (Takes(request, way.route)) {
        v1::RouteVerdict& verdict = *response.add_verdicts();
        verdict.set_pid(target.pid);
        verdict.set_route(way.route);
        verdict.set_is_possible(way.judged.ok());
        verdict.set_why(way.judged.ok() ? std::string(way.means) : Words(way.judged));
      }
    }
  }
  return response;
}

v1::ListProcessesResponse ListProcesses(const v1::ListProcessesRequest& request) {
  v1::ListProcessesResponse response;
  for (const attach::Target& target : attach::ListProcesses()) {
    if (!request.all() && !target.has_libtorch) {
      continue;
    }
    v1::JobProcess& process = *response.add_processes();
    process.set_pid(target.pid);
    process.set_user(target.user);
    process.set_command(report::Sanitized(target.command, kMaxShownBytes));
    std::vector<std::string> frameworks;
    if (target.has_libtorch) {
      frameworks.push_back(target.libtorch_version.empty() ? "torch"
                                                           : fmt::format("torch {}", target.libtorch_version));
    }
    if (!target.python.empty()) {
      frameworks.push_back(target.python);
    }
    process.set_framework(fmt::format("{}", fmt::join(frameworks, ", ")));
    process.set_gpu(fmt::format("{}", fmt::join(target.gpus, " ")));
    for (const Way& way : WaysInto(target)) {
      if (way.judged.ok()) {
        process.add_routes(way.route);
      } else if (way.route == v1::ROUTE_INJECT) {
        process.set_why(Words(way.judged));
      }
    }
    process.set_attachable(process.routes_size() > 0);
    if (process.attachable()) {
      process.clear_why();
    }
  }
  return response;
}

absl::Status PublishJob(const ModelRunTools& tools, JobRecording recording, const std::string& artifacts_root,
                        v1::Run* run) {
  DSOCR_ASSIGN_OR_RETURN(Plan plan, PlanOfJob(tools, recording.measured));
  v1::Provenance& provenance = plan.input.provenance;
  *provenance.mutable_device() = plan.target.info;
  provenance.set_tool_version(std::string(config::kVersion));
  provenance.set_started_at(run->started_at());
  provenance.set_duration_ms(absl::ToDoubleMilliseconds(absl::Now() - recording.started));
  const std::string artifacts = exporter::ArtifactsDir(artifacts_root, run->run_id());
  absl::StatusOr<v1::AnalyticModelReport> recognised =
      RecognisedReport(recording, plan.routing,
                       {.report_id = run->report_id(),
                        .profile_run_id = run->run_id(),
                        .layer_docs_dir = artifacts + "/layers",
                        .device = plan.input.device,
                        .precision = plan.input.workload.precision,
                        .recording = {recording.route, recording.overhead_budget},
                        .provenance = provenance});
  if (!recognised.ok()) {
    if (!recording.measured.job_modules.empty() || NamesNothing(recording.measured)) {
      recording.notes.push_back(Words(recognised.status()));
    }
    recognised = report::BuildUnrecognisedReport(recording.measured, {recording.route, recording.overhead_budget},
                                                 run->report_id(), run->run_id(), artifacts + "/layers", provenance);
  }
  DSOCR_ASSIGN_OR_RETURN(v1::AnalyticModelReport report, std::move(recognised));
  for (const std::string& note : recording.notes) {
    report.set_notes(report.notes() + "; " + note);
  }
  DSOCR_RETURN_IF_ERROR(exporter::WriteArtifacts(artifacts_root, run->run_id(), {.report = report}).status());
  run->set_artifacts_dir(artifacts);
  return tools.store->PutReport(report, /*digest=*/"");
}

absl::StatusOr<std::unique_ptr<LiveRun>> LiveRun::Look(const ModelRunTools& tools, const v1::AttachRequest& request) {
  DSOCR_RETURN_IF_ERROR(CheckAttach(request));
  DSOCR_ASSIGN_OR_RETURN(std::optional<attach::ModuleMap> map, ParseModuleMap(request.module_map()));
  std::unique_ptr<LiveRun> live(new LiveRun(tools, request, std::move(map)));
  DSOCR_ASSIGN_OR_RETURN(live->targets_, TargetsOf(request));
  absl::Status refusal;
  bool is_any_reachable = false;
  for (const attach::Target& target : live->targets_) {
    const absl::Status reachable = CheckReachable(request, target);
    is_any_reachable = is_any_reachable || reachable.ok();
    refusal.Update(reachable);
  }
  if (!is_any_reachable) {
    return refusal;
  }
  return live;
}

absl::Status LiveRun::Begin(const std::string& trace_dir, v1::AttachResponse* response) {
  collect::SessionOptions options;
  options.trace_dir = trace_dir;
  options.overhead_budget = request_.overhead_budget();
  options.depth = DepthOf(request_.depth());
  options.new_request_counter = [map = module_map_] { return std::make_unique<attach::RequestCounter>(map); };
  DSOCR_ASSIGN_OR_RETURN(session_, tools_.collector->Expect(std::move(options)));
  absl::Status refusal;
  for (attach::Target& target : targets_) {
    const absl::Status entered = Enter(target);
    if (entered.ok()) {
      pids_.push_back(target.pid);
      if (route_ == v1::ROUTE_KINETO) {  // one at a time
        traced_ = std::move(target);
        break;
      }
    } else {
      refusal.Update(entered);
      notes_.push_back(Words(entered));
    }
  }
  targets_.clear();
  if (pids_.empty()) {
    return refusal;
  }
  response->set_route(route_);
  response->mutable_pids()->Assign(pids_.begin(), pids_.end());
  response->mutable_notes()->Assign(notes_.begin(), notes_.end());
  return absl::OkStatus();
}

// The refusal is what the last route says that was tried.
absl::Status LiveRun::Enter(attach::Target& target) {
  const auto adopt = [&](absl::StatusOr<UniqueFd> socket) {
    if (!socket.ok()) {
      return socket.status();
    }
    const absl::Status adopted = session_->Adopt(*std::move(socket), target.pid, absl::Now() + kHelloLimit);
    return adopted.ok() ? adopted
                        : absl::FailedPreconditionError(
                              fmt::format("agent in {}: it does not begin to record: {}", target.pid, Words(adopted)));
  };
  absl::Status refusal;
  if (Takes(request_, v1::ROUTE_AGENT)) {
    refusal = adopt(attach::ConnectToAgent(target.pid, target.uid));
    if (refusal.ok()) {
      route_ = v1::ROUTE_AGENT;
      return refusal;
    }
  }
  if (Takes(request_, v1::ROUTE_INJECT)) {
    refusal = CheckInjectable(target);
    if (refusal.ok()) {
      refusal = adopt(attach::Inject(target, tools_.config->Get()->agent_path));
    }
    if (refusal.ok()) {
      route_ = route_ == v1::ROUTE_UNSPECIFIED ? v1::ROUTE_INJECT : route_;
      return refusal;
    }
  }
  if (Takes(request_, v1::ROUTE_KINETO) && pids_.empty()) {
    const bool is_wanted = request_.route() == v1::ROUTE_KINETO;  // what stays in the job is not for who did not ask
    if (is_wanted && !target.uses_kineto_daemon) {
      DSOCR_RETURN_IF_ERROR(CheckKineto(target));
      DSOCR_RETURN_IF_ERROR(attach::StartKineto(tools_.config->Get()->agent_path, &target));
    }
    if (target.uses_kineto_daemon) {
      route_ = v1::ROUTE_KINETO;
      return absl::OkStatus();
    }
  }
  return refusal;
}

absl::Status LiveRun::WaitForEnd(const StopSource& stop, v1::Run* run, const TellLive& tell) {
  const absl::Time begin = absl::Now();
  const absl::Time end =
      request_.duration_s() > 0 ? begin + absl::Seconds(request_.duration_s()) : absl::InfiniteFuture();
  absl::Time next_tell = begin + kTellPeriod;
  for (;;) {
    const collect::Progress progress = session_->Look();
    const absl::Time now = absl::Now();
    if (progress.has_begun && !run->has_first_record_ms()) {
      run->set_first_record_ms(absl::ToDoubleMilliseconds(now - asked_));
      tell("recording", {});
    }
    if (now >= next_tell) {
      next_tell = now + kTellPeriod;
      std::vector<v1::LiveModule> modules;
      for (const attribution::LiveModule& module : session_->Live()) {
        v1::LiveModule& told = modules.emplace_back();
        told.set_module_id(module.module_id);
        told.set_depth(module.depth);
        told.set_calls(module.calls);
        told.set_device_time_ms(report::Milliseconds(module.device_ns));
        told.set_self_device_time_ms(report::Milliseconds(module.self_device_ns));
      }
      tell(fmt::format("{} records, {} requests", progress.records, CountOf(progress.requests, request_.requests())),
           std::move(modules));
    }
    seen_ = progress;
    if (progress.processes_recording == 0 || now >= end ||
        (request_.requests() > 0 && progress.requests >= request_.requests())) {
      return absl::OkStatus();
    }
    pollfd event{stop.fd(), POLLIN, 0};
    const absl::Duration tick = std::min(progress.has_begun ? kTick : kFirstTick, end - now);
    poll(&event, 1, static_cast<int>(std::ceil(absl::ToDoubleMilliseconds(tick))));
    if (stop.is_stopped()) {
      return absl::OkStatus();
    }
  }
}

absl::Status LiveRun::FollowTrace(const std::string& artifacts_root, const StopSource& stop, v1::Run* run,
                                  const TellLive& tell) {
  attach::KinetoRequest request;
  request.duration = request_.duration_s() > 0 ? absl::Seconds(request_.duration_s()) : kTraceDuration;
  tell(fmt::format("PyTorch's profiler records {}", absl::FormatDuration(request.duration)), {});
  DSOCR_ASSIGN_OR_RETURN(attach::KinetoRecording recorded,
                         attach::RecordWithKineto(traced_, request, attribution::Options(), stop.fd()));
  notes_.insert(notes_.end(), recorded.notes.begin(), recorded.notes.end());
  return PublishJob(
      tools_,
      {.measured = std::move(recorded.attribution), .route = route_, .started = asked_, .notes = std::move(notes_)},
      artifacts_root, run);
}

absl::Status LiveRun::Follow(const std::string& artifacts_root, const StopSource& stop, v1::Run* run,
                             const TellLive& tell) {
  if (route_ == v1::ROUTE_KINETO) {
    return FollowTrace(artifacts_root, stop, run, tell);
  }
  DSOCR_RETURN_IF_ERROR(WaitForEnd(stop, run, tell));
  session_->Detach();
  collect::SessionResult result = session_->Finish(absl::Now() + kLeaveLimit);
  session_.reset();
  if (!result.trace_error.empty()) {
    tools_.log->Warning("run {}: its records are not kept: {}", run->run_id(), result.trace_error);
  }
  if (result.attribution.request.operations == 0) {
    return absl::FailedPreconditionError(
        fmt::format("attach to {}: no operation ran in it within {}; is the job idle? Give it longer with --duration",
                    request_.pid(), absl::FormatDuration(absl::Trunc(absl::Now() - asked_, absl::Milliseconds(1)))));
  }
  if (request_.requests() > 0 || seen_.are_requests_counted) {
    notes_.push_back(RequestNote(seen_, request_.requests()));
  }
  if (result.processes > 1) {
    notes_.push_back(fmt::format("{} processes were recorded; this is {}, which ran the most operations",
                                 result.processes, result.pid));
  }
  return PublishJob(tools_,
                    {.measured = std::move(result.attribution),
                     .trace_path = result.trace_path,
                     .module_map = module_map_,
                     .route = route_,
                     .overhead_budget = request_.overhead_budget(),
                     .started = asked_,
                     .notes = std::move(notes_)},
                    artifacts_root, run);
}

}  // namespace dsocr::run
