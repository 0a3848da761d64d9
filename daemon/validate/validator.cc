#include "daemon/validate/validator.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "daemon/config/version.h"
#include "daemon/store/new_id.h"
#include "daemon/validate/baseline.h"
#include "daemon/validate/judge.h"
#include "daemon/validate/suite.h"
#include "fmt/format.h"

namespace dsocr::validate {
namespace {

absl::Status InCase(const std::string& name, const absl::Status& status) {
  return absl::Status(status.code(), fmt::format("case '{}': {}", name, std::string(status.message())));
}

}  // namespace

absl::StatusOr<v1::ValidationSuite> Validator::SuiteOf(const v1::ValidateRequest& request) const {
  v1::ValidationSuite suite = request.suite();
  if (!request.has_suite()) {
    const std::string device = request.device().empty() ? "auto" : request.device();
    DSOCR_ASSIGN_OR_RETURN(const calibrate::Target target, calibrate::ResolveDevice(device, *machine_));
    suite = BuiltInSuite(target.runner_device);
  }
  for (v1::ValidationCase& of : *suite.mutable_cases()) {
    if (!request.device().empty()) {
      of.set_device(request.device());
    }
    if (request.has_max_error_pct()) {
      of.mutable_bounds()->set_max_stage_error_pct(request.max_error_pct());
      of.mutable_bounds()->set_max_total_error_pct(request.max_error_pct());
    }
  }
  return CompleteSuite(suite);
}

absl::StatusOr<v1::Run> Validator::Execute(const v1::ModelRun& model_run, run::Caller caller,
                                           const std::function<bool()>& is_cancelled,
                                           const std::function<bool(const v1::RunEvent&)>& tell) const {
  v1::StartRunRequest start;
  *start.mutable_model() = model_run;
  DSOCR_ASSIGN_OR_RETURN(const v1::StartRunResponse started, runs_->Start(start, caller));
  const absl::Status watched = runs_->Watch(started.run_id(), is_cancelled, tell);
  if (!watched.ok()) {
    runs_->Cancel(started.run_id()).status().IgnoreError();
    return watched;
  }
  return runs_->Get(started.run_id());
}

absl::StatusOr<v1::CaseVerdict> Validator::RunCase(const v1::ValidationCase& of, const std::string& artifacts_root,
                                                   run::Caller caller, const std::function<bool()>& is_cancelled,
                                                   const Tell& tell) const {
  const std::vector<v1::ModelRun> runs = RunsOf(of, artifacts_root);
  std::vector<v1::AnalyticModelReport> reports;
  const auto tell_of_case = [&](const v1::RunEvent& event) {
    v1::ValidateEvent told;
    told.set_case_name(of.name());
    told.set_state(event.run().state());
    told.set_message(runs.size() == 1
                         ? event.message()
                         : fmt::format("run {} of {}: {}", reports.size() + 1, runs.size(), event.message()));
    if (event.has_progress()) {
      told.set_progress((static_cast<double>(reports.size()) + event.progress()) / static_cast<double>(runs.size()));
    }
    return tell(told);
  };
  for (const v1::ModelRun& model_run : runs) {
    DSOCR_ASSIGN_OR_RETURN(const v1::Run run, Execute(model_run, caller, is_cancelled, tell_of_case));
    if (run.state() != v1::RUN_STATE_DONE) {
      return Failed(of, run.error());
    }
    DSOCR_ASSIGN_OR_RETURN(reports.emplace_back(), store_->GetReport(run.report_id()));
  }
  return Judge(of, reports);
}

absl::StatusOr<v1::Validation> Validator::Validate(const v1::ValidateRequest& request, run::Caller caller,
                                                   const std::function<bool()>& is_cancelled, const Tell& tell) const {
  DSOCR_ASSIGN_OR_RETURN(const v1::ValidationSuite suite, SuiteOf(request));
  std::optional<v1::Validation> baseline;
  if (request.has_baseline()) {
    baseline = request.baseline();
  } else if (!request.baseline_id().empty()) {
    DSOCR_ASSIGN_OR_RETURN(baseline, store_->GetValidation(request.baseline_id(), suite.name()));
  }

  v1::Validation validation;
  validation.set_validation_id(store::NewId("v"));
  validation.set_suite(suite.name());
  validation.set_started_at(absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone()));
  validation.set_tool_version(std::string(config::kVersion));
  for (const v1::ValidationCase& of : suite.cases()) {
    absl::StatusOr<v1::CaseVerdict> verdict = RunCase(of, request.artifacts_root(), caller, is_cancelled, tell);
    if (!verdict.ok()) {
      return InCase(of.name(), verdict.status());
    }
    *validation.add_cases() = *std::move(verdict);
  }
  if (baseline) {
    CompareWithBaseline(*baseline, &validation);
  }
  Summarize(&validation);
  DSOCR_RETURN_IF_ERROR(store_->PutValidation(validation));
  return validation;
}

}  // namespace dsocr::validate
