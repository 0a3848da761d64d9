#include "daemon/report/residual.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "analytic/category.h"
#include "daemon/report/parts.h"
#include "daemon/report/units.h"
#include "fmt/format.h"

namespace dsocr::report {
namespace {

using analytic::CategoryId;
using analytic::PredictedModule;
using analytic::Prediction;
using attribution::ModuleSum;

using TimeByCategory = std::array<int64_t, analytic::kCategoryCount>;

// A cause while it is summed, and what each module has to do with it.
struct Part {
  int64_t ns = 0;
  int64_t predicted_ns = 0;             // of OPERATORS, for the calls that were made
  std::string text = {};                // empty: as TextOf has it
  std::map<int, int64_t> ns_of_module;  // by index into Prediction::modules

  void Add(int module, int64_t more_ns) {
    ns += more_ns;
    ns_of_module[module] += more_ns;
  }

  int64_t measured_ns() const { return ns + predicted_ns; }

  // The module with most of it, in its direction; the first of equals. -1: none.
  int largest_module() const {
    int largest = -1;
    int64_t largest_ns = 0;
    for (const auto& [module, module_ns] : ns_of_module) {
      const int64_t along_ns = ns < 0 ? -module_ns : module_ns;
      if (along_ns > largest_ns) {
        largest = module;
        largest_ns = along_ns;
      }
    }
    return largest;
  }
};

// OPERATORS is one part a category; every other cause is one part.
using Key = std::pair<v1::ResidualCause, std::optional<CategoryId>>;
using Parts = std::map<Key, Part>;

int64_t Rounded(double ns) { return std::llround(ns); }

// How many times the calls that were expected a module made. Routed experts are one module of ours, and as many as are
// hit in a job that has a module for each: the calls of what is around them count.
double CallRatio(const Prediction& prediction, const std::vector<const ModuleSum*>& sums, int index) {
  while (prediction.modules[static_cast<size_t>(index)].repetition == analytic::Repetition::kParfor) {
    index = prediction.modules[static_cast<size_t>(index)].parent;
  }
  const int64_t expected = prediction.modules[static_cast<size_t>(index)].figures.calls;
  const ModuleSum* sum = sums[static_cast<size_t>(index)];
  return expected > 0 && sum != nullptr ? static_cast<double>(sum->calls) / static_cast<double>(expected) : 0;
}

TimeByCategory MeasuredOf(const ModuleSum* sum) {
  TimeByCategory measured = {};
  if (sum != nullptr) {
    for (const attribution::CategorySum& category : sum->categories) {
      measured[static_cast<size_t>(*analytic::FindCategory(category.category_id))] = category.device_ns;
    }
  }
  return measured;
}

// Of a leaf: what its calls were expected to take against what they took, and what calls more or fewer make of that.
// Returns what was predicted for the device.
int64_t AddLeaf(const PredictedModule& module, const ModuleSum* sum, double call_ratio, int index, Parts* parts) {
  const TimeByCategory measured = MeasuredOf(sum);
  TimeByCategory predicted = {};
  for (const analytic::CategoryFigures& op : module.figures.operators) {
    predicted[static_cast<size_t>(*analytic::FindCategory(op.category_id))] = Rounded(op.time_ns - op.idle_ns);
  }
  int64_t predicted_ns = 0;
  for (size_t i = 0; i < predicted.size(); ++i) {
    if (predicted[i] == 0 && measured[i] == 0) {
      continue;
    }
    predicted_ns += predicted[i];
    const int64_t expected_ns = Rounded(static_cast<double>(predicted[i]) * call_ratio);
    Part& work = (*parts)[{v1::RESIDUAL_CAUSE_WORK, std::nullopt}];
    if (call_ratio > 0) {
      work.Add(index, expected_ns - predicted[i]);
      Part& operators = (*parts)[{v1::RESIDUAL_CAUSE_OPERATORS, static_cast<CategoryId>(i)}];
      operators.Add(index, measured[i] - expected_ns);
      operators.predicted_ns += expected_ns;
    } else {
      work.Add(index, measured[i] - predicted[i]);
    }
  }
  return predicted_ns;
}

const analytic::Shape* LargestInput(const PredictedModule& module) {
  const auto elements = [](const analytic::Shape& shape) {
    int64_t product = 1;
    for (const int64_t dim : shape) {
      product *= dim;
    }
    return product;
  };
  const auto largest = std::max_element(module.input_shapes.begin(), module.input_shapes.end(),
                                        [&](const auto& a, const auto& b) { return elements(a) < elements(b); });
  return largest == module.input_shapes.end() ? nullptr : &*largest;
}

std::string TextOf(const Key& key, const Part& part) {
  const bool is_more = part.ns > 0;
  switch (key.first) {
    case v1::RESIDUAL_CAUSE_WORK:
      return fmt::format("{} work than expected", is_more ? "more" : "less");
    case v1::RESIDUAL_CAUSE_OPERATORS: {
      const std::string_view category = analytic::CategoryName(*key.second);
      if (part.predicted_ns <= 0) {
        return fmt::format("{} operators that were not predicted", category);
      }
      const double ratio = static_cast<double>(part.measured_ns()) / static_cast<double>(part.predicted_ns);
      if (ratio >= 2) {
        return fmt::format("{} operators took {:.{}f}x the predicted time", category, ratio, ratio < 10 ? 1 : 0);
      }
      const double share = std::abs(ratio - 1);
      return fmt::format("{} operators {:.{}f} % {} than predicted", category, 100 * share, share < 0.1 ? 1 : 0,
                         is_more ? "slower" : "faster");
    }
    case v1::RESIDUAL_CAUSE_OVERLAP:
      return "operations ran side by side";
    case v1::RESIDUAL_CAUSE_HOST_GAPS:
      return fmt::format("{} time between operations than predicted", is_more ? "more" : "less");
    case v1::RESIDUAL_CAUSE_SYNCHRONISATION:
      return fmt::format("{} time lost to synchronisation than predicted", is_more ? "more" : "less");
    case v1::RESIDUAL_CAUSE_CONTENTION:
      return "the job's thread waited for a core";
    case v1::RESIDUAL_CAUSE_TRACING:
      return "the cost of recording";
    default:
      return "operations that belong to no module";
  }
}

v1::ResidualPart Write(const Key& key, const Part& part, const Prediction& prediction) {
  v1::ResidualPart written;
  written.set_cause(key.first);
  if (key.second) {
    written.set_category_id(std::string(analytic::CategoryName(*key.second)));
  }
  if (const int index = part.largest_module(); index >= 0) {
    const PredictedModule& module = prediction.modules[static_cast<size_t>(index)];
    written.set_module_id(module.module_id);
    if (const analytic::Shape* input = LargestInput(module); input != nullptr) {
      written.mutable_input_shape()->mutable_dims()->Assign(input->begin(), input->end());
    }
  }
  written.set_residual_ms(Milliseconds(part.ns));
  written.set_text(part.text.empty() ? TextOf(key, part) : part.text);
  return written;
}

// A recording that tells of no wait, as an imported trace's, cannot tell synchronisation from other gaps.
bool HasWaits(const attribution::Result& measured) { return measured.gpu && measured.gpu->wait_ns > 0; }

int64_t PredictedSyncIdle(const Prediction& prediction) {
  double idle_ns = 0;
  for (const PredictedModule& module : prediction.modules) {
    if (module.children.empty()) {
      for (const analytic::CategoryFigures& op : module.figures.operators) {
        idle_ns += op.sync_idle_ns;
      }
    }
  }
  return Rounded(idle_ns);
}

// What is between operations, beside them and of nobody; the predicted times are the prediction's own, synchronisation
// a part of all idle time.
void AddRest(const attribution::Result& measured, const ModuleSum* root, int64_t predicted_idle_ns,
             int64_t predicted_sync_idle_ns, Parts* parts) {
  const attribution::RequestSum& request = measured.request;
  const int64_t busy_ns = root != nullptr ? root->busy_ns : request.attributed_ns;
  const int64_t gaps_ns = request.total_ns - busy_ns - request.unattributed_ns;
  const int64_t tracing_ns = std::clamp<int64_t>(measured.agent_cost_ns, 0, std::max<int64_t>(gaps_ns, 0));
  (*parts)[{v1::RESIDUAL_CAUSE_OVERLAP, std::nullopt}].ns = busy_ns - request.attributed_ns;
  (*parts)[{v1::RESIDUAL_CAUSE_TRACING, std::nullopt}].ns = tracing_ns;
  const int64_t host_gaps_ns = gaps_ns - tracing_ns - predicted_idle_ns;
  int64_t sync_ns = 0;
  if (HasWaits(measured)) {
    sync_ns = std::clamp<int64_t>(request.sync_gap_ns, 0, std::max<int64_t>(gaps_ns - tracing_ns, 0)) -
              predicted_sync_idle_ns;
  }
  (*parts)[{v1::RESIDUAL_CAUSE_SYNCHRONISATION, std::nullopt}].ns = sync_ns;
  (*parts)[{v1::RESIDUAL_CAUSE_HOST_GAPS, std::nullopt}].ns = host_gaps_ns - sync_ns;
  (*parts)[{v1::RESIDUAL_CAUSE_UNATTRIBUTED, std::nullopt}].ns = request.unattributed_ns;
}

bool IsProduct(CategoryId category) {
  return category == CategoryId::kGemm || category == CategoryId::kConv || category == CategoryId::kAttention;
}

// Of what operators took more than predicted, as much as the machine was slower by; of less, as it was faster. A
// slowdown that a calibration calls quiet is none.
int64_t SlowerNs(double measured_ns, double slowdown, int64_t residual_ns) {
  constexpr double kQuiet = 0.03;
  const int64_t slower_ns = std::abs(slowdown - 1) > kQuiet ? Rounded(measured_ns * (1 - 1 / slowdown)) : 0;
  return residual_ns > 0 ? std::clamp<int64_t>(slower_ns, 0, residual_ns)
                         : std::clamp<int64_t>(slower_ns, residual_ns, 0);
}

// Takes from the operators what others took from them: the time without a core, from each category as much as it has of
// the time, and of what is left to explain what products or traffic took longer than when the device was calibrated.
void AddContention(const Contention& contention, Parts* parts) {
  int64_t measured_ns = 0;
  for (const auto& [key, part] : *parts) {
    measured_ns += key.first == v1::RESIDUAL_CAUSE_OPERATORS ? part.measured_ns() : 0;
  }
  int64_t off_cpu_ns = 0;
  int64_t slower_ns = 0;
  for (auto& [key, part] : *parts) {
    if (key.first == v1::RESIDUAL_CAUSE_OPERATORS && measured_ns > 0) {
      const auto own_ns = static_cast<double>(part.measured_ns());
      const int64_t part_off_ns =
          Rounded(own_ns / static_cast<double>(measured_ns) * static_cast<double>(contention.off_cpu_ns));
      part.ns -= part_off_ns;
      const int64_t part_slower_ns =
          SlowerNs(own_ns - static_cast<double>(part_off_ns),
                   IsProduct(*key.second) ? contention.product_slowdown : contention.traffic_slowdown, part.ns);
      part.ns -= part_slower_ns;
      off_cpu_ns += part_off_ns;
      slower_ns += part_slower_ns;
    }
  }
  Part& part = (*parts)[{v1::RESIDUAL_CAUSE_CONTENTION, std::nullopt}];
  part.ns = off_cpu_ns + slower_ns;
  if (std::abs(slower_ns) > off_cpu_ns) {
    part.text = fmt::format("the machine was {} than when it was calibrated", slower_ns > 0 ? "slower" : "faster");
  }
}

}  // namespace

v1::Residual ExplainResidual(const attribution::Result& measured, const Prediction& prediction,
                             const Contention& contention) {
  const std::vector<const ModuleSum*> sums = SumsInTreeOrder(measured.request, prediction);
  Parts parts;
  const int64_t predicted_ns = Rounded(prediction.modules.front().figures.time_ns);
  int64_t predicted_device_ns = 0;
  for (int i = 0; i < static_cast<int>(prediction.modules.size()); ++i) {
    const PredictedModule& module = prediction.modules[static_cast<size_t>(i)];
    const ModuleSum* sum = sums[static_cast<size_t>(i)];
    if (module.children.empty()) {
      predicted_device_ns += AddLeaf(module, sum, CallRatio(prediction, sums, i), i, &parts);
    } else if (sum != nullptr && sum->self_device_ns > 0) {
      parts[{v1::RESIDUAL_CAUSE_WORK, std::nullopt}].Add(i, sum->self_device_ns);
    }
  }
  AddRest(measured, sums.front(), predicted_ns - predicted_device_ns, PredictedSyncIdle(prediction), &parts);
  Contention bounded = contention;
  bounded.off_cpu_ns = std::min(contention.off_cpu_ns, measured.request.attributed_ns);
  AddContention(bounded, &parts);

  std::vector<std::pair<Key, const Part*>> order;
  for (const auto& [key, part] : parts) {
    if (part.ns != 0) {
      order.emplace_back(key, &part);
    }
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return std::abs(a.second->ns) > std::abs(b.second->ns); });
  v1::Residual residual;
  residual.set_residual_ms(Milliseconds(measured.request.total_ns - predicted_ns));
  for (const auto& [key, part] : order) {
    *residual.add_parts() = Write(key, *part, prediction);
  }
  return residual;
}

}  // namespace dsocr::report
