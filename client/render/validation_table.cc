#include "client/render/validation_table.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <optional>
#include <utility>

#include "client/render/units.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

constexpr size_t kChartWidth = 60;  // the newest so many

std::string Percent(double value) { return fmt::format("{:.1f} %", value); }

std::string SignedPercent(double value) { return fmt::format("{:+.1f} %", value); }

Cell Result(bool passed) { return passed ? Cell("passed", Style::kGood) : Cell("FAILED", Style::kPoor); }

Cell ResultOf(const v1::CaseVerdict& verdict) {
  return verdict.has_error() ? Cell("ERROR", Style::kPoor) : Result(verdict.passed());
}

const v1::StageVerdict* TotalOf(const v1::CaseVerdict& verdict) {
  for (const v1::StageVerdict& stage : verdict.stages()) {
    if (stage.stage() == "total") {
      return &stage;
    }
  }
  return nullptr;
}

const v1::LaunchVerdict* LaunchesOf(const v1::CaseVerdict& verdict, const std::string& stage) {
  for (const v1::LaunchVerdict& launches : verdict.launches()) {
    if (launches.stage() == stage) {
      return &launches;
    }
  }
  return nullptr;
}

Cell OperationsCell(const v1::LaunchVerdict* launches) {
  if (launches == nullptr) {
    return Cell("");
  }
  const Style style = launches->within() ? Style::kPlain : Style::kPoor;
  return launches->measured_launches() == launches->predicted_launches()
             ? Cell(HumanCount(launches->measured_launches()), style)
             : Cell(fmt::format("{} of {}", HumanCount(launches->measured_launches()),
                                HumanCount(launches->predicted_launches())),
                    style);
}

Table StageTable(const v1::CaseVerdict& verdict) {
  Table table;
  table.columns = {{"STAGE", "stage"},
                   {"PREDICTED", "predicted_ms", true},
                   {"MEASURED", "measured_ms", true},
                   {"RATIO", "ratio", true},
                   {"ERROR", "error_pct", true},
                   {"BOUND", "max_error_pct", true},
                   {"OPERATIONS", "launches", true},
                   {"", "within"}};
  for (const v1::StageVerdict& stage : verdict.stages()) {
    const Style style = stage.stage() == "total" ? Style::kBold : Style::kPlain;
    table.rows.push_back({Cell(stage.stage(), style), Cell(HumanMs(stage.predicted_ms()), style),
                          Cell(HumanMs(stage.measured_ms()), style), Cell(HumanRatio(stage.ratio()), style),
                          Cell(Percent(stage.error_pct()), stage.within() ? style : Style::kPoor),
                          Cell(stage.has_max_error_pct() ? fmt::format("{:.10g} %", stage.max_error_pct()) : "-"),
                          OperationsCell(LaunchesOf(verdict, stage.stage())),
                          stage.within() ? Cell("within", Style::kGood) : Cell("outside", Style::kPoor)});
  }
  return table;
}

Table ChangeTable(const v1::RegressionVerdict& regression) {
  Table table;
  table.columns = {{"MODULE", "module_id"},
                   {"CLASS", "operator_category"},
                   {"CHANGE", "change_pct", true},
                   {"SHARE", "share_of_time", true},
                   {"P", "p_value", true}};
  for (const v1::ModuleChange& module : regression.modules()) {
    table.rows.push_back(
        {Cell(module.module_id()), Cell(module.operator_category()),
         Cell(SignedPercent(module.change_pct()), module.is_regression() ? Style::kPoor : Style::kPlain),
         Cell(HumanShare(module.share_of_time())),
         Cell(module.p_value() < 0.001 ? "<0.001" : fmt::format("{:.3f}", module.p_value()))});
  }
  return table;
}

std::string Heading(const v1::CaseVerdict& verdict) {
  std::string heading = verdict.name();
  for (const std::string& part : {verdict.workload(), verdict.dtype()}) {
    heading += part.empty() || part == verdict.name() ? "" : " · " + part;
  }
  heading += verdict.device().empty() ? "" : fmt::format(" on {}", verdict.device());
  if (verdict.provenance().repeats() > 1) {
    heading += fmt::format(" · median of {} requests", verdict.provenance().repeats());
  }
  return heading;
}

std::string BaselineLine(const v1::RegressionVerdict& regression) {
  return fmt::format("against {} of {} · machine {}", regression.baseline_id(), regression.baseline_started_at(),
                     SignedPercent(regression.machine_change_pct()));
}

template <typename ToText>
std::string CaseBody(const v1::CaseVerdict& verdict, const ToText& to_text) {
  std::string out;
  if (!verdict.stages().empty()) {
    out += to_text(StageTable(verdict));
  }
  if (verdict.has_coverage_90_pct()) {
    out += fmt::format("\n90 % intervals hold {} of the times\n", Percent(verdict.coverage_90_pct()));
  }
  if (verdict.has_regression()) {
    out += fmt::format("\n{}\n", BaselineLine(verdict.regression()));
    if (!verdict.regression().modules().empty()) {
      out += fmt::format("\n{}", to_text(ChangeTable(verdict.regression())));
    }
    out += fmt::format("\n{}\n", verdict.regression().why());
  }
  return out;
}

// A case of a suite over time, oldest first.
struct Trend {
  std::vector<double> measured_ms;
  std::vector<double> ratio;
};

std::vector<std::pair<std::string, Trend>> TrendsOf(const v1::ListValidationsResponse& history) {
  std::vector<std::pair<std::string, Trend>> trends;  // in the order of the newest validation
  for (const v1::Validation& validation : history.validations()) {
    for (const v1::CaseVerdict& verdict : validation.cases()) {
      const v1::StageVerdict* total = TotalOf(verdict);
      if (total == nullptr) {
        continue;
      }
      const std::string name = fmt::format("{}/{}", validation.suite(), verdict.name());
      auto found = std::find_if(trends.begin(), trends.end(), [&](const auto& trend) { return trend.first == name; });
      found = found == trends.end() ? trends.insert(found, {name, Trend()}) : found;
      if (found->second.ratio.size() < kChartWidth) {
        found->second.measured_ms.insert(found->second.measured_ms.begin(), total->measured_ms());
        found->second.ratio.insert(found->second.ratio.begin(), total->ratio());
      }
    }
  }
  return trends;
}

std::string ChartText(const v1::ListValidationsResponse& history, bool has_color) {
  std::string out;
  for (const auto& [name, trend] : TrendsOf(history)) {
    const auto range = [](const std::vector<double>& values, auto to_text) {
      const auto [low, high] = std::minmax_element(values.begin(), values.end());
      return fmt::format("{} to {}", to_text(*low), to_text(*high));
    };
    out += fmt::format("{}\n  measured  {}  {}\n  ratio     {}  {}\n\n", Styled(name, Style::kBold, has_color),
                       Sparkline(trend.measured_ms), range(trend.measured_ms, [](double ms) { return HumanMs(ms); }),
                       Sparkline(trend.ratio), range(trend.ratio, [](double ratio) { return HumanRatio(ratio); }));
  }
  return out;
}

}  // namespace

std::string ValidationText(const v1::Validation& validation, bool has_color) {
  std::string out;
  for (const v1::CaseVerdict& verdict : validation.cases()) {
    out += fmt::format("{}\n\n{}\n", Heading(verdict),
                       CaseBody(verdict, [&](const Table& table) { return TableText(table, has_color); }));
  }
  return out + fmt::format("{}  {} · {}\n",
                           Styled(validation.passed() ? "passed" : "FAILED",
                                  validation.passed() ? Style::kGood : Style::kPoor, has_color),
                           validation.validation_id(), validation.summary());
}

std::string ValidationMarkdown(const v1::Validation& validation) {
  std::string out = fmt::format("# Validation {}: {}\n\n{}\n", validation.validation_id(),
                                validation.passed() ? "passed" : "failed", validation.summary());
  for (const v1::CaseVerdict& verdict : validation.cases()) {
    out += fmt::format("\n## {}\n\n{}", Heading(verdict), CaseBody(verdict, TableMarkdown));
  }
  return out;
}

Table ValidationTable(const v1::Validation& validation) {
  Table table;
  table.columns = {
      {"CASE", "case"},   {"STAGE", "stage"},     {"PREDICTED", "predicted_ms"}, {"MEASURED", "measured_ms"},
      {"RATIO", "ratio"}, {"ERROR", "error_pct"}, {"BOUND", "max_error_pct"},    {"WITHIN", "within"}};
  for (const v1::CaseVerdict& verdict : validation.cases()) {
    for (const v1::StageVerdict& stage : verdict.stages()) {
      table.rows.push_back(
          {Cell(verdict.name()), Cell(stage.stage()), Cell(document::FormatDouble(stage.predicted_ms())),
           Cell(document::FormatDouble(stage.measured_ms())), Cell(document::FormatDouble(stage.ratio())),
           Cell(document::FormatDouble(stage.error_pct())),
           Cell(stage.has_max_error_pct() ? document::FormatDouble(stage.max_error_pct()) : ""),
           Cell(stage.within() ? "true" : "false")});
    }
  }
  return table;
}

Table HistoryTable(const v1::ListValidationsResponse& history) {
  std::map<std::string, double> slowest_ms;
  for (const auto& [name, trend] : TrendsOf(history)) {
    slowest_ms[name] = *std::max_element(trend.measured_ms.begin(), trend.measured_ms.end());
  }
  Table table;
  table.columns = {{"VALIDATION", "validation_id"},
                   {"STARTED", "started_at"},
                   {"CASE", "case"},
                   {"PREDICTED", "predicted_ms", true},
                   {"MEASURED", "measured_ms", true},
                   {"RATIO", "ratio", true},
                   {"", "trend"},
                   {"RESULT", "result"},
                   {"REGRESSION", "regression"}};
  for (const v1::Validation& validation : history.validations()) {
    for (const v1::CaseVerdict& verdict : validation.cases()) {
      const std::string name = fmt::format("{}/{}", validation.suite(), verdict.name());
      const v1::StageVerdict* total = TotalOf(verdict);
      const auto time = [&](double ms) { return Cell(HumanMs(ms), document::FormatDouble(ms)); };
      const double slowest = slowest_ms.contains(name) ? slowest_ms[name] : 0.0;
      const v1::RegressionVerdict& regression = verdict.regression();
      table.rows.push_back(
          {Cell(validation.validation_id()), Cell(validation.started_at()), Cell(name),
           total == nullptr ? Cell("-") : time(total->predicted_ms()),
           total == nullptr ? Cell("-") : time(total->measured_ms()),
           total == nullptr ? Cell("-") : Cell(HumanRatio(total->ratio()), document::FormatDouble(total->ratio())),
           Cell(total == nullptr || slowest <= 0 ? "" : Bar(total->measured_ms() / slowest), ""), ResultOf(verdict),
           Cell(regression.is_regression()
                    ? fmt::format("{} {}", regression.module_id(), SignedPercent(regression.change_pct()))
                    : "")});
    }
  }
  return table;
}

std::string HistoryText(const v1::ListValidationsResponse& history, bool has_color) {
  return ChartText(history, has_color) + TableText(HistoryTable(history), has_color);
}

std::string HistoryMarkdown(const v1::ListValidationsResponse& history) {
  const std::string chart = ChartText(history, /*has_color=*/false);
  return fmt::format("# Validations\n\n{}{}", chart.empty() ? "" : fmt::format("```text\n{}```\n\n", chart),
                     TableMarkdown(HistoryTable(history)));
}

std::string Sparkline(const std::vector<double>& values) {
  static constexpr const char* kLevels[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  constexpr double kTop = 7;
  if (values.empty()) {
    return "";
  }
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  std::string line;
  for (const double value : values) {
    const double level = *high > *low ? kTop * (value - *low) / (*high - *low) : 3.0;
    line += kLevels[static_cast<size_t>(std::lround(level))];
  }
  return line;
}

}  // namespace dsocr::client
