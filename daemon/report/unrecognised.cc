#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "analytic/category.h"
#include "base/status.h"
#include "daemon/report/measured.h"
#include "daemon/report/parts.h"
#include "daemon/report/report.h"
#include "daemon/report/units.h"
#include "fmt/format.h"

namespace dsocr::report {
namespace {

using attribution::ModuleSum;

// The node above all paths; "(job)" unless a range of the job is called so.
constexpr std::string_view kRootId = "(job)";

// The tree of paths: node 0 is the root, node i + 1 is modules[i] of the request.
struct PathTree {
  std::vector<int> parent;
  std::vector<std::vector<int>> children;
  std::vector<int> depth_first;
};

// A path whose parent was not seen hangs below the root.
PathTree TreeOf(const std::vector<ModuleSum>& modules) {
  absl::flat_hash_map<std::string, int> node_of;
  for (size_t i = 0; i < modules.size(); ++i) {
    node_of[modules[i].module_id] = static_cast<int>(i) + 1;
  }
  PathTree tree;
  tree.parent.assign(modules.size() + 1, -1);
  tree.children.resize(modules.size() + 1);
  for (size_t i = 0; i < modules.size(); ++i) {
    const int node = static_cast<int>(i) + 1;
    const auto found = node_of.find(modules[i].parent_id);
    tree.parent[node] = found != node_of.end() ? found->second : 0;
    tree.children[tree.parent[node]].push_back(node);
  }
  std::vector<int> pending = {0};
  while (!pending.empty()) {
    const int node = pending.back();
    pending.pop_back();
    tree.depth_first.push_back(node);
    pending.insert(pending.end(), tree.children[node].rbegin(), tree.children[node].rend());
  }
  return tree;
}

// What the whole window holds: its own time is zero, for what no range owns is unattributed.
ModuleSum RootSum(const attribution::RequestSum& request, std::string id) {
  ModuleSum root;
  root.module_id = std::move(id);
  root.calls = 1;
  root.wall_ns = request.total_ns;
  root.device_ns = request.attributed_ns;
  root.launches = request.operations - request.operations_unattributed;
  std::vector<attribution::CategorySum> sums(analytic::kCategoryCount);
  for (const ModuleSum& module : request.modules) {
    if (!module.parent_id.empty()) {
      continue;
    }
    root.busy_ns += module.busy_ns;
    for (const attribution::CategorySum& category : module.categories) {
      attribution::CategorySum& sum = sums[static_cast<size_t>(*analytic::FindCategory(category.category_id))];
      sum.category_id = category.category_id;
      sum.operations += category.operations;
      sum.device_ns += category.device_ns;
    }
  }
  for (attribution::CategorySum& sum : sums) {
    if (!sum.category_id.empty()) {
      root.categories.push_back(std::move(sum));
    }
  }
  root.gap_ns = std::max<int64_t>(0, request.total_ns - root.busy_ns);
  root.p50_ns = root.p95_ns = root.busy_ns + root.gap_ns;
  return root;
}

// Without known work only the mix of operations tells: matrix work is taken for compute, the rest for memory.
v1::Bound GuessBound(const ModuleSum& sum, bool on_gpu) {
  if (sum.gap_ns > sum.busy_ns) {
    return GapBound(on_gpu);
  }
  int64_t matrix_ns = 0;
  for (const attribution::CategorySum& category : sum.categories) {
    const std::string& id = category.category_id;
    matrix_ns += id == "gemm" || id == "conv" || id == "attention" ? category.device_ns : 0;
  }
  return 2 * matrix_ns > sum.device_ns ? v1::BOUND_COMPUTE : v1::BOUND_MEMORY;
}

v1::ModuleMeasurement MeasurementOf(const ModuleSum& sum, bool on_gpu) {
  v1::ModuleMeasurement measurement = FiguresOf(sum);
  measurement.set_module_id(sum.module_id);
  measurement.set_bound(GuessBound(sum, on_gpu));
  for (const attribution::CategorySum& category : sum.categories) {
    v1::MeasuredOperator& op = *measurement.add_operator_breakdown();
    op.set_category_id(category.category_id);
    op.set_calls(category.operations);
    op.set_device_time_ms(Milliseconds(category.device_ns));
    op.set_share_of_module_time(Share(static_cast<double>(category.device_ns), static_cast<double>(sum.device_ns)));
  }
  return measurement;
}

std::string UniqueRootId(const std::vector<ModuleSum>& modules) {
  std::string id(kRootId);
  const auto taken = [&](const ModuleSum& module) { return module.module_id == id; };
  while (std::any_of(modules.begin(), modules.end(), taken)) {
    id = fmt::format("({})", id);
  }
  return id;
}

// The last part of a dotted path.
std::string NameOf(const ModuleSum& sum) {
  const bool below_parent = !sum.parent_id.empty() && sum.module_id.rfind(sum.parent_id + ".", 0) == 0;
  return below_parent ? sum.module_id.substr(sum.parent_id.size() + 1) : sum.module_id;
}

}  // namespace

absl::StatusOr<v1::AnalyticModelReport> BuildUnrecognisedReport(const attribution::Result& measured, v1::Route route,
                                                                std::string report_id, std::string profile_run_id,
                                                                std::string layer_docs_dir, v1::Provenance provenance) {
  DSOCR_RETURN_IF_ERROR(CheckSums(measured));
  const std::vector<ModuleSum>& modules = measured.request.modules;
  const PathTree tree = TreeOf(modules);
  if (tree.depth_first.size() != modules.size() + 1) {
    return absl::InternalError(
        fmt::format("joining: the paths of the job make no tree, {} of {} hang together; report this as a bug",
                    tree.depth_first.size() - 1, modules.size()));
  }
  const ModuleSum root = RootSum(measured.request, UniqueRootId(modules));
  const auto sum_of = [&](int node) -> const ModuleSum& {
    return node == 0 ? root : modules[static_cast<size_t>(node) - 1];
  };
  const bool on_gpu = provenance.device().kind() == "cuda";

  v1::AnalyticModelReport report;
  report.set_report_id(std::move(report_id));
  for (const int index : tree.depth_first) {
    const ModuleSum& sum = sum_of(index);
    v1::AnalyticModuleNode& node = *report.add_modules();
    node.set_module_id(sum.module_id);
    node.set_name(NameOf(sum));
    node.set_stage(v1::STAGE_OTHER);
    node.set_repetition(v1::REPETITION_NONE);
    node.set_repetition_count(1);
    if (index != 0) {
      node.set_parent_id(sum_of(tree.parent[index]).module_id);
    }
    for (const int child : tree.children[index]) {
      node.add_children(sum_of(child).module_id);
    }
    v1::ModuleMeasurement& measurement = *report.add_module_measurements();
    measurement = MeasurementOf(sum, on_gpu);
    if (index != 0) {
      measurement.add_job_paths(sum.module_id);
    }
  }
  AddOperatorCategories(&report);
  report.set_profile_run_id(std::move(profile_run_id));
  report.set_measured_total_time_ms(Milliseconds(measured.request.total_ns));
  report.set_notes("the job's model is not known: nothing is predicted, module ids are the paths that the job named");
  report.set_layer_docs_dir(std::move(layer_docs_dir));
  *report.mutable_attribution() = AttributionOf(measured, route);
  *report.mutable_provenance() = std::move(provenance);
  AddMeasurementNotes(measured, &report);
  return report;
}

}  // namespace dsocr::report
