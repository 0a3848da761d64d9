#include "daemon/what_if/baseline.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "analytic/explanation.h"
#include "base/status.h"
#include "daemon/calibrate/calibration.h"
#include "daemon/calibrate/machine.h"
#include "daemon/catalog/models.h"
#include "daemon/catalog/workload_file.h"
#include "daemon/report/units.h"
#include "fmt/format.h"

namespace dsocr::what_if {
namespace {

absl::Status Refuse(const v1::AnalyticModelReport& report, std::string_view why, std::string_view todo) {
  return absl::InvalidArgumentError(fmt::format("report '{}': {}; {}", report.report_id(), why, todo));
}

// What the report itself says about its device: leaves that are one operator of one shape. How many launches are in
// their time, `model` says; a report counts what is dispatched.
std::vector<analytic::CalibrationPoint> PointsOf(const v1::AnalyticModelReport& report,
                                                 const analytic::Explanation& model) {
  constexpr double kLargest = 9e18;  // of what 64 bits hold; a file may say anything
  std::vector<analytic::CalibrationPoint> points;
  const int nodes =
      std::min({report.modules_size(), report.module_metrics_size(), static_cast<int>(model.modules.size())});
  for (int i = 0; i < nodes; ++i) {
    const v1::ModuleMetricsSnapshot& metrics = report.module_metrics(i);
    const double device_ms = metrics.total_time_ms() - metrics.idle_time_ms();
    const std::vector<analytic::DistinctCall>& distinct = model.modules[static_cast<size_t>(i)].calls;
    if (metrics.module_id() != model.tree.nodes[static_cast<size_t>(i)].id || distinct.empty() ||
        distinct[0].operators.size() != 1 || report.modules(i).input_shapes_size() > 1 ||
        metrics.operator_breakdown_size() != 1 || !(metrics.calls() > 0 && device_ms > 0)) {
      continue;
    }
    const auto calls = static_cast<double>(metrics.calls());
    const auto each = [&](double total) { return std::llround(std::min(total / calls, kLargest)); };
    points.push_back({.category_id = metrics.operator_breakdown(0).category_id(),
                      .flops = each(metrics.total_flops_tflops() * 1e12),
                      .vector_flops = each(metrics.vector_flops_tflops() * 1e12),
                      .io_bytes = each(metrics.total_io_tb() * 1e12 / 8),
                      .launches = distinct[0].operators[0].description.launches.Integer(),
                      .time_ns = device_ms * 1e6 / calls});
  }
  return points;
}

// The device with its calibration, or one near it; a note says which.
absl::StatusOr<calibrate::Calibrated> DeviceOf(const v1::AnalyticModelReport& report, const analytic::ModelSpec& model,
                                               const analytic::Workload& workload, store::Store* store,
                                               std::vector<std::string>* notes) {
  const v1::Provenance& provenance = report.provenance();
  DSOCR_ASSIGN_OR_RETURN(const analytic::Device datasheet, calibrate::DatasheetOf(provenance.device()));
  if (!provenance.has_calibration_id()) {
    return calibrate::Calibrated{.device = datasheet};
  }
  const std::string& id = provenance.calibration_id();
  const store::CalibrationKey key = {.device_name = provenance.device().name(),
                                     .dtype = provenance.dtype(),
                                     .driver = provenance.device().driver(),
                                     .tool_version = provenance.tool_version()};
  absl::StatusOr<calibrate::Calibrated> calibrated = calibrate::ApplyCalibration(datasheet, id, key, store);
  if (!calibrated.ok()) {
    notes->push_back(fmt::format("calibration '{}' is not at hand, the report's own times stand in for it", id));
    DSOCR_RETURN_IF_ERROR(analytic::CheckWorkload(model, workload));
    calibrate::Calibrated stand_in;
    DSOCR_ASSIGN_OR_RETURN(stand_in.device,
                           analytic::Calibrate(datasheet, workload.precision,
                                               PointsOf(report, analytic::Explain(model, workload, datasheet)), id));
    return stand_in;
  }
  return calibrated;
}

}  // namespace

absl::StatusOr<ReportBaseline> BaselineOf(const v1::AnalyticModelReport& report, store::Store* store) {
  if (!report.has_model() || !report.has_workload() || report.module_metrics().empty()) {
    return Refuse(report, "it predicts nothing, its model is not known", "name a report of 'dsocrctl run'");
  }
  std::vector<std::string> notes;
  analytic::Baseline baseline;
  DSOCR_ASSIGN_OR_RETURN(baseline.model, catalog::ModelOf(report.model()));
  DSOCR_ASSIGN_OR_RETURN(baseline.workload, catalog::WorkloadOf(report.workload()));
  baseline.workload.cuda_graphs = report.provenance().cuda_graphs();
  DSOCR_ASSIGN_OR_RETURN(calibrate::Calibrated calibrated,
                         DeviceOf(report, baseline.model, baseline.workload, store, &notes));
  baseline.device = std::move(calibrated.device);
  calibrate::UseRouting(calibrated.routing, report.provenance().weights(), &baseline.model);  // as the report did
  DSOCR_ASSIGN_OR_RETURN(analytic::WhatIf what_if, analytic::WhatIf::Create(std::move(baseline)));
  DSOCR_ASSIGN_OR_RETURN(analytic::ScenarioPrice price, what_if.Price({}));
  if (report::Tflops(price.total_flops) != report.module_metrics(0).total_flops_tflops()) {
    return Refuse(
        report,
        fmt::format("it has {} TFLOPs, and the model of '{}' makes {}", report.module_metrics(0).total_flops_tflops(),
                    report.model().config_path(), report::Tflops(price.total_flops)),
        "bring back the config.json that it was made with, or make a new report");
  }
  if (const double ms = report::Milliseconds(price.total_time_ns); ms != report.predicted_total_time_ms()) {
    notes.push_back(fmt::format("the baseline takes {} ms, the report says {}", ms, report.predicted_total_time_ms()));
  }
  return ReportBaseline{std::move(what_if), std::move(price), std::move(notes)};
}

}  // namespace dsocr::what_if
