#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "daemon/report/report.h"
#include "fmt/format.h"

namespace dsocr::report {
namespace {

constexpr double kRoutedShare = 0.02;

// What the module dispatched itself, by `launches` of all modules.
template <typename Launches>
int64_t OwnLaunches(const analytic::PredictedModule& module, int index, const Launches& launches) {
  int64_t own = launches(index);
  for (const int child : module.children) {
    own -= launches(child);
  }
  return own;
}

}  // namespace

void AddCensusNote(const analytic::Prediction& prediction, v1::AnalyticModelReport* report) {
  const auto predicted = [report](int i) { return report->module_metrics(i).launches(); };
  const auto measured = [report](int i) { return report->module_measurements(i).launches(); };
  int modules = 0;
  int most = -1;
  int64_t most_off = 0;
  for (int i = 0; i < report->module_measurements_size(); ++i) {
    const analytic::PredictedModule& module = prediction.modules[static_cast<size_t>(i)];
    const int64_t expected = OwnLaunches(module, i, predicted);
    const int64_t off = std::abs(OwnLaunches(module, i, measured) - expected);
    const bool is_routed = module.repetition == analytic::Repetition::kParfor;
    if (report->module_metrics(i).calls() != report->module_measurements(i).calls() ||
        static_cast<double>(off) <= (is_routed ? kRoutedShare * static_cast<double>(expected) : 0)) {
      continue;
    }
    ++modules;
    if (off > most_off) {
      most = i;
      most_off = off;
    }
  }
  if (modules == 0 || report->attribution().records_dropped() > 0) {
    return;
  }
  const analytic::PredictedModule& module = prediction.modules[static_cast<size_t>(most)];
  report->set_notes(fmt::format("{}; census: {} {} other operators than predicted, most in {}: {} for {}",
                                report->notes(), modules, modules == 1 ? "module dispatched" : "modules dispatched",
                                module.module_id, OwnLaunches(module, most, measured),
                                OwnLaunches(module, most, predicted)));
}

}  // namespace dsocr::report
