#include <algorithm>
#include <vector>

#include "daemon/report/report.h"
#include "daemon/report/units.h"

namespace dsocr::report {
namespace {

struct Leaf {
  int index = 0;  // into modules, module_metrics or module_measurements, which are in one order
  double share = 0;
};

// The largest shares first; equals in tree order.
std::vector<Leaf> TopLeaves(std::vector<Leaf> leaves) {
  const size_t count = std::min<size_t>(kTopModules, leaves.size());
  std::partial_sort(
      leaves.begin(), leaves.begin() + static_cast<std::ptrdiff_t>(count), leaves.end(),
      [](const Leaf& a, const Leaf& b) { return a.share != b.share ? a.share > b.share : a.index < b.index; });
  leaves.resize(count);
  return leaves;
}

std::vector<Leaf> LeavesOf(const v1::AnalyticModelReport& report) {
  std::vector<Leaf> leaves;
  if (report.module_metrics_size() == report.modules_size()) {
    for (int i = 0; i < report.modules_size(); ++i) {
      if (report.modules(i).children().empty()) {
        leaves.push_back({i, report.module_metrics(i).share_of_model_time()});
      }
    }
  } else if (report.module_measurements_size() == report.modules_size()) {
    // Paths of an unknown model have time of their own at every level.
    for (int i = 0; i < report.modules_size(); ++i) {
      leaves.push_back(
          {i, Share(report.module_measurements(i).self_device_time_ms(), report.measured_total_time_ms())});
    }
  }
  return leaves;
}

}  // namespace

v1::DeepSeekOCRAnalyticReportSummary Summarize(const v1::AnalyticModelReport& report) {
  v1::DeepSeekOCRAnalyticReportSummary summary;
  summary.set_report_id(report.report_id());
  summary.set_model_variant(report.model().model_variant());
  summary.set_workload_profile_id(report.workload().profile_id());
  if (report.has_predicted_total_time_ms()) {
    summary.set_predicted_total_time_ms(report.predicted_total_time_ms());
  }
  if (report.has_measured_total_time_ms()) {
    summary.set_measured_total_time_ms(report.measured_total_time_ms());
  }
  if (report.has_predicted_vs_measured_ratio()) {
    summary.set_predicted_vs_measured_ratio(report.predicted_vs_measured_ratio());
  }
  for (const Leaf& leaf : TopLeaves(LeavesOf(report))) {
    const v1::AnalyticModuleNode& node = report.modules(leaf.index);
    v1::AnalyticModuleSummary& module = *summary.add_top_modules();
    module.set_module_id(node.module_id());
    module.set_name(node.name());
    module.set_stage(node.stage());
    module.set_share_of_model_time(leaf.share);
    if (leaf.index < report.module_metrics_size()) {
      const v1::ModuleMetricsSnapshot& metrics = report.module_metrics(leaf.index);
      module.set_total_time_ms(metrics.total_time_ms());
      module.set_total_flops_tflops(metrics.total_flops_tflops());
      module.set_memory_activations_gb(metrics.memory_activations_gb());
    }
  }
  const v1::Residual& residual = report.residual();
  for (int i = 0; i < std::min(kTopResidualParts, residual.parts_size()); ++i) {
    *summary.add_top_residual_parts() = residual.parts(i);
  }
  summary.set_notes(report.notes());
  return summary;
}

}  // namespace dsocr::report
