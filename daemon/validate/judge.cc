#include "daemon/validate/judge.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/validate/repeats.h"
#include "fmt/format.h"

namespace dsocr::validate {
namespace {

// The five stages of users' talk, and the nodes that they are (contracts section 1).
constexpr std::pair<std::string_view, std::string_view> kStages[] = {{"sam", "vision/sam"},
                                                                     {"clip", "vision/clip"},
                                                                     {"projector", "projector"},
                                                                     {"prefill", "prefill"},
                                                                     {"decode", "decode"}};
constexpr std::string_view kTotal = "total";

// The lower one of an even number.
double LowerMedian(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct Node {
  const v1::ModuleMetricsSnapshot* predicted = nullptr;
  const v1::ModuleMeasurement* measured = nullptr;
};

using Reports = std::vector<v1::AnalyticModelReport>;

Node NodeOf(const v1::AnalyticModelReport& report, std::string_view module_id) {
  Node node;
  for (const v1::ModuleMetricsSnapshot& snapshot : report.module_metrics()) {
    node.predicted = snapshot.module_id() == module_id ? &snapshot : node.predicted;
  }
  for (const v1::ModuleMeasurement& measurement : report.module_measurements()) {
    node.measured = measurement.module_id() == module_id ? &measurement : node.measured;
  }
  return node;
}

// Of all requests of all runs, where each of them is known, else of those that the reports show.
double MedianMs(const Reports& reports, std::string_view module_id) {
  std::vector<double> times;
  for (const v1::AnalyticModelReport& report : reports) {
    if (const v1::ModuleMeasurement* measured = NodeOf(report, module_id).measured; measured == nullptr) {
      continue;
    } else if (measured->repeat_times_ms().empty()) {
      times.push_back(measured->busy_time_ms() + measured->gap_time_ms());
    } else {
      times.insert(times.end(), measured->repeat_times_ms().begin(), measured->repeat_times_ms().end());
    }
  }
  return times.empty() ? 0.0 : LowerMedian(std::move(times));
}

double MedianTotalMs(const Reports& reports) {
  std::vector<double> totals;
  for (const v1::AnalyticModelReport& report : reports) {
    totals.push_back(report.measured_total_time_ms());
  }
  return LowerMedian(std::move(totals));
}

v1::StageVerdict JudgeTime(std::string_view stage, double predicted_ms, double measured_ms,
                           std::optional<double> max_error_pct) {
  v1::StageVerdict verdict;
  verdict.set_stage(std::string(stage));
  verdict.set_predicted_ms(predicted_ms);
  verdict.set_measured_ms(measured_ms);
  if (measured_ms > 0) {
    verdict.set_ratio(predicted_ms / measured_ms);
    verdict.set_error_pct(100 * std::abs(predicted_ms - measured_ms) / measured_ms);
  } else if (predicted_ms > 0) {
    verdict.set_error_pct(100);
  }
  if (max_error_pct) {
    verdict.set_max_error_pct(*max_error_pct);
  }
  verdict.set_within(!max_error_pct || verdict.error_pct() <= *max_error_pct);
  return verdict;
}

v1::LaunchVerdict JudgeLaunches(std::string_view stage, const Node& node, const v1::ValidationBounds& bounds) {
  v1::LaunchVerdict verdict;
  verdict.set_stage(std::string(stage));
  verdict.set_predicted_launches(node.predicted->launches());
  verdict.set_measured_launches(node.measured->launches());
  const double off = std::abs(static_cast<double>(verdict.predicted_launches() - verdict.measured_launches()));
  verdict.set_within(!bounds.has_max_launch_error_pct() ||
                     off <= bounds.max_launch_error_pct() / 100 * static_cast<double>(verdict.measured_launches()));
  return verdict;
}

void JudgeCoverage(v1::CaseVerdict* verdict) {
  int with_interval = 0;
  int covered = 0;
  for (const v1::StageVerdict& stage : verdict->stages()) {
    if (stage.interval_90_size() == 2) {
      ++with_interval;
      covered += stage.measured_ms() >= stage.interval_90(0) && stage.measured_ms() <= stage.interval_90(1) ? 1 : 0;
    }
  }
  if (with_interval > 0) {
    verdict->set_coverage_90_pct(100.0 * covered / with_interval);
  }
}

std::string DescribeTime(const v1::StageVerdict& stage) {
  return fmt::format("{} is {:.3g} times its prediction, {:.3g} % off", stage.stage(),
                     stage.ratio() > 0 ? 1 / stage.ratio() : 0.0, stage.error_pct());
}

// The first reason to fail, or what was furthest off.
std::string Why(const v1::CaseVerdict& verdict, const v1::ValidationBounds& bounds) {
  const auto by_error = [](const v1::StageVerdict& a, const v1::StageVerdict& b) {
    return std::pair(!a.within(), a.error_pct()) < std::pair(!b.within(), b.error_pct());
  };
  const auto worst = std::max_element(verdict.stages().begin(), verdict.stages().end(), by_error);
  if (!worst->within()) {
    const auto outside = std::count_if(verdict.stages().begin(), verdict.stages().end(),
                                       [](const v1::StageVerdict& stage) { return !stage.within(); });
    return fmt::format("{}, its bound is {:.10g} %{}", DescribeTime(*worst), worst->max_error_pct(),
                       outside > 1 ? fmt::format("; {} of {} times are outside", outside, verdict.stages_size()) : "");
  }
  for (const v1::LaunchVerdict& launches : verdict.launches()) {
    if (!launches.within()) {
      return fmt::format("{} launched {} operations, {} were predicted, the bound is {:.10g} %", launches.stage(),
                         launches.measured_launches(), launches.predicted_launches(), bounds.max_launch_error_pct());
    }
  }
  if (bounds.has_min_coverage_90_pct() && verdict.has_coverage_90_pct() &&
      verdict.coverage_90_pct() < bounds.min_coverage_90_pct()) {
    return fmt::format("90 % intervals hold {:.3g} % of the times, the bound is {:.10g} %", verdict.coverage_90_pct(),
                       bounds.min_coverage_90_pct());
  }
  return fmt::format("within bounds; {}", DescribeTime(*worst));
}

v1::CaseVerdict Describe(const v1::ValidationCase& of) {
  v1::CaseVerdict verdict;
  verdict.set_name(of.name());
  verdict.set_workload(of.workload());
  verdict.set_device(of.device());
  verdict.set_model(of.model());
  verdict.set_dtype(of.dtype());
  return verdict;
}

bool IsPassed(const v1::CaseVerdict& verdict, const v1::ValidationBounds& bounds) {
  return std::all_of(verdict.stages().begin(), verdict.stages().end(),
                     [](const auto& stage) { return stage.within(); }) &&
         std::all_of(verdict.launches().begin(), verdict.launches().end(),
                     [](const auto& launches) { return launches.within(); }) &&
         !(bounds.has_min_coverage_90_pct() && verdict.has_coverage_90_pct() &&
           verdict.coverage_90_pct() < bounds.min_coverage_90_pct());
}

}  // namespace

v1::CaseVerdict Judge(const v1::ValidationCase& of, const std::vector<v1::AnalyticModelReport>& reports) {
  const v1::AnalyticModelReport& report = reports.front();
  v1::CaseVerdict verdict = Describe(of);
  verdict.set_workload(report.workload().profile_id());
  verdict.set_device(report.provenance().device().name());
  verdict.set_dtype(report.workload().dtype());
  verdict.set_report_id(report.report_id());
  *verdict.mutable_provenance() = report.provenance();
  const v1::ValidationBounds& bounds = of.bounds();
  const auto limit = [](bool is_given, double value) { return is_given ? std::optional(value) : std::nullopt; };
  for (const auto& [stage, module_id] : kStages) {
    const Node node = NodeOf(report, module_id);
    if (node.predicted == nullptr || node.measured == nullptr) {
      continue;
    }
    v1::StageVerdict& judged = *verdict.add_stages() =
        JudgeTime(stage, node.predicted->total_time_ms(), MedianMs(reports, module_id),
                  limit(bounds.has_max_stage_error_pct(), bounds.max_stage_error_pct()));
    *judged.mutable_interval_90() = node.predicted->interval_90_ms();
    *verdict.add_launches() = JudgeLaunches(stage, node, bounds);
  }
  *verdict.add_stages() = JudgeTime(kTotal, report.predicted_total_time_ms(), MedianTotalMs(reports),
                                    limit(bounds.has_max_total_error_pct(), bounds.max_total_error_pct()));
  JudgeCoverage(&verdict);
  verdict.set_passed(IsPassed(verdict, bounds));
  verdict.set_why(Why(verdict, bounds));
  for (const v1::AnalyticModelReport& of_run : reports) {
    if (const v1::RunRepeats requests = RepeatsOf(of_run); requests.modules_size() > 0) {
      Append(BestOf(requests, of.best_of()), verdict.mutable_repeats());
    }
  }
  return verdict;
}

v1::CaseVerdict Failed(const v1::ValidationCase& of, std::string error) {
  v1::CaseVerdict verdict = Describe(of);
  verdict.mutable_provenance();
  verdict.set_why("not measured: " + error);
  verdict.set_error(std::move(error));
  return verdict;
}

void Summarize(v1::Validation* validation) {
  int passed = 0;
  const v1::CaseVerdict* first_failed = nullptr;
  for (const v1::CaseVerdict& verdict : validation->cases()) {
    passed += verdict.passed() ? 1 : 0;
    first_failed = first_failed == nullptr && !verdict.passed() ? &verdict : first_failed;
  }
  validation->set_passed(first_failed == nullptr);
  std::string summary =
      fmt::format("{} of {} case{} passed", passed, validation->cases_size(), validation->cases_size() == 1 ? "" : "s");
  if (first_failed != nullptr) {
    summary += fmt::format("; {}: {}", first_failed->name(), first_failed->why());
  } else if (validation->cases_size() == 1) {
    summary += fmt::format(": {}", validation->cases(0).why());
  }
  validation->set_summary(std::move(summary));
}

}  // namespace dsocr::validate
