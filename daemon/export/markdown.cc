#include "daemon/export/markdown.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "daemon/export/capture_section.h"
#include "daemon/export/index.h"
#include "daemon/export/text.h"
#include "fmt/format.h"

namespace dsocr::exporter {
namespace {

constexpr size_t kTopModules = 20;

// The stages of users' talk: the children of the root, those of vision in place of vision.
std::vector<const v1::AnalyticModuleNode*> StagesOf(const v1::AnalyticModelReport& report) {
  const std::string& root = report.modules(0).module_id();
  std::vector<const v1::AnalyticModuleNode*> stages;
  for (const v1::AnalyticModuleNode& node : report.modules()) {
    if (node.parent_id() == "vision" || (node.parent_id() == root && node.module_id() != "vision")) {
      stages.push_back(&node);
    }
  }
  return stages;
}

// predicted, measured, ratio and share of one module; "-" for what is not known.
std::vector<std::string> TimeCells(const v1::ModuleMetricsSnapshot* metrics, const v1::ModuleMeasurement* measured) {
  const double measured_ms = measured != nullptr ? measured->busy_time_ms() + measured->gap_time_ms() : 0;
  std::vector<std::string> cells(4, "-");
  if (metrics != nullptr) {
    cells[0] = Figure(metrics->total_time_ms());
    cells[3] = Percent(metrics->share_of_model_time());
  }
  if (measured != nullptr) {
    cells[1] = Figure(measured_ms);
  }
  if (metrics != nullptr && measured_ms > 0) {
    cells[2] = fmt::format("{:.2f}", metrics->total_time_ms() / measured_ms);
  }
  return cells;
}

Table TimeTable(std::string first_column) {
  return Table({{std::move(first_column), Table::Align::kLeft},
                {"predicted ms"},
                {"measured ms"},
                {"ratio"},
                {"share of model"},
                {"TFLOP"},
                {"Tb"},
                {"bound", Table::Align::kLeft}});
}

void AddTimeRow(std::string first_cell, const v1::ModuleMetricsSnapshot* metrics, const v1::ModuleMeasurement* measured,
                Table* table) {
  std::vector<std::string> cells = {std::move(first_cell)};
  for (std::string& cell : TimeCells(metrics, measured)) {
    cells.push_back(std::move(cell));
  }
  cells.push_back(metrics != nullptr ? Figure(metrics->total_flops_tflops()) : "-");
  cells.push_back(metrics != nullptr ? Figure(metrics->total_io_tb()) : "-");
  cells.push_back(measured != nullptr  ? BoundWord(measured->bound())
                  : metrics != nullptr ? BoundWord(metrics->bound())
                                       : "-");
  table->Add(std::move(cells));
}

std::string StageSection(const v1::AnalyticModelReport& report, const ReportIndex& index) {
  Table table = TimeTable("stage");
  for (const v1::AnalyticModuleNode* stage : StagesOf(report)) {
    AddTimeRow(Escaped(stage->name()), index.metrics(stage->module_id()), index.measurement(stage->module_id()),
               &table);
  }
  const std::string& root = report.modules(0).module_id();
  AddTimeRow("**total**", index.metrics(root), index.measurement(root), &table);
  return fmt::format("## Stages\n\n{}", table.ToString());
}

// The modules with most time of their own: measured where there is a measurement, else predicted.
std::string TopSection(const v1::AnalyticModelReport& report, const ReportIndex& index) {
  std::vector<std::pair<double, const v1::AnalyticModuleNode*>> own;
  for (const v1::AnalyticModuleNode& node : report.modules()) {
    const auto* metrics = index.metrics(node.module_id());
    const auto* measured = index.measurement(node.module_id());
    const double time_ms = measured != nullptr  ? measured->self_device_time_ms()
                           : metrics != nullptr ? metrics->self_time_ms()
                                                : 0;
    if (time_ms > 0) {
      own.emplace_back(time_ms, &node);
    }
  }
  std::stable_sort(own.begin(), own.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  own.resize(std::min(own.size(), kTopModules));
  Table table = TimeTable("module");
  for (const auto& [time_ms, node] : own) {
    AddTimeRow(Code(node->module_id()), index.metrics(node->module_id()), index.measurement(node->module_id()), &table);
  }
  return fmt::format("## Top modules\n\n{}", table.ToString());
}

std::string AttributionSection(const v1::Attribution& attribution) {
  return fmt::format(
      "## Attribution\n\n{} of {} ms of device time belong to a module, {} ms to none; {} operations, {} of them "
      "without a "
      "module; {} records received, {} dropped, {} invalid; agent cost {} ms; clock uncertainty {} ns; route {}.\n",
      Percent(attribution.attributed_share()),
      Figure(attribution.attributed_device_time_ms() + attribution.unattributed_device_time_ms()),
      Figure(attribution.unattributed_device_time_ms()), attribution.operations(),
      attribution.operations_unattributed(), attribution.records_received(), attribution.records_dropped(),
      attribution.records_invalid(), Figure(attribution.agent_cost_ms()), attribution.clock_uncertainty_ns(),
      RouteWord(attribution.route()));
}

std::string ResidualSection(const v1::Residual& residual) {
  Table table({{"why", Table::Align::kLeft}, {"ms"}, {"most of it in", Table::Align::kLeft}});
  for (const v1::ResidualPart& part : residual.parts()) {
    table.Add({Escaped(part.text()), Figure(part.residual_ms()),
               part.has_module_id() ? Code(part.module_id()) : std::string()});
  }
  table.Add({"**measured - predicted**", Figure(residual.residual_ms()), ""});
  return fmt::format("## Residual\n\n{}", table.ToString());
}

std::string WorkloadLine(const v1::OCRWorkloadProfile& workload) {
  return fmt::format("{}: page {}x{}, crop grid {}x{}, {} image tokens, {} prompt tokens, {} new tokens, {}",
                     Code(workload.profile_id()), workload.page_width(), workload.page_height(),
                     workload.crop_grid_size() == 2 ? workload.crop_grid(0) : 1,
                     workload.crop_grid_size() == 2 ? workload.crop_grid(1) : 1, workload.image_tokens(),
                     workload.seq_len(), workload.max_new_tokens(), Escaped(workload.dtype()));
}

}  // namespace

std::string HeadTable(const v1::AnalyticModelReport& report) {
  Table table({{"", Table::Align::kLeft}, {"", Table::Align::kLeft}});
  if (report.has_model()) {
    table.Add({"model",
               fmt::format("{}, variant {}", Code(report.model().model_id()), Code(report.model().model_variant()))});
  }
  if (report.has_workload()) {
    table.Add({"workload", WorkloadLine(report.workload())});
  }
  if (report.has_predicted_total_time_ms()) {
    table.Add({"predicted", Figure(report.predicted_total_time_ms()) + " ms"});
  }
  if (report.has_measured_total_time_ms()) {
    table.Add({"measured", Figure(report.measured_total_time_ms()) + " ms"});
  }
  if (report.has_predicted_vs_measured_ratio()) {
    table.Add({"predicted / measured", fmt::format("{:.3f}", report.predicted_vs_measured_ratio())});
  }
  table.Add({"notes", Escaped(report.notes())});
  return table.ToString();
}

std::string ToMarkdown(const v1::AnalyticModelReport& report) {
  const ReportIndex index(report);
  std::string text = fmt::format("# Report {}\n\n{}", Code(report.report_id()), HeadTable(report));
  const v1::Provenance& provenance = report.provenance();
  text +=
      fmt::format("\nMade by dsocr {} on {} for {} ({}).\n", Escaped(provenance.tool_version()),
                  Escaped(provenance.started_at()), Escaped(provenance.device().name()), Escaped(provenance.dtype()));
  if (report.modules_size() > 0) {
    text += fmt::format("\n{}\n{}", StageSection(report, index), TopSection(report, index));
  }
  if (report.has_residual()) {
    text += fmt::format("\n{}", ResidualSection(report.residual()));
  }
  if (report.has_attribution()) {
    text += fmt::format("\n{}", AttributionSection(report.attribution()));
    if (const std::string capture = CaptureSection(report.attribution()); !capture.empty()) {
      text += fmt::format("\n{}", capture);
    }
  }
  return text;
}

}  // namespace dsocr::exporter
