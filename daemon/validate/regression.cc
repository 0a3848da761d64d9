#include "daemon/validate/regression.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "base/status.h"
#include "daemon/validate/block_permutation.h"
#include "daemon/validate/counterpart.h"
#include "fmt/format.h"

namespace dsocr::validate {
namespace {

constexpr size_t kNoParent = static_cast<size_t>(-1);
constexpr double kMostOfIt = 0.7;  // a part that explains so much of a change is the one that changed
constexpr int kShownModules = 8;
constexpr double kLargeChange = 0.1;

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) {
    return *middle;
  }
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

// A node of the module tree: the time of all below it in each repeat, first those of the baseline.
struct Module {
  std::string id;
  size_t parent = kNoParent;
  bool is_leaf = true;
  std::vector<double> time_ns;
  std::map<std::string, double> time_of_category;
  std::vector<double> log_time;  // its median taken out
  double share = 0.0;            // of the request
  double change = 0.0;           // 0.05: 5 % slower
  double p_value = 1.0;

  double excess() const { return share * change; }
};

struct Comparison {
  size_t before = 0;  // repeats
  size_t now = 0;
  std::vector<Module> modules;  // parents before their children
  std::vector<size_t> judged;   // those of them that are large enough; the rest are witnesses of what the machine did
};

const v1::ModuleTimes* FindTimes(const v1::RunRepeats& repeats, const std::string& module_id) {
  for (const v1::ModuleTimes& module : repeats.modules()) {
    if (module.module_id() == module_id) {
      return &module;
    }
  }
  return nullptr;
}

size_t CountRepeats(const v1::RunRepeats& repeats, int most) {
  return repeats.modules().empty() ? 0 : static_cast<size_t>(std::min(repeats.modules(0).self_time_ns_size(), most));
}

// Adds the times of one module to its node and to all nodes above it, which are made as needed.
class Tree {
 public:
  explicit Tree(Comparison* comparison) : comparison_(*comparison) {}

  void Add(const v1::ModuleTimes& before, const v1::ModuleTimes& now) {
    for (size_t node = NodeOf(before.module_id()); node != kNoParent; node = comparison_.modules[node].parent) {
      Module& module = comparison_.modules[node];
      for (size_t i = 0; i < comparison_.before; ++i) {
        module.time_ns[i] += static_cast<double>(before.self_time_ns(static_cast<int>(i)));
        module.time_of_category[before.operator_category()] +=
            static_cast<double>(before.self_time_ns(static_cast<int>(i)));
      }
      for (size_t i = 0; i < comparison_.now; ++i) {
        module.time_ns[comparison_.before + i] += static_cast<double>(now.self_time_ns(static_cast<int>(i)));
      }
    }
  }

 private:
  size_t NodeOf(const std::string& id) {
    if (const auto found = index_.find(id); found != index_.end()) {
      return found->second;
    }
    const size_t slash = id.rfind('/');
    const size_t parent = slash == std::string::npos ? kNoParent : NodeOf(id.substr(0, slash));
    if (parent != kNoParent) {
      comparison_.modules[parent].is_leaf = false;
    }
    comparison_.modules.push_back(
        {.id = id, .parent = parent, .time_ns = std::vector<double>(comparison_.before + comparison_.now)});
    return index_[id] = comparison_.modules.size() - 1;
  }

  Comparison& comparison_;
  std::map<std::string, size_t> index_;
};

absl::StatusOr<Comparison> Match(const v1::RunRepeats& now, const v1::RunRepeats& before,
                                 const RegressionOptions& options) {
  Comparison comparison{.before = CountRepeats(before, options.max_repeats),
                        .now = CountRepeats(now, options.max_repeats)};
  if (comparison.before < kMinRepeats || comparison.now < kMinRepeats) {
    return absl::InvalidArgumentError(
        fmt::format("{} repeats now and {} in the baseline: at least {} of each are "
                    "needed; set the case's repeats",
                    comparison.now, comparison.before, kMinRepeats));
  }
  Tree tree(&comparison);
  for (const v1::ModuleTimes& module : now.modules()) {
    const v1::ModuleTimes* earlier = FindTimes(before, module.module_id());
    if (earlier != nullptr && static_cast<size_t>(module.self_time_ns_size()) >= comparison.now &&
        static_cast<size_t>(earlier->self_time_ns_size()) >= comparison.before) {
      tree.Add(*earlier, module);
    }
  }
  if (comparison.modules.empty()) {
    return absl::InvalidArgumentError("no module is in both; compare with a validation of the same model");
  }
  return comparison;
}

// Leaves what is large enough to be judged or a witness, and fills in shares.
void KeepLarge(const RegressionOptions& options, Comparison* comparison) {
  double total = 0;
  std::vector<double> middle_of;
  for (const Module& module : comparison->modules) {
    middle_of.push_back(Median(module.time_ns));
    total += module.parent == kNoParent ? middle_of.back() : 0.0;
  }
  std::vector<Module> kept;
  std::vector<size_t> place(comparison->modules.size(), kNoParent);
  for (size_t i = 0; i < comparison->modules.size(); ++i) {
    Module& module = comparison->modules[i];
    module.share = total > 0 ? middle_of[i] / total : 0.0;
    const bool always_ran = std::all_of(module.time_ns.begin(), module.time_ns.end(), [](double ns) { return ns > 0; });
    if (module.share < options.min_witness_share || !always_ran) {
      continue;
    }
    for (const double ns : module.time_ns) {
      module.log_time.push_back(std::log(ns / middle_of[i]));
    }
    module.parent = module.parent == kNoParent ? kNoParent : place[module.parent];
    place[i] = kept.size();
    if (module.share >= options.min_share) {
      comparison->judged.push_back(kept.size());
    }
    kept.push_back(std::move(module));
  }
  comparison->modules = std::move(kept);
}

// The change of the median leaf.
double MachineChange(const Comparison& comparison) {
  std::vector<double> machine;
  for (size_t i = 0; i < comparison.before + comparison.now; ++i) {
    std::vector<double> leaves = {};
    for (const Module& module : comparison.modules) {
      if (module.is_leaf) {
        leaves.push_back(module.log_time[i]);
      }
    }
    machine.push_back(leaves.empty() ? 0.0 : Median(std::move(leaves)));
  }
  const auto middle = machine.begin() + static_cast<std::ptrdiff_t>(comparison.before);
  return std::exp(Median({middle, machine.end()}) - Median({machine.begin(), middle})) - 1;
}

// Whether `module` is `node` or below it.
bool IsBelow(const std::vector<Module>& modules, size_t module, size_t node) {
  while (module != kNoParent && module != node) {
    module = modules[module].parent;
  }
  return module == node;
}

// The log time of each judged module, less what the leaves outside of it say that it should be. Leaves whose change is
// known to be large say nothing of the others.
std::vector<std::vector<double>> LessMachine(const Comparison& comparison, const Blocks& blocks) {
  const std::vector<Module>& modules = comparison.modules;
  std::vector<std::vector<double>> residuals;
  for (const size_t node : comparison.judged) {
    std::vector<const std::vector<double>*> others;
    for (size_t i = 0; i < modules.size(); ++i) {
      if (modules[i].is_leaf && std::abs(modules[i].change) < kLargeChange && !IsBelow(modules, i, node)) {
        others.push_back(&modules[i].log_time);
      }
    }
    residuals.push_back(LessCounterpart(modules[node].log_time, others, blocks));
  }
  return residuals;
}

// Hodges and Lehmann's estimate of the shift: the median of all differences between the two sides.
double ShiftOf(const std::vector<double>& residual, size_t before) {
  std::vector<double> differences;
  differences.reserve(before * (residual.size() - before));
  for (size_t i = before; i < residual.size(); ++i) {
    for (size_t j = 0; j < before; ++j) {
      differences.push_back(residual[i] - residual[j]);
    }
  }
  return Median(std::move(differences));
}

void SetChanges(const std::vector<std::vector<double>>& residuals, Comparison* comparison) {
  for (size_t i = 0; i < residuals.size(); ++i) {
    comparison->modules[comparison->judged[i]].change = std::exp(ShiftOf(residuals[i], comparison->before)) - 1;
  }
}

void Test(const RegressionOptions& options, Comparison* comparison) {
  const Blocks blocks(comparison->before, comparison->before + comparison->now, options.blocks);
  std::vector<std::vector<double>> residuals = LessMachine(*comparison, blocks);
  SetChanges(residuals, comparison);
  if (std::any_of(comparison->modules.begin(), comparison->modules.end(),
                  [](const Module& module) { return module.is_leaf && std::abs(module.change) >= kLargeChange; })) {
    residuals = LessMachine(*comparison, blocks);
    SetChanges(residuals, comparison);
  }
  const std::vector<double> p_values = PermutationTest(residuals, blocks, options.permutations);
  for (size_t i = 0; i < residuals.size(); ++i) {
    comparison->modules[comparison->judged[i]].p_value = p_values[i];
  }
}

bool IsSlower(const Module& module, const RegressionOptions& options) {
  return module.p_value <= options.alpha && module.change >= options.min_change &&
         module.excess() >= options.min_excess;
}

// The module to name: up to where the whole of a parent moved as its part did, then down to the part that explains most
// of it.
size_t Culprit(const std::vector<Module>& modules, const RegressionOptions& options, size_t from) {
  size_t at = from;
  while (modules[at].parent != kNoParent && IsSlower(modules[modules[at].parent], options) &&
         modules[modules[at].parent].change >= kMostOfIt * modules[at].change) {
    at = modules[at].parent;
  }
  for (bool is_deeper = true; is_deeper;) {
    is_deeper = false;
    for (size_t child = 0; child < modules.size(); ++child) {
      if (modules[child].parent == at && IsSlower(modules[child], options) &&
          modules[child].excess() >= kMostOfIt * modules[at].excess()) {
        at = child;
        is_deeper = true;
        break;
      }
    }
  }
  return at;
}

std::optional<size_t> FindCulprit(const std::vector<Module>& modules, const RegressionOptions& options) {
  std::optional<size_t> first;
  for (size_t i = 0; i < modules.size(); ++i) {
    if (!IsSlower(modules[i], options)) {
      continue;
    }
    const auto rank = [&](size_t k) { return std::pair(-modules[k].p_value, modules[k].excess()); };
    first = !first || rank(i) > rank(*first) ? i : *first;
  }
  return first ? std::optional(Culprit(modules, options, *first)) : std::nullopt;
}

std::string CategoryOf(const Module& module) {
  const auto largest = std::max_element(module.time_of_category.begin(), module.time_of_category.end(),
                                        [](const auto& a, const auto& b) { return a.second < b.second; });
  return largest == module.time_of_category.end() ? "" : largest->first;
}

v1::ModuleChange Describe(const Module& module, const RegressionOptions& options) {
  v1::ModuleChange change;
  change.set_module_id(module.id);
  change.set_operator_category(CategoryOf(module));
  change.set_change_pct(100 * module.change);
  change.set_p_value(module.p_value);
  change.set_share_of_time(module.share);
  change.set_is_regression(IsSlower(module, options));
  return change;
}

void AddModules(const Comparison& comparison, const RegressionOptions& options, v1::RegressionVerdict* verdict) {
  std::vector<size_t> order = comparison.judged;
  const auto key = [&](size_t i) {
    const Module& module = comparison.modules[i];
    return std::tuple(!IsSlower(module, options), module.p_value, -module.excess());
  };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
  order.resize(std::min<size_t>(order.size(), kShownModules));
  for (const size_t i : order) {
    *verdict->add_modules() = Describe(comparison.modules[i], options);
  }
}

}  // namespace

absl::StatusOr<v1::RegressionVerdict> FindRegression(const v1::RunRepeats& now, const v1::RunRepeats& before,
                                                     const RegressionOptions& given) {
  RegressionOptions options = given;
  DSOCR_ASSIGN_OR_RETURN(Comparison comparison, Match(now, before, options));
  KeepLarge(options, &comparison);
  Test(options, &comparison);
  const double machine_change = MachineChange(comparison);
  options.min_change += options.min_change_of_machine * std::abs(std::log1p(machine_change));

  v1::RegressionVerdict verdict;
  verdict.set_machine_change_pct(100 * machine_change);
  verdict.set_repeats(static_cast<int64_t>(comparison.now));
  verdict.set_baseline_repeats(static_cast<int64_t>(comparison.before));
  verdict.set_modules_tested(static_cast<int64_t>(comparison.judged.size()));
  AddModules(comparison, options, &verdict);
  const std::optional<size_t> culprit = FindCulprit(comparison.modules, options);
  verdict.set_is_regression(culprit.has_value());
  if (!culprit) {
    verdict.set_why(fmt::format("no module is slower than in the baseline: {} tested", verdict.modules_tested()));
    return verdict;
  }
  const v1::ModuleChange change = Describe(comparison.modules[*culprit], options);
  verdict.set_module_id(change.module_id());
  verdict.set_operator_category(change.operator_category());
  verdict.set_change_pct(change.change_pct());
  verdict.set_p_value(change.p_value());
  verdict.set_why(fmt::format("{} ({}) is {:.1f} % slower than in the baseline", change.module_id(),
                              change.operator_category(), change.change_pct()));
  return verdict;
}

}  // namespace dsocr::validate
