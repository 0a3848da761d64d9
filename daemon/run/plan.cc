#include "daemon/run/plan.h"

#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "analytic/cost_model.h"
#include "analytic/stages.h"
#include "base/status.h"
#include "daemon/calibrate/calibration.h"
#include "daemon/catalog/models.h"
#include "daemon/catalog/operator_snapshot.h"
#include "daemon/catalog/workload_file.h"
#include "daemon/config/version.h"
#include "daemon/export/artifacts.h"
#include "daemon/report/static_compute.h"
#include "daemon/run/inquiry.h"
#include "daemon/run/rejoin.h"
#include "daemon/store/new_id.h"
#include "fmt/format.h"

namespace dsocr::run {
namespace {

constexpr int64_t kDownsampleRatio = 4;  // net_2 and net_3 of SAM, stride 2 each

absl::Status BadField(std::string_view field, std::string_view value, std::string_view why, std::string_view todo) {
  return absl::InvalidArgumentError(fmt::format("{} '{}': {}; {}", field, value, why, todo));
}

absl::Status CheckAbsolute(std::string_view field, const std::string& path) {
  return path.empty() || path.starts_with('/') ? absl::OkStatus()
                                               : BadField(field, path, "not an absolute path", "give the whole path");
}

}  // namespace

absl::StatusOr<Plan> Planner::Resolve(const v1::DeepSeekOCRAnalyticRequest& request, Caller caller) const {
  DSOCR_RETURN_IF_ERROR(CheckAbsolute("model_dir", request.model_dir()));
  DSOCR_RETURN_IF_ERROR(CheckAbsolute("artifacts_root", request.artifacts_root()));
  DSOCR_ASSIGN_OR_RETURN(catalog::LoadedModel model,
                         catalog::ChooseModel(request.model_id(), request.model_variant(), request.model_dir()));
  Plan plan;
  if (!request.operator_snapshot().empty()) {
    DSOCR_RETURN_IF_ERROR(catalog::MissingArtifacts(request.operator_snapshot()).status());
  }
  DSOCR_ASSIGN_OR_RETURN(plan.target, calibrate::ResolveDevice(request.device(), *machine_));
  DSOCR_ASSIGN_OR_RETURN(plan.input.workload,
                         catalog::ResolveWorkload(model.spec, ProfileOrDefault(request.workload_profile_id()),
                                                  request.workload(), request.dtype()));
  plan.artifacts_root = caller == Caller::kSameUser && !request.artifacts_root().empty()
                            ? request.artifacts_root()
                            : config_->Get()->artifacts_dir;
  plan.input.model = std::move(model.spec);
  plan.input.config_path = std::move(model.config_path);
  plan.input.hf_revision = model.hf_revision;
  plan.input.device = plan.target.figures;
  plan.input.workload.cuda_graphs = request.cuda_graphs();
  DSOCR_RETURN_IF_ERROR(analytic::CheckDevice(plan.input.workload, plan.input.device));
  v1::Provenance& provenance = plan.input.provenance;
  provenance.set_tool_version(std::string(config::kVersion));
  provenance.set_started_at(absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone()));
  *provenance.mutable_device() = plan.target.info;
  provenance.set_dtype(std::string(analytic::PrecisionName(plan.input.workload.precision)));
  provenance.set_cuda_graphs(request.cuda_graphs());
  provenance.mutable_weights();
  if (catalog::HasWeights(request.model_dir())) {
    provenance.mutable_weights()->set_path(request.model_dir());
    if (model.hf_revision) {
      provenance.mutable_weights()->set_revision(*model.hf_revision);
    }
  }
  return plan;
}

absl::Status Planner::NameReport(const v1::DeepSeekOCRAnalyticRequest& request, Plan* plan) const {
  const std::string id = request.run_id().empty() ? store::NewId("r") : request.run_id();
  DSOCR_RETURN_IF_ERROR(exporter::CheckNewRun(plan->artifacts_root, id));
  if (id == "latest" || store_->GetSummary(id).ok() || store_->GetRun(id).ok()) {
    return absl::AlreadyExistsError(fmt::format("run_id '{}': taken already; choose another with --run-id", id));
  }
  plan->input.report_id = id;
  plan->input.layer_docs_dir = exporter::ArtifactsDir(plan->artifacts_root, id) + "/layers";
  return absl::OkStatus();
}

absl::Status Planner::LoadOperators(const v1::DeepSeekOCRAnalyticRequest& request, const StopSource& stop,
                                    Plan* plan) const {
  const std::string& directory = request.operator_snapshot();
  if (directory.empty()) {
    return absl::OkStatus();
  }
  DSOCR_ASSIGN_OR_RETURN(const std::vector<std::string> missing, catalog::MissingArtifacts(directory));
  if (!missing.empty()) {
    DSOCR_ASSIGN_OR_RETURN(plan->torchinfo, MakeTorchInfo(config_->Get()->runner_path, *plan, missing, stop));
  }
  DSOCR_ASSIGN_OR_RETURN(plan->input.operators, catalog::LoadOperatorSnapshot(directory, plan->torchinfo));
  return absl::OkStatus();
}

store::CalibrationKey Planner::CalibrationKeyOf(const calibrate::Target& target, analytic::Precision precision) const {
  return {.device_name = target.info.name(),
          .dtype = std::string(analytic::PrecisionName(precision)),
          .driver = target.info.driver(),
          .tool_version = std::string(config::kVersion),
          .torch_version = torch_version_.Of(config_->Get()->runner_path)};
}

absl::Status Planner::Calibrate(const std::string& request, Plan* plan) const {
  report::ReportInput& input = plan->input;
  calibrate::Calibrated calibrated = {.device = plan->target.figures};
  if (request != "none") {
    const store::CalibrationKey key = CalibrationKeyOf(plan->target, input.workload.precision);
    DSOCR_ASSIGN_OR_RETURN(calibrated, calibrate::ApplyCalibration(plan->target.figures, request, key, store_));
  }
  input.device = std::move(calibrated.device);
  plan->routing = std::move(calibrated.routing);
  plan->probe = calibrated.probe;
  input.routing_note = calibrate::UseRouting(plan->routing, input.provenance.weights(), &input.model);
  input.provenance.clear_calibration_id();
  if (!input.device.calibration_id.empty()) {
    input.provenance.set_calibration_id(input.device.calibration_id);
  }
  return absl::OkStatus();
}

absl::Status Planner::WriteArtifacts(const Plan& plan, const v1::AnalyticModelReport& report, bool is_new) const {
  DSOCR_ASSIGN_OR_RETURN(const v1::AnalyzeResponse analysis,
                         report::AnalyzeStatic(plan.input.model, plan.input.workload, /*context=*/std::nullopt,
                                               config::kVersion, plan.trace));
  const std::string& id = report.report_id();
  const exporter::Origin origin = {plan.input.model, plan.input.workload, plan.input.device};
  std::optional<v1::TargetOperatorList> operators = plan.input.operators;
  if (operators) {
    catalog::PlaceSubstitutes(exporter::TorchInfoDir(plan.artifacts_root, id), &*operators);
  }
  return exporter::WriteArtifacts(plan.artifacts_root, id,
                                  {.report = report,
                                   .analysis = &analysis,
                                   .operators = operators ? &*operators : nullptr,
                                   .origin = &origin,
                                   .torchinfo = plan.torchinfo},
                                  is_new ? exporter::Existing::kRefuse : exporter::Existing::kReplace)
      .status();
}

absl::StatusOr<v1::AnalyticModelReport> Planner::Publish(const Plan& plan, std::string_view digest) const {
  DSOCR_ASSIGN_OR_RETURN(v1::AnalyticModelReport report, report::BuildReport(plan.input));
  DSOCR_RETURN_IF_ERROR(WriteArtifacts(plan, report, /*is_new=*/true));
  DSOCR_RETURN_IF_ERROR(store_->PutReport(report, digest));
  return report;
}

absl::Status Planner::Republish(const Plan& plan, const v1::AnalyticModelReport& report) const {
  DSOCR_RETURN_IF_ERROR(WriteArtifacts(plan, report, /*is_new=*/false));
  return store_->PutReport(report, /*digest=*/"");
}

absl::StatusOr<std::optional<std::string>> Planner::Reuse(const Plan& plan) const {
  const std::string digest = report::InputDigest(plan.input);
  DSOCR_ASSIGN_OR_RETURN(std::optional<std::string> id, store_->FindByDigest(digest));
  if (!id) {
    return id;
  }
  DSOCR_ASSIGN_OR_RETURN(v1::AnalyticModelReport report, store_->GetReport(*id));
  // The caller finds the artifacts below its own root, whichever root the report was first written to.
  const std::string artifacts = exporter::ArtifactsDir(plan.artifacts_root, *id);
  std::error_code error;
  if (ArtifactsDirOf(report) != artifacts || !std::filesystem::exists(artifacts + "/report.json", error)) {
    report.set_layer_docs_dir(artifacts + "/layers");
    DSOCR_RETURN_IF_ERROR(WriteArtifacts(plan, report, /*is_new=*/false));
    DSOCR_RETURN_IF_ERROR(store_->PutReport(report, digest));
  }
  return id;
}

absl::StatusOr<v1::DeepSeekOCRAnalyticAccepted> Planner::RunAnalytic(const v1::DeepSeekOCRAnalyticRequest& request,
                                                                     Caller caller) {
  const absl::Time start = absl::Now();
  absl::MutexLock lock(&publish_mutex_);
  DSOCR_ASSIGN_OR_RETURN(Plan plan, Resolve(request, caller));
  DSOCR_RETURN_IF_ERROR(LoadOperators(request, StopSource(), &plan));
  std::optional<v1::AnalyticModelReport> measured;
  if (request.has_profile_run_id()) {
    DSOCR_ASSIGN_OR_RETURN(measured, MeasuredReportOf(request.profile_run_id(), store_));
    *plan.input.provenance.mutable_weights() = measured->provenance().weights();
  }
  // An analytic report rests on datasheet figures unless a calibration is named (contracts, `--analytic-only`).
  DSOCR_RETURN_IF_ERROR(Calibrate(request.calibration().empty() ? "none" : request.calibration(), &plan));
  v1::DeepSeekOCRAnalyticAccepted accepted;
  accepted.set_status(v1::REPORT_STATUS_RUNNING);
  if (!request.force_rebuild() && request.run_id().empty() && !request.has_profile_run_id()) {
    DSOCR_ASSIGN_OR_RETURN(const std::optional<std::string> reused, Reuse(plan));
    if (reused) {
      accepted.set_report_id(*reused);
      accepted.set_reused(true);
      return accepted;
    }
  }
  DSOCR_RETURN_IF_ERROR(NameReport(request, &plan));
  if (measured) {
    DSOCR_RETURN_IF_ERROR(CheckComparable(plan.input, *measured));
  }
  plan.input.provenance.set_duration_ms(absl::ToDoubleMilliseconds(absl::Now() - start));
  DSOCR_ASSIGN_OR_RETURN(v1::AnalyticModelReport report,
                         Publish(plan, measured ? "" : report::InputDigest(plan.input)));
  if (measured) {
    JoinStored(*measured, request.profile_run_id(), &report);
    DSOCR_RETURN_IF_ERROR(Republish(plan, report));
  }
  accepted.set_report_id(report.report_id());
  return accepted;
}

absl::StatusOr<std::string> Planner::Trace(const Plan& plan, const PageSource& source, std::optional<int64_t> context,
                                           const StopSource& stop) const {
  const std::shared_ptr<const config::Config> config = config_->Get();
  if (!config->analyzer_enabled) {
    return absl::FailedPreconditionError("analyzer.enabled is false");
  }
  absl::MutexLock lock(&trace_mutex_);
  return TraceModel(config->runner_path, plan, source, context, stop);
}

absl::StatusOr<v1::AnalyzeResponse> Planner::Analyze(const v1::AnalyzeRequest& request, Caller caller) const {
  DSOCR_ASSIGN_OR_RETURN(Plan plan, Resolve(request.request(), caller));
  if (request.has_patch_size() && request.patch_size() != plan.input.model.sam.patch_size) {
    return BadField(
        "patch_size", std::to_string(request.patch_size()), "not the model's",
        fmt::format("it is {}; another needs a config.json of its own, see --model", plan.input.model.sam.patch_size));
  }
  if (request.has_downsample_ratio() && request.downsample_ratio() != kDownsampleRatio) {
    return BadField("downsample_ratio", std::to_string(request.downsample_ratio()),
                    "the model has two stride-2 convolutions", fmt::format("it is {}", kDownsampleRatio));
  }
  const std::optional<int64_t> context = request.has_context() ? std::optional(request.context()) : std::nullopt;
  const StopSource never;
  PageSource source;
  if (request.has_image_path()) {
    if (request.analytic_only()) {
      return BadField("image_path", request.image_path(), "closed formulas open no image", "give the page's size");
    }
    DSOCR_RETURN_IF_ERROR(CheckAbsolute("image_path", request.image_path()));
    source.image_path = request.image_path();
    DSOCR_RETURN_IF_ERROR(ApplyImage(config_->Get()->runner_path, source, request.request(), never, &plan));
  }
  // What cannot be analyzed at all is refused before a process is started for it.
  DSOCR_RETURN_IF_ERROR(
      analytic::AnalyzeStages(plan.input.model, plan.input.workload, context.value_or(plan.input.workload.seq_len))
          .status());
  const absl::StatusOr<std::string> trace = request.analytic_only()
                                                ? absl::FailedPreconditionError("closed formulas alone were asked for")
                                                : Trace(plan, source, context, never);
  return report::AnalyzeStatic(plan.input.model, plan.input.workload, context, config::kVersion, trace);
}

std::string ArtifactsDirOf(const v1::AnalyticModelReport& report) {
  return std::filesystem::path(report.layer_docs_dir()).parent_path().string();
}

absl::StatusOr<std::string> MakeTraceDir(const std::string& artifacts_root, const std::string& run_id) {
  const std::filesystem::path directory = std::filesystem::path(artifacts_root) / run_id / "trace";
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::ErrnoToStatus(error.value(),
                               fmt::format("trace directory '{}': cannot be created", directory.string()));
  }
  return directory.string();
}

std::string ProfileOrDefault(const std::string& profile_id) {
  return profile_id.empty() ? "dsocr-standard-v1" : profile_id;
}

}  // namespace dsocr::run
