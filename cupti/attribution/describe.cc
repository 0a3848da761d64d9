#include "cupti/attribution/describe.h"

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

#include "cupti/attribution/operator_category.h"

namespace dsocr::attribution {

RequestSum Describe(const RequestSums& request, const Dictionary& dictionary,
                    const std::vector<DurationSketch>& durations) {
  const RequestTotals all = request.Totals(dictionary);
  RequestSum sum;
  sum.total_ns = request.total_ns();
  sum.attributed_ns = all.attributed.device_ns;
  sum.unattributed_ns = all.unattributed.device_ns;
  sum.operations = all.attributed.operations + all.unattributed.operations;
  sum.operations_unattributed = all.unattributed.operations;
  sum.sync_gap_ns = request.sync_gap_ns();
  int64_t self_ns = 0;
  for (size_t i = 0; i < all.modules.size(); ++i) {
    const ModuleTotals& totals = all.modules[i];
    const Module& known = dictionary.modules()[i];
    ModuleSum module;
    module.module_id = known.module_id;
    module.parent_id = dictionary.ParentId(known);
    module.calls = totals.calls;
    module.wall_ns = totals.wall_ns;
    module.self_device_ns = totals.self_device_ns;
    for (size_t category = 0; category < kCategoryCount; ++category) {
      const OperationSum& of = totals.with_children[category];
      if (of.operations > 0) {
        module.categories.push_back({std::string(kCategories[category]), of.operations, of.device_ns});
        module.launches += of.operations;
        module.device_ns += of.device_ns;
      }
    }
    module.inferred_ns = totals.inferred.device_ns;
    module.inferred_confidence =
        totals.inferred.device_ns == 0 ? 0.0 : totals.inferred.weight / static_cast<double>(totals.inferred.device_ns);
    if (module.calls == 0 && module.launches == 0) {
      continue;
    }
    module.busy_ns = request.is_gpu() ? totals.busy_ns : module.device_ns;
    module.gap_ns =
        request.is_gpu() ? std::max<int64_t>(0, totals.span_ns - totals.busy_ns) : module.wall_ns - module.device_ns;
    module.p50_ns = durations[i].Quantile(0.50);
    module.p95_ns = durations[i].Quantile(0.95);
    self_ns += module.self_device_ns;
    sum.modules.push_back(std::move(module));
  }
  assert(self_ns == sum.attributed_ns);
  return sum;
}

std::vector<LiveModule> DescribeLive(const RequestSums& request, const Dictionary& dictionary,
                                     const std::vector<int64_t>& open) {
  const RequestTotals all = request.Totals(dictionary);
  std::vector<LiveModule> modules(all.modules.size());
  std::vector<std::vector<int>> children(all.modules.size());
  std::vector<int> pending;
  for (int i = static_cast<int>(modules.size()) - 1; i >= 0; --i) {
    const ModuleTotals& totals = all.modules[i];
    modules[i] = {.module_id = dictionary.modules()[i].module_id,
                  .calls = totals.calls + open[i],
                  .self_device_ns = totals.self_device_ns};
    for (const OperationSum& of : totals.with_children) {
      modules[i].device_ns += of.device_ns;
    }
    if (const int parent = dictionary.modules()[i].parent; parent == kNoModule) {
      pending.push_back(i);
    } else {
      children[parent].push_back(i);
    }
  }
  std::vector<LiveModule> live;
  while (!pending.empty()) {
    const int next = pending.back();
    pending.pop_back();
    for (const int child : children[next]) {
      modules[child].depth = modules[next].depth + 1;
      pending.push_back(child);
    }
    if (modules[next].calls > 0) {
      live.push_back(std::move(modules[next]));
    }
  }
  return live;
}

}  // namespace dsocr::attribution
