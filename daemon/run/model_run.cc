#include "daemon/run/model_run.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "daemon/calibrate/calibration.h"
#include "daemon/catalog/models.h"
#include "daemon/run/inquiry.h"
#include "daemon/run/measure_device.h"
#include "daemon/run/rejoin.h"
#include "daemon/run/runner.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace dsocr::run {
namespace {

using Json = nlohmann::ordered_json;

constexpr absl::Duration kCollectLimit = absl::Seconds(10);  // the runner has exited: what it wrote is in the ring
constexpr int kMaxWarmup = 100;
constexpr int kMaxRepeats = 1000;
constexpr double kMaxOverheadBudget = 0.5;

std::string RunnerPath(const ModelRunTools& tools) { return tools.config->Get()->runner_path; }

int64_t RepeatsOf(const v1::ModelRun& request) { return std::max(1, request.repeats()); }

PageSource SourceOf(const v1::ModelRun& request) {
  PageSource source;
  if (request.has_image_path()) {
    source.image_path = request.image_path();
  }
  if (request.has_prompt()) {
    source.prompt = request.prompt();
  }
  return source;
}

std::string RequestJson(const v1::ModelRun& request, const Plan& plan) {
  const analytic::Workload& workload = plan.input.workload;
  const std::string& model_dir = request.request().model_dir();
  const auto text_or_null = [](bool is_there, const std::string& text) {
    return is_there ? Json(text) : Json(nullptr);
  };
  const Json json = {{"model_dir", text_or_null(!model_dir.empty(), model_dir)},
                     {"random_weights", !catalog::HasWeights(model_dir)},
                     {"random_seed", request.random_seed()},
                     {"device", plan.target.runner_device},
                     {"dtype", analytic::PrecisionName(workload.precision)},
                     {"workload", WorkloadJson(workload)},
                     {"image_path", text_or_null(request.has_image_path(), request.image_path())},
                     {"prompt", text_or_null(request.has_prompt(), request.prompt())},
                     {"warmup", request.warmup()},
                     {"repeats", RepeatsOf(request)},
                     {"cuda_graphs", workload.cuda_graphs}};
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

// The first run on a device measures it. A calibration that fails is told and logged; the datasheet is used.
absl::Status CalibrateOnce(const ModelRunTools& tools, const Plan& plan, const StopSource& stop, const Tell& tell) {
  const store::CalibrationKey key = tools.planner->CalibrationKeyOf(plan.target, plan.input.workload.precision);
  DSOCR_ASSIGN_OR_RETURN(const std::optional<store::StoredCalibration> stored, tools.store->FindCalibration(key));
  if (stored) {
    return absl::OkStatus();
  }
  tell(v1::RUN_STATE_CALIBRATING,
       fmt::format("first use of {} in {}: measuring it for at most {}", key.device_name, key.dtype,
                   absl::FormatDuration(kFirstUseBudget)),
       std::nullopt);
  const absl::StatusOr<std::string> document =
      MeasureDevice(RunnerPath(tools), plan.target, key, kFirstUseBudget, stop);
  const absl::Status kept =
      document.ok() ? calibrate::KeepCalibration(*document, key, tools.store).status() : document.status();
  if (stop.is_stopped()) {
    return kept;
  }
  if (!kept.ok()) {
    tools.log->Warning("run {}: calibration failed, the datasheet is used: {}", plan.input.report_id,
                       std::string(kept.message()));
    tell(v1::RUN_STATE_CALIBRATING,
         fmt::format("calibration failed, predicting from the datasheet: {}", std::string(kept.message())),
         std::nullopt);
  }
  return absl::OkStatus();
}

struct Measured {
  attribution::Result result;
  std::vector<report::ExpertsHit> experts;
  std::vector<RequestEvent> requests;  // those that count, in order
};

// What a probe took around a request over what it took when the device was calibrated. A machine that differs by more
// than that is not the one that was calibrated.
double Slowdown(double time_ns, double calibrated_ns) {
  constexpr double kMost = 4;
  const double slowdown = time_ns / calibrated_ns;
  return slowdown >= 1 / kMost && slowdown <= kMost ? slowdown : 1;
}

// Of the request that the report shows. Nothing unless each request was recorded.
report::Contention ContentionOf(const Measured& measured, const std::optional<calibrate::ProbeTimes>& calibrated) {
  report::Contention contention;
  const std::vector<int64_t>& totals = measured.result.request_total_ns;
  const auto shown = std::find(totals.begin(), totals.end(), measured.result.request.total_ns);
  if (shown == totals.end() || totals.size() != measured.requests.size()) {
    return contention;
  }
  const RequestEvent& request = measured.requests[static_cast<size_t>(shown - totals.begin())];
  contention.off_cpu_ns = request.off_cpu_ns;
  if (request.probe && calibrated) {
    contention.product_slowdown = Slowdown(request.probe->gemm_ns, calibrated->gemm_ns);
    contention.traffic_slowdown = Slowdown(request.probe->copy_ns, calibrated->copy_ns);
  }
  return contention;
}

// Executes and collects. Fills in what the runner says about the device.
absl::StatusOr<Measured> Measure(const ModelRunTools& tools, const v1::ModelRun& request, const Plan& plan,
                                 const analytic::Prediction& prediction, const StopSource& stop, const Tell& tell,
                                 v1::Provenance* provenance) {
  collect::SessionOptions options;
  options.attribution = report::AttributionOptions(prediction, request.warmup());
  options.overhead_budget = request.overhead_budget();
  DSOCR_ASSIGN_OR_RETURN(options.trace_dir, MakeTraceDir(plan.artifacts_root, plan.input.report_id));
  DSOCR_ASSIGN_OR_RETURN(const std::unique_ptr<collect::Session> session, tools.collector->Expect(std::move(options)));

  const Command command{.arguments = {RunnerPath(tools), "serve"},
                        .environment = session->Environment(/*preload=*/false)};
  Measured measured;
  ServeOptions serve;
  serve.request_json = RequestJson(request, plan);
  serve.silence = tools.config->Get()->runner_silence;
  serve.stop = &stop;
  serve.on_talk = [&](std::string_view line) { tools.log->Info("run {}: runner: {}", plan.input.report_id, line); };
  serve.on_event = [&](const RunnerEvent& event) {
    if (const auto* state = std::get_if<StateEvent>(&event)) {
      tell(state->state, state->message, state->progress);
    } else if (const auto* loaded = std::get_if<LoadedEvent>(&event)) {
      *provenance->mutable_device() = loaded->device;
    } else if (const auto* experts = std::get_if<ExpertsEvent>(&event)) {
      measured.experts = experts->layers;
    } else if (const auto* request_event = std::get_if<RequestEvent>(&event)) {
      if (!request_event->is_warmup) {
        measured.requests.push_back(*request_event);
      }
      tell(request_event->is_warmup ? v1::RUN_STATE_WARMUP : v1::RUN_STATE_MEASURING,
           fmt::format("request {}: {} tokens in {:.3f} s", request_event->index, request_event->tokens,
                       static_cast<double>(request_event->wall_ns) / 1e9),
           std::nullopt);
    }
  };
  DSOCR_RETURN_IF_ERROR(Serve(command, serve));
  if (const absl::Status counted = report::CheckExpertsHit(measured.experts, plan.input); !counted.ok()) {
    return absl::InternalError(fmt::format(
        "dsocr-runner broke its protocol: 'experts' has a {}; is it of this version?", std::string(counted.message())));
  }

  tell(v1::RUN_STATE_JOINING, "joining measured and predicted", std::nullopt);
  collect::SessionResult result = session->Finish(absl::Now() + kCollectLimit);
  if (!result.trace_error.empty()) {
    tools.log->Warning("run {}: its records are not kept: {}", plan.input.report_id, result.trace_error);
  }
  if (!result.agent_came) {
    return absl::FailedPreconditionError(fmt::format(
        "agent '{}': no process of the run loaded it; is the installation complete?", tools.config->Get()->agent_path));
  }
  measured.result = std::move(result.attribution);
  return measured;
}

absl::Status JoinEarlierRun(const ModelRunTools& tools, const v1::AnalyticModelReport& measured,
                            const std::string& run_id, const Plan& plan, v1::AnalyticModelReport* report,
                            const Tell& tell) {
  tell(v1::RUN_STATE_JOINING, fmt::format("joining the measurement of run {}", run_id), std::nullopt);
  DSOCR_RETURN_IF_ERROR(CheckComparable(plan.input, measured));
  JoinStored(measured, run_id, report);
  return tools.planner->Republish(plan, *report);
}

}  // namespace

absl::Status CheckOverheadBudget(double share) {
  return share >= 0 && share <= kMaxOverheadBudget
             ? absl::OkStatus()
             : absl::InvalidArgumentError(fmt::format(
                   "overhead_budget {}: out of range; give a share of the job's time above 0 and at most {}", share,
                   kMaxOverheadBudget));
}

absl::Status CheckModelRun(const v1::ModelRun& request, const Plan& plan) {
  const auto bad = [](std::string_view field, std::string_view why) {
    return absl::InvalidArgumentError(fmt::format("{}: {}", field, why));
  };
  if (plan.target.runner_device.empty() && !request.request().has_profile_run_id()) {
    return bad(fmt::format("device '{}'", plan.target.info.name()),
               "known from the catalogue alone; run on cpu or cuda:N, or predict with --analytic-only");
  }
  if (const analytic::ModelSpec& model = plan.input.model; !catalog::IsExecutable(model)) {
    return bad(fmt::format("model_variant '{}'", model.variant), "analytic only; predict it with --analytic-only");
  }
  if (request.warmup() < 0 || request.warmup() > kMaxWarmup) {
    return bad(fmt::format("warmup {}", request.warmup()), fmt::format("out of range; give 0 to {}", kMaxWarmup));
  }
  if (request.repeats() < 0 || request.repeats() > kMaxRepeats) {
    return bad(fmt::format("repeats {}", request.repeats()), fmt::format("out of range; give 1 to {}", kMaxRepeats));
  }
  DSOCR_RETURN_IF_ERROR(CheckOverheadBudget(request.overhead_budget()));
  if (request.has_image_path() && !request.image_path().starts_with('/')) {
    return bad(fmt::format("image_path '{}'", request.image_path()), "not an absolute path; give the whole path");
  }
  if (request.has_prompt() && request.request().model_dir().empty()) {
    return bad("prompt", "only a model's tokenizer can count its tokens; add --model");
  }
  if (RequestJson(request, plan).size() > kMaxRequestBytes) {
    return bad("prompt", fmt::format("too long; give at most {} bytes", kMaxRequestBytes));
  }
  return absl::OkStatus();
}

absl::Status ExecuteModelRun(const ModelRunTools& tools, const v1::ModelRun& request, Plan plan, const StopSource& stop,
                             v1::Run* run, const Tell& tell) {
  const absl::Time start = absl::Now();
  tell(v1::RUN_STATE_PREDICTING, "reading the request", std::nullopt);
  const PageSource source = SourceOf(request);
  DSOCR_RETURN_IF_ERROR(ApplyImage(RunnerPath(tools), source, request.request(), stop, &plan));
  DSOCR_RETURN_IF_ERROR(tools.planner->LoadOperators(request.request(), stop, &plan));
  v1::Provenance& provenance = plan.input.provenance;
  std::optional<v1::AnalyticModelReport> earlier;
  if (request.request().has_profile_run_id()) {
    DSOCR_ASSIGN_OR_RETURN(earlier, MeasuredReportOf(request.request().profile_run_id(), tools.store));
    *provenance.mutable_weights() = earlier->provenance().weights();
  } else if (!catalog::HasWeights(request.request().model_dir())) {
    provenance.mutable_weights()->set_random_seed(request.random_seed());
  }
  const std::string& calibration = request.request().calibration();
  if (calibration.empty() && !plan.target.runner_device.empty() && !request.request().has_profile_run_id()) {
    DSOCR_RETURN_IF_ERROR(CalibrateOnce(tools, plan, stop, tell));
  }
  tell(v1::RUN_STATE_PREDICTING, "predicting", std::nullopt);
  DSOCR_RETURN_IF_ERROR(tools.planner->Calibrate(calibration, &plan));
  provenance.set_warmup(request.warmup());
  provenance.set_repeats(RepeatsOf(request));
  DSOCR_ASSIGN_OR_RETURN(const analytic::Prediction prediction,
                         analytic::Predict(plan.input.model, plan.input.workload, plan.input.device));
  if (!request.request().has_profile_run_id()) {
    // Before anything is measured, so that it disturbs nothing; a run goes on without it.
    plan.trace = tools.planner->Trace(plan, source, /*context=*/std::nullopt, stop);
    if (stop.is_stopped()) {
      return plan.trace.status();
    }
  }
  DSOCR_ASSIGN_OR_RETURN(v1::AnalyticModelReport report, tools.planner->Publish(plan, /*digest=*/""));
  run->set_artifacts_dir(ArtifactsDirOf(report));
  if (earlier) {
    return JoinEarlierRun(tools, *earlier, request.request().profile_run_id(), plan, &report, tell);
  }
  tell(v1::RUN_STATE_LOADING, "starting dsocr-runner", std::nullopt);
  DSOCR_ASSIGN_OR_RETURN(const Measured measured, Measure(tools, request, plan, prediction, stop, tell, &provenance));
  const report::Recording recording = {.route = v1::ROUTE_LAUNCH,
                                       .overhead_budget = request.overhead_budget(),
                                       .contention = ContentionOf(measured, plan.probe)};
  DSOCR_RETURN_IF_ERROR(report::JoinMeasurement(measured.result, prediction, plan.input, recording, &report));
  report::AddExpertsHit(measured.experts, prediction, &report);
  if (plan.input.device.kind == analytic::DeviceKind::kCpu) {
    report::AddCensusNote(prediction, &report);
  }
  provenance.set_duration_ms(absl::ToDoubleMilliseconds(absl::Now() - start));
  *report.mutable_provenance() = provenance;
  report.set_profile_run_id(run->run_id());
  return tools.planner->Republish(plan, report);
}

}  // namespace dsocr::run
