#include "daemon/report/static_trace.h"

#include <optional>
#include <utility>

#include "base/status.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace dsocr::report {
namespace {

using nlohmann::json;

// Of one trace; the sum over all stages still fits into 64 bits. The largest workload has 2^47 FLOPs.
constexpr int64_t kLargestSum = int64_t{1} << 59;

absl::Status Bad(std::string_view where, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("{} {}", where, why));
}

absl::Status AddCount(const json& value, std::string_view where, int64_t* sum) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > static_cast<uint64_t>(kLargestSum - *sum)) {
    return Bad(where, "has no count of a real model");
  }
  *sum += value.get<int64_t>();
  return absl::OkStatus();
}

const json* Find(const json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() ? &*found : nullptr;
}

// The total over all leaves and operators may not overflow either.
absl::Status AddRange(const json& range, const std::string& name, int leaf, int64_t* whole, LeafTrace* trace) {
  const json* const flops = Find(range, "flops");
  const json* const activations = Find(range, "activations");
  if (flops == nullptr || !flops->is_object() || activations == nullptr) {
    return Bad(fmt::format("range '{}'", name), "has no flops or no activations");
  }
  ComputeSums& sums = trace->leaves[leaf];
  for (const auto& [op, count] : flops->items()) {
    const std::string where = fmt::format("range '{}' operator '{}'", name, op);
    DSOCR_RETURN_IF_ERROR(AddCount(count, where, whole));
    DSOCR_RETURN_IF_ERROR(AddCount(count, where, &sums.flops));
    DSOCR_RETURN_IF_ERROR(AddCount(count, where, &trace->operators[op]));
  }
  DSOCR_RETURN_IF_ERROR(AddCount(*activations, fmt::format("range '{}'", name), whole));
  return AddCount(*activations, fmt::format("range '{}'", name), &sums.activation_elements);
}

absl::StatusOr<LeafTrace> ParseTrace(const json& document, const analytic::ModuleTree& tree) {
  if (const json* const error = Find(document, "error"); error != nullptr && error->is_string()) {
    return absl::UnavailableError(error->get<std::string>());
  }
  const json* const ranges = Find(document, "ranges");
  if (ranges == nullptr || !ranges->is_object()) {
    return Bad("the trace", "has neither ranges nor an error");
  }
  LeafTrace trace;
  int64_t whole = 0;
  for (const auto& [name, range] : ranges->items()) {
    const auto node = tree.node_of_range.find(name);
    if (node == tree.node_of_range.end() || !tree.nodes[static_cast<size_t>(node->second)].is_leaf()) {
      return Bad(fmt::format("range '{}'", name), "is no leaf of the module tree");
    }
    DSOCR_RETURN_IF_ERROR(AddRange(range, name, node->second, &whole, &trace));
  }
  return trace;
}

}  // namespace

ComputeSums LeafTrace::Total() const {
  ComputeSums total;
  for (const auto& [leaf, sums] : leaves) {
    total.flops += sums.flops;
    total.activation_elements += sums.activation_elements;
  }
  return total;
}

LeafTrace LeafTrace::Below(const analytic::ModuleTree& tree, std::string_view module_id) const {
  LeafTrace below{.leaves = {}, .operators = operators};
  for (const auto& [leaf, sums] : leaves) {
    const std::string_view id = tree.nodes[static_cast<size_t>(leaf)].id;
    if (id.starts_with(module_id) && (id.size() == module_id.size() || id[module_id.size()] == '/')) {
      below.leaves.emplace(leaf, sums);
    }
  }
  return below;
}

absl::StatusOr<StaticTrace> ParseStaticTrace(std::string_view text, const analytic::ModuleTree& tree) {
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const json* const extracted = Find(document, "extracted");
  const json* const isolated = Find(document, "isolated");
  if (extracted == nullptr || isolated == nullptr || !isolated->is_object()) {
    return absl::InvalidArgumentError("dsocr-runner analyze: it printed no traces; is it of this version?");
  }
  StaticTrace trace{.extracted = ParseTrace(*extracted, tree), .isolated = {}};
  for (const auto& [stage, part] : isolated->items()) {
    trace.isolated.emplace(stage, ParseTrace(part, tree));
  }
  return trace;
}

}  // namespace dsocr::report
