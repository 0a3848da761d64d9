#include "daemon/run/rejoin.h"

#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "base/status.h"
#include "daemon/catalog/workload_file.h"
#include "fmt/format.h"
#include "google/protobuf/util/message_differencer.h"

namespace dsocr::run {
namespace {

// One module: the measured times stay, what compares them with a prediction is made anew.
void Compare(const v1::ModuleMetricsSnapshot& predicted, v1::ModuleMeasurement* measurement) {
  measurement->set_predicted_time_ms(predicted.total_time_ms());
  measurement->set_residual_ms(measurement->busy_time_ms() + measurement->gap_time_ms() - predicted.total_time_ms());
  for (v1::MeasuredOperator& measured : *measurement->mutable_operator_breakdown()) {
    measured.clear_predicted_time_ms();
    for (const v1::OperatorMetrics& op : predicted.operator_breakdown()) {
      if (op.category_id() == measured.category_id()) {
        measured.set_predicted_time_ms(op.time_ms());
      }
    }
  }
}

}  // namespace

absl::StatusOr<v1::AnalyticModelReport> MeasuredReportOf(const std::string& run_id, store::Store* store) {
  DSOCR_ASSIGN_OR_RETURN(const v1::Run run, store->GetRun(run_id));
  DSOCR_ASSIGN_OR_RETURN(v1::AnalyticModelReport report, store->GetReport(run.report_id()));
  if (!report.has_measured_total_time_ms()) {
    return absl::FailedPreconditionError(fmt::format(
        "profile_run_id '{}': that run measured nothing; name one that is done, see 'dsocrctl list'", run_id));
  }
  return report;
}

absl::Status CheckComparable(const report::ReportInput& input, const v1::AnalyticModelReport& measured) {
  const v1::OCRWorkloadProfile profile = catalog::ProfileOf(input.model, input.workload);
  if (!measured.has_workload() || !google::protobuf::util::MessageDifferencer::Equals(profile, measured.workload())) {
    return absl::InvalidArgumentError(fmt::format(
        "profile_run_id '{}': that run's workload is '{}', this request's is '{}'; ask for the same workload",
        measured.profile_run_id(), measured.workload().profile_id(), profile.profile_id()));
  }
  if (measured.model().config_path() != input.config_path) {
    return absl::InvalidArgumentError(
        fmt::format("profile_run_id '{}': that run's model is '{}', this request's is '{}'; ask for the same model",
                    measured.profile_run_id(), measured.model().config_path(), input.config_path));
  }
  if (const bool replayed = measured.provenance().cuda_graphs(); replayed != input.workload.cuda_graphs) {
    return absl::InvalidArgumentError(
        fmt::format("profile_run_id '{}': that run decoded {} CUDA graphs; {} --cuda-graphs", measured.profile_run_id(),
                    replayed ? "with" : "without", replayed ? "add" : "leave out"));
  }
  return absl::OkStatus();
}

void JoinStored(const v1::AnalyticModelReport& measured, const std::string& run_id, v1::AnalyticModelReport* report) {
  *report->mutable_module_measurements() = measured.module_measurements();
  *report->mutable_attribution() = measured.attribution();
  report->set_profile_run_id(run_id);
  report->set_measured_total_time_ms(measured.measured_total_time_ms());
  report->set_predicted_vs_measured_ratio(report->predicted_total_time_ms() / measured.measured_total_time_ms());
  report->mutable_provenance()->set_repeats(measured.provenance().repeats());
  report->mutable_provenance()->set_warmup(measured.provenance().warmup());
  *report->mutable_provenance()->mutable_weights() = measured.provenance().weights();

  absl::flat_hash_map<std::string_view, const v1::ModuleMetricsSnapshot*> predicted;
  for (const v1::ModuleMetricsSnapshot& snapshot : report->module_metrics()) {
    predicted.emplace(snapshot.module_id(), &snapshot);
  }
  for (v1::ModuleMeasurement& measurement : *report->mutable_module_measurements()) {
    if (const auto found = predicted.find(std::string_view(measurement.module_id())); found != predicted.end()) {
      Compare(*found->second, &measurement);
    }
  }
  if (!report->module_measurements().empty()) {  // the root comes first; its span is the request's
    report->mutable_module_measurements(0)->set_residual_ms(report->measured_total_time_ms() -
                                                            report->predicted_total_time_ms());
  }
}

}  // namespace dsocr::run
