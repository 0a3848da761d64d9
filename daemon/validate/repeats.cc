#include "daemon/validate/repeats.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "daemon/report/units.h"

namespace dsocr::validate {
namespace {

int64_t MeanOfFasterHalf(std::vector<int64_t> times) {
  const auto half = times.begin() + static_cast<std::ptrdiff_t>((times.size() + 1) / 2);
  std::partial_sort(times.begin(), half, times.end());
  return std::llround(static_cast<double>(std::accumulate(times.begin(), half, int64_t{0})) /
                      static_cast<double>(half - times.begin()));
}

}  // namespace

v1::RunRepeats RepeatsOf(const v1::AnalyticModelReport& report) {
  v1::RunRepeats repeats;
  std::unordered_map<std::string_view, v1::ModuleTimes*> of_module;
  for (const v1::ModuleMeasurement& measured : report.module_measurements()) {
    if (measured.repeat_times_ms().empty()) {
      continue;
    }
    v1::ModuleTimes* const times = repeats.add_modules();
    times->set_module_id(measured.module_id());
    for (const double time_ms : measured.repeat_times_ms()) {
      times->add_self_time_ns(report::Nanoseconds(time_ms));
    }
    const auto& operators = measured.operator_breakdown();
    const auto largest = std::max_element(operators.begin(), operators.end(), [](const auto& a, const auto& b) {
      return a.device_time_ms() < b.device_time_ms();
    });
    times->set_operator_category(largest != operators.end() ? largest->category_id() : "");
    of_module[measured.module_id()] = times;
  }
  // Parents stand before their children: what is taken from one is its children's whole time.
  for (const v1::AnalyticModuleNode& node : report.modules()) {
    const auto child = of_module.find(node.module_id());
    const auto parent = of_module.find(node.parent_id());
    if (child != of_module.end() && parent != of_module.end()) {
      for (int i = 0; i < child->second->self_time_ns_size(); ++i) {
        parent->second->set_self_time_ns(i, parent->second->self_time_ns(i) - child->second->self_time_ns(i));
      }
    }
  }
  return repeats;
}

v1::RunRepeats BestOf(const v1::RunRepeats& requests, int best_of) {
  v1::RunRepeats best = requests;
  for (v1::ModuleTimes& module : *best.mutable_modules()) {
    const std::vector<int64_t> times(module.self_time_ns().begin(), module.self_time_ns().end());
    module.clear_self_time_ns();
    for (auto at = times.begin(); times.end() - at >= best_of; at += best_of) {
      module.add_self_time_ns(MeanOfFasterHalf({at, at + best_of}));
    }
  }
  return best;
}

void Append(const v1::RunRepeats& more, v1::RunRepeats* repeats) {
  if (repeats->modules().empty()) {
    *repeats = more;
    return;
  }
  std::unordered_map<std::string_view, const v1::ModuleTimes*> times_of;
  for (const v1::ModuleTimes& module : more.modules()) {
    times_of[module.module_id()] = &module;
  }
  v1::RunRepeats both;
  for (v1::ModuleTimes& module : *repeats->mutable_modules()) {
    if (const auto found = times_of.find(module.module_id()); found != times_of.end()) {
      module.mutable_self_time_ns()->MergeFrom(found->second->self_time_ns());
      *both.add_modules() = std::move(module);
    }
  }
  *repeats = std::move(both);
}

}  // namespace dsocr::validate
