#include "daemon/report/diff.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/report/rank_test.h"
#include "daemon/report/units.h"
#include "fmt/format.h"

namespace dsocr::report {
namespace {

using v1::AnalyticModelReport;

// Own times by id, in nanoseconds.
using Times = std::map<std::string, int64_t>;

struct Side {
  int64_t total_ns = 0;
  Times modules;
  Times operators;
};

const v1::ModuleMeasurement* RootMeasurement(const AnalyticModelReport& report) {
  return report.module_measurements().empty() ? nullptr : &report.module_measurements(0);
}

// What the rows leave of the total has a name of its own; rounding of predicted times with it.
void AddRest(int64_t total_ns, const std::string& name, Times* times) {
  int64_t sum_ns = 0;
  for (const auto& [id, ns] : *times) {
    sum_ns += ns;
  }
  if (total_ns != sum_ns) {
    (*times)[name] = total_ns - sum_ns;
  }
}

Side MeasuredSide(const AnalyticModelReport& report) {
  Side side{.total_ns = Nanoseconds(report.measured_total_time_ms()), .modules = {}, .operators = {}};
  for (const v1::ModuleMeasurement& module : report.module_measurements()) {
    if (const int64_t own_ns = Nanoseconds(module.self_device_time_ms()); own_ns != 0) {
      side.modules[module.module_id()] = own_ns;
    }
  }
  int64_t beside_ns = 0;
  if (const v1::ModuleMeasurement* root = RootMeasurement(report)) {
    for (const v1::MeasuredOperator& op : root->operator_breakdown()) {
      if (const int64_t op_ns = Nanoseconds(op.device_time_ms()); op_ns != 0) {
        side.operators[op.category_id()] = op_ns;
      }
    }
    beside_ns = Nanoseconds(root->device_time_ms()) - Nanoseconds(root->busy_time_ms());
  }
  const int64_t unattributed_ns = Nanoseconds(report.attribution().unattributed_device_time_ms());
  for (Times* times : {&side.modules, &side.operators}) {
    if (beside_ns != 0) {
      (*times)["[side by side]"] = -beside_ns;
    }
    if (unattributed_ns != 0) {
      (*times)["[unattributed]"] = unattributed_ns;
    }
    AddRest(side.total_ns, "[idle]", times);
  }
  return side;
}

Side PredictedSide(const AnalyticModelReport& report) {
  Side side{.total_ns = Nanoseconds(report.predicted_total_time_ms()), .modules = {}, .operators = {}};
  for (const v1::ModuleMetricsSnapshot& module : report.module_metrics()) {
    if (const int64_t own_ns = Nanoseconds(module.self_time_ms()); own_ns != 0) {
      side.modules[module.module_id()] = own_ns;
    }
  }
  if (!report.module_metrics().empty()) {
    for (const v1::OperatorMetrics& op : report.module_metrics(0).operator_breakdown()) {
      if (const int64_t op_ns = Nanoseconds(op.time_ms()); op_ns != 0) {
        side.operators[op.category_id()] = op_ns;
      }
    }
  }
  for (Times* times : {&side.modules, &side.operators}) {
    AddRest(side.total_ns, "[rounding]", times);
  }
  return side;
}

// The largest first; equals by id.
std::vector<v1::DiffRow> Rows(const Times& a, const Times& b, int64_t a_total_ns) {
  std::map<std::string, std::pair<int64_t, int64_t>> joined;
  for (const auto& [id, ns] : a) {
    joined[id].first = ns;
  }
  for (const auto& [id, ns] : b) {
    joined[id].second = ns;
  }
  std::vector<v1::DiffRow> rows;
  for (const auto& [id, times] : joined) {
    const int64_t difference_ns = times.second - times.first;
    v1::DiffRow& row = rows.emplace_back();
    row.set_id(id);
    row.set_a_ms(Milliseconds(times.first));
    row.set_b_ms(Milliseconds(times.second));
    row.set_difference_ms(Milliseconds(difference_ns));
    row.set_share_of_total(Share(static_cast<double>(difference_ns), static_cast<double>(a_total_ns)));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const v1::DiffRow& x, const v1::DiffRow& y) {
    return std::abs(x.difference_ms()) > std::abs(y.difference_ms());
  });
  return rows;
}

std::map<std::string, std::vector<double>> RepeatsOf(const AnalyticModelReport& report) {
  std::map<std::string, std::vector<double>> repeats;
  for (const v1::ModuleMeasurement& module : report.module_measurements()) {
    repeats[module.module_id()] = {module.repeat_times_ms().begin(), module.repeat_times_ms().end()};
  }
  return repeats;
}

void AddSignificance(const AnalyticModelReport& a, const AnalyticModelReport& b, v1::DiffReportsResponse* diff) {
  const auto a_repeats = RepeatsOf(a);
  const auto b_repeats = RepeatsOf(b);
  const auto p_value = [&](const std::string& id) -> std::optional<double> {
    const auto in_a = a_repeats.find(id);
    const auto in_b = b_repeats.find(id);
    return in_a == a_repeats.end() || in_b == b_repeats.end() ? std::nullopt : MannWhitneyP(in_a->second, in_b->second);
  };
  for (v1::DiffRow& row : *diff->mutable_modules()) {
    if (const std::optional<double> p = p_value(row.id())) {
      row.set_p_value(*p);
    }
  }
  if (!a.module_measurements().empty()) {
    if (const std::optional<double> p = p_value(a.module_measurements(0).module_id())) {
      diff->set_p_value(*p);
    }
  }
}

v1::DiffSide SideOf(const AnalyticModelReport& report, int64_t total_ns) {
  v1::DiffSide side;
  side.set_report_id(report.report_id());
  side.set_model_variant(report.model().model_variant());
  side.set_workload_profile_id(report.workload().profile_id());
  side.set_device(report.provenance().device().name());
  side.set_dtype(report.provenance().dtype());
  side.set_tool_version(report.provenance().tool_version());
  side.set_total_ms(Milliseconds(total_ns));
  return side;
}

// What makes the two differ before anything ran.
void AddNotes(const AnalyticModelReport& a, const AnalyticModelReport& b, v1::DiffReportsResponse* diff) {
  const auto compare = [&](std::string_view what, const std::string& in_a, const std::string& in_b) {
    if (in_a != in_b) {
      diff->add_notes(fmt::format("{}: {} and {}", what, in_a.empty() ? "none" : in_a, in_b.empty() ? "none" : in_b));
    }
  };
  const v1::Provenance& of_a = a.provenance();
  const v1::Provenance& of_b = b.provenance();
  compare("model", a.model().model_variant(), b.model().model_variant());
  compare("workload", a.workload().profile_id(), b.workload().profile_id());
  compare("device", of_a.device().name(), of_b.device().name());
  compare("driver", of_a.device().driver(), of_b.device().driver());
  compare("dtype", of_a.dtype(), of_b.dtype());
  compare("version", of_a.tool_version(), of_b.tool_version());
  compare("calibration", of_a.calibration_id(), of_b.calibration_id());
  const v1::ModuleMeasurement* root_a = RootMeasurement(a);
  const v1::ModuleMeasurement* root_b = RootMeasurement(b);
  if (diff->basis() == v1::DIFF_BASIS_MEASURED && root_a != nullptr && root_b != nullptr) {
    compare("calls", fmt::format("{}", root_a->calls()), fmt::format("{}", root_b->calls()));
  }
}

}  // namespace

v1::DiffReportsResponse DiffReports(const AnalyticModelReport& a, const AnalyticModelReport& b) {
  const bool is_measured = a.has_measured_total_time_ms() && b.has_measured_total_time_ms();
  const Side side_a = is_measured ? MeasuredSide(a) : PredictedSide(a);
  const Side side_b = is_measured ? MeasuredSide(b) : PredictedSide(b);
  v1::DiffReportsResponse diff;
  *diff.mutable_a() = SideOf(a, side_a.total_ns);
  *diff.mutable_b() = SideOf(b, side_b.total_ns);
  diff.set_basis(is_measured ? v1::DIFF_BASIS_MEASURED : v1::DIFF_BASIS_PREDICTED);
  diff.set_difference_ms(Milliseconds(side_b.total_ns - side_a.total_ns));
  for (v1::DiffRow& row : Rows(side_a.modules, side_b.modules, side_a.total_ns)) {
    *diff.add_modules() = std::move(row);
  }
  for (v1::DiffRow& row : Rows(side_a.operators, side_b.operators, side_a.total_ns)) {
    *diff.add_operators() = std::move(row);
  }
  if (is_measured) {
    AddSignificance(a, b, &diff);
  }
  AddNotes(a, b, &diff);
  return diff;
}

}  // namespace dsocr::report
