#include "client/render/report_table.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "client/render/capture_text.h"
#include "client/render/report_view.h"
#include "client/render/residual_table.h"
#include "client/render/units.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

constexpr size_t kTopModules = 12;
constexpr size_t kLabelWidth = 46;  // the other columns take 53 of the 100

std::string Exact(std::optional<double> value) { return value ? document::FormatDouble(*value) : ""; }

std::string BoundWord(v1::Bound bound) {
  const auto* value = v1::Bound_descriptor()->FindValueByNumber(bound);  // null: from a newer daemon
  return bound == v1::BOUND_UNSPECIFIED || value == nullptr ? "" : document::EnumWord(*value);
}

// How far off a prediction is: within a quarter, within the bounds that we promise for a CPU (issue bounds 0.4 to 2.5),
// or beyond.
Style StyleOfRatio(std::optional<double> ratio) {
  if (!ratio) {
    return Style::kDim;
  }
  const double factor = std::max(*ratio, 1 / *ratio);
  return factor <= 1.25 ? Style::kGood : factor <= 2.5 ? Style::kFair : Style::kPoor;
}

// One of the three tables: `figures` with their shares of `total`.
Table FiguresTable(const std::string& title, const std::vector<Figures>& figures, const Figures& total,
                   bool is_measured) {
  Table table;
  table.columns = {{title, "name"}, {"PREDICTED", "predicted_ms", true}, {"90 %", "interval_90_share", true}};
  if (is_measured) {
    table.columns.push_back({"MEASURED", "measured_ms", true});
    table.columns.push_back({"RATIO", "ratio", true});
  }
  table.columns.push_back({"SHARE", "share", true});
  table.columns.push_back({"", "bar"});
  table.columns.push_back({"BOUND", "bound"});
  const double whole = is_measured ? total.measured_ms.value_or(0) : total.predicted_ms.value_or(0);
  const auto add = [&](const Figures& line, bool is_total) {
    const double part = is_measured ? line.measured_ms.value_or(0) : line.predicted_ms.value_or(0);
    const double share = whole > 0 ? part / whole : 0;
    const Style style = is_total ? Style::kBold : line.label.starts_with('[') ? Style::kDim : Style::kPlain;
    std::vector<Cell> row;
    row.emplace_back(Shortened(line.label, kLabelWidth), line.label, style);
    row.emplace_back(HumanMs(line.predicted_ms), Exact(line.predicted_ms), style);
    row.emplace_back(line.interval_90_share ? "±" + HumanShare(*line.interval_90_share) : "",
                     Exact(line.interval_90_share), Style::kDim);
    if (is_measured) {
      row.emplace_back(HumanMs(line.measured_ms), Exact(line.measured_ms), style);
      row.emplace_back(HumanRatio(line.Ratio()), Exact(line.Ratio()),
                       line.label.starts_with('[') ? Style::kDim : StyleOfRatio(line.Ratio()));
    }
    row.emplace_back(HumanShare(share), document::FormatDouble(share), style);
    row.emplace_back(is_total ? "" : Bar(share), Style::kDim);
    row.emplace_back(BoundWord(line.bound), Style::kDim);
    table.rows.push_back(std::move(row));
  };
  for (const Figures& line : figures) {
    add(line, false);
  }
  add(total, true);
  return table;
}

void DropEmptyColumn(const std::string& key, Table* table) {
  for (size_t i = 0; i < table->columns.size(); ++i) {
    if (table->columns[i].key != key) {
      continue;
    }
    if (std::all_of(table->rows.begin(), table->rows.end(), [i](const auto& row) { return row[i].text.empty(); })) {
      table->columns.erase(table->columns.begin() + static_cast<std::ptrdiff_t>(i));
      for (auto& row : table->rows) {
        row.erase(row.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    return;
  }
}

std::vector<Table> Tables(const ReportView& view) {
  const Figures total = view.Total();
  Figures categories_total = total;
  categories_total.bound = v1::BOUND_UNSPECIFIED;
  std::vector<Table> tables = {
      FiguresTable("STAGE", view.Stages(), total, view.is_measured()),
      FiguresTable("MODULE", view.TopModules(kTopModules), total, view.is_measured()),
      FiguresTable("OPERATORS", view.Categories(), categories_total, view.is_measured()),
  };
  for (Table& table : tables) {
    DropEmptyColumn("interval_90_share", &table);
    DropEmptyColumn("bound", &table);
  }
  return tables;
}

// One width for all three, so that the same figures stand below each other.
void AlignFirstColumns(std::vector<Table>* tables) {
  size_t width = 0;
  for (const Table& table : *tables) {
    for (const std::vector<Cell>& row : table.rows) {
      width = std::max(width, DisplayWidth(row.front().text));
    }
  }
  for (Table& table : *tables) {
    std::string& title = table.columns.front().title;
    title.append(width - std::min(width, title.size()), ' ');
  }
}

// What was predicted and run, in one or two lines.
std::string Heading(const v1::AnalyticModelReport& report) {
  const v1::Provenance& provenance = report.provenance();
  const v1::DeviceInfo& info = provenance.device();
  const std::string device =
      info.kind() == "cpu" && info.cores() > 0 ? fmt::format("{} ({} cores)", info.name(), info.cores()) : info.name();
  std::string heading;
  if (report.has_model()) {
    const v1::OCRWorkloadProfile& workload = report.workload();
    heading = fmt::format("{} · {} · {} on {}\n", report.model().model_variant(), workload.profile_id(),
                          provenance.dtype(), device);
    heading += fmt::format("page {}x{}, {} prompt tokens ({} of the image), {} new tokens", workload.page_width(),
                           workload.page_height(), HumanCount(workload.seq_len()), HumanCount(workload.image_tokens()),
                           HumanCount(workload.max_new_tokens()));
  } else {
    heading = fmt::format("a job whose model is not recognised · on {}", device);
  }
  if (!report.has_measured_total_time_ms()) {
    return heading + " · predicted, not measured\n";
  }
  return heading + (provenance.repeats() > 1 ? fmt::format(" · median of {} requests\n", provenance.repeats()) : "\n");
}

// How much of the measured time has an owner, and what the measuring cost.
std::string AttributionLines(const ReportView& view) {
  const v1::Attribution& attribution = view.report().attribution();
  const double total = view.report().measured_total_time_ms();
  const auto with_share = [total](double ms) {
    return total > 0 ? fmt::format("{} ({})", HumanMs(ms), HumanShare(ms / total)) : HumanMs(ms);
  };
  return fmt::format("attributed {:.2f} %   unattributed {}   idle {}\nagent {}   dropped {} of {} records\n",
                     100 * attribution.attributed_share(), HumanMs(attribution.unattributed_device_time_ms()),
                     with_share(view.IdleMs()), with_share(attribution.agent_cost_ms()),
                     HumanCount(attribution.records_dropped()),
                     HumanCount(attribution.records_received() + attribution.records_dropped())) +
         CaptureText(attribution);
}

}  // namespace

std::string ReportText(const v1::AnalyticModelReport& report, bool has_color) {
  const ReportView view(report);
  std::string out = Heading(report);
  std::vector<Table> tables = Tables(view);
  AlignFirstColumns(&tables);
  for (const Table& table : tables) {
    out += fmt::format("\n{}", TableText(table, has_color));
  }
  if (report.has_residual()) {
    out += fmt::format("\n{}", TableText(ResidualTable(report.residual()), has_color));
  }
  if (report.has_attribution()) {
    out += fmt::format("\n{}", AttributionLines(view));
  }
  if (!report.notes().empty()) {
    out += fmt::format("\n{}\n", report.notes());
  }
  return out;
}

std::string ReportMarkdown(const v1::AnalyticModelReport& report) {
  const ReportView view(report);
  std::string out = fmt::format("# Report {}\n\n{}", report.report_id(), Heading(report));
  for (const Table& table : Tables(view)) {
    out += fmt::format("\n{}", TableMarkdown(table));
  }
  if (report.has_residual()) {
    out += fmt::format("\n{}", TableMarkdown(ResidualTable(report.residual())));
  }
  if (report.has_attribution()) {
    out += fmt::format("\n{}", AttributionLines(view));
  }
  return out;
}

Table ModuleTable(const v1::AnalyticModelReport& report) {
  const ReportView view(report);
  Table table;
  table.columns = {{"MODULE", "module_id"},
                   {"STAGE", "stage"},
                   {"CALLS", "calls", true},
                   {"PREDICTED", "predicted_ms", true},
                   {"MEASURED", "measured_ms", true},
                   {"RATIO", "ratio", true},
                   {"BOUND", "bound"}};
  for (const v1::AnalyticModuleNode& node : report.modules()) {
    const Figures figures = view.OfModule(node);
    const int64_t calls = figures.calls.value_or(0);
    table.rows.push_back({Cell(node.module_id()),
                          Cell(document::EnumWord(*v1::Stage_descriptor()->FindValueByNumber(
                              v1::Stage_IsValid(node.stage()) ? node.stage() : v1::STAGE_UNSPECIFIED))),
                          Cell(HumanCount(calls), fmt::format("{}", calls)),
                          Cell(HumanMs(figures.predicted_ms), Exact(figures.predicted_ms)),
                          Cell(HumanMs(figures.measured_ms), Exact(figures.measured_ms)),
                          Cell(HumanRatio(figures.Ratio()), Exact(figures.Ratio())), Cell(BoundWord(figures.bound))});
  }
  return table;
}

}  // namespace dsocr::client
