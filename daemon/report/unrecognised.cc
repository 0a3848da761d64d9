#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
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

constexpr std::string_view kRootId = "(job)";  // the node above all paths
constexpr size_t kLongestId = 4096;            // a job can nest ranges without end

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
    tree.parent[node] = found != node_of.end() && !modules[i].parent_id.empty() ? found->second : 0;
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
ModuleSum RootSum(const attribution::RequestSum& request) {
  ModuleSum root;
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

// Module ids of the tree's nodes: the paths of the job, as a document can hold them, each once.
std::vector<std::string> NameNodes(const std::vector<ModuleSum>& modules) {
  absl::flat_hash_set<std::string> taken;
  const auto unique = [&taken](const std::string& wanted) {
    std::string id = wanted.empty() ? "?" : wanted;
    for (int copy = 2; !taken.insert(id).second; ++copy) {
      id = fmt::format("{}~{}", wanted, copy);
    }
    return id;
  };
  std::vector<std::string> ids(1);
  for (const ModuleSum& module : modules) {
    ids.push_back(unique(Sanitized(module.module_id, kLongestId)));
  }
  ids[0] = unique(std::string(kRootId));
  return ids;
}

// The last part of a dotted path.
std::string NameOf(const std::string& id, const std::string& parent_id) {
  return id.rfind(parent_id + ".", 0) == 0 ? id.substr(parent_id.size() + 1) : id;
}

}  // namespace

absl::StatusOr<v1::AnalyticModelReport> BuildUnrecognisedReport(const attribution::Result& measured,
                                                                const Recording& recording, std::string report_id,
                                                                std::string profile_run_id, std::string layer_docs_dir,
                                                                v1::Provenance provenance) {
  DSOCR_RETURN_IF_ERROR(CheckSums(measured));
  const std::vector<ModuleSum>& modules = measured.request.modules;
  const PathTree tree = TreeOf(modules);
  if (tree.depth_first.size() != modules.size() + 1) {
    return absl::InternalError(
        fmt::format("joining: the paths of the job make no tree, {} of {} hang together; report this as a bug",
                    tree.depth_first.size() - 1, modules.size()));
  }
  const ModuleSum root = RootSum(measured.request);
  const std::vector<std::string> ids = NameNodes(modules);
  const auto sum_of = [&](int node) -> const ModuleSum& {
    return node == 0 ? root : modules[static_cast<size_t>(node) - 1];
  };
  const bool on_gpu = provenance.device().kind() == "cuda";

  v1::AnalyticModelReport report;
  report.set_report_id(std::move(report_id));
  for (const int index : tree.depth_first) {
    v1::AnalyticModuleNode& node = *report.add_modules();
    node.set_module_id(ids[index]);
    node.set_name(ids[index]);
    node.set_stage(v1::STAGE_OTHER);
    node.set_repetition(v1::REPETITION_NONE);
    node.set_repetition_count(1);
    for (const int child : tree.children[index]) {
      node.add_children(ids[child]);
    }
    v1::ModuleMeasurement& measurement = *report.add_module_measurements();
    measurement = MeasurementOf(sum_of(index), on_gpu);
    measurement.set_module_id(ids[index]);
    if (index != 0) {
      node.set_parent_id(ids[tree.parent[index]]);
      node.set_name(NameOf(ids[index], node.parent_id()));
      measurement.add_job_paths(ids[index]);
    }
  }
  AddOperatorCategories(&report);
  report.set_profile_run_id(std::move(profile_run_id));
  report.set_measured_total_time_ms(Milliseconds(measured.request.total_ns));
  report.set_notes("the job's model is not known: nothing is predicted, module ids are the paths that the job named");
  report.set_layer_docs_dir(std::move(layer_docs_dir));
  *report.mutable_attribution() = AttributionOf(measured, recording);
  *report.mutable_provenance() = std::move(provenance);
  AddMeasurementNotes(measured, &report);
  return report;
}

}  // namespace dsocr::report
