#include "analytic/cost_model.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "analytic/census.h"
#include "analytic/request_times.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

// Frames of one set: two groups of views, two contexts of decode.
constexpr size_t kMaxFrames = 2;

// Figures of a module while they are summed: every category at its index, time by what bounds it.
struct Sum {
  ModuleFigures figures;
  // By frame of the module's set: whether it runs there, and its largest moment.
  std::array<bool, kMaxFrames> runs = {};
  std::array<int64_t, kMaxFrames> peak_bytes = {};
  std::array<CategoryFigures, kCategoryCount> categories = {};
  std::array<bool, kCategoryCount> has_category = {};
  std::array<double, kBoundCount> time_by_bound = {};
  std::array<double, kProvenanceCount> time_by_provenance = {};
  double longest_ns = 0;  // of an operator, over all its calls: the one that `nearest` is told of
};

template <size_t kCount>
size_t Largest(const std::array<double, kCount>& times) {
  return static_cast<size_t>(std::max_element(times.begin(), times.end()) - times.begin());
}

// One operator of a leaf in the passes of one frame. Returns what the device takes for it.
double AddPass(const OperatorPass& pass, size_t frame, CategoryFigures& category, Sum& sum) {
  const auto& [calls, cost, time, idle_ns, sync_idle_ns] = pass;
  const double device_ns = time.ns * static_cast<double>(calls);
  const double total_ns = device_ns + idle_ns;
  sum.time_by_bound[static_cast<size_t>(time.bound)] += device_ns;
  sum.time_by_bound[static_cast<size_t>(Bound::kLaunch)] += idle_ns;
  sum.time_by_provenance[static_cast<size_t>(time.provenance)] += total_ns;
  category.spread += SpreadOf(total_ns, time.error);
  category.idle_ns += idle_ns;
  category.sync_idle_ns += sync_idle_ns;
  if (total_ns > sum.longest_ns) {
    sum.longest_ns = total_ns;
    sum.figures.nearest = time.nearest;
    sum.figures.nearest_distance = time.distance;
  }
  category.flops += cost.flops * calls;
  category.vector_flops += cost.vector_flops * calls;
  category.io_bytes += cost.bytes() * calls;
  category.calls += cost.launches * calls;
  sum.figures.activation_elements += cost.matmul_elements * calls;
  sum.peak_bytes[frame] = std::max(sum.peak_bytes[frame], cost.live_bytes);
  return device_ns;
}

// What the module dispatches itself; of a leaf, in place of what the formulas say.
void AddCensus(const ModuleTree& tree, const Node& node, const Frames& frames, Sum& sum) {
  if (node.is_leaf()) {
    for (CategoryFigures& category : sum.categories) {
      category.calls = 0;
    }
  }
  const size_t view_groups = frames.Of(FrameSet::kViews).size();
  // A module has its categories whether it runs or not.
  for (const CensusEntry& entry : CensusOf(tree, node, Frame(), view_groups)) {
    sum.has_category[static_cast<size_t>(entry.category)] = true;
  }
  for (const Frame& pass : frames.Of(node.frames)) {
    const auto calls = node.RunsIn(pass) ? static_cast<double>(pass.passes * node.instances) : 0;
    for (const CensusEntry& entry : CensusOf(tree, node, pass, view_groups)) {
      sum.categories[static_cast<size_t>(entry.category)].calls += std::llround(entry.count() * calls);
    }
  }
}

void AddLeaf(const ModuleTree& tree, size_t index, const Frames& all_frames, Precision precision,
             const RequestTimes& times, Sum& sum) {
  const Node& node = tree.nodes[index];
  const std::vector<Frame>& frames = all_frames.Of(node.frames);
  for (size_t i = 0; i < frames.size(); ++i) {
    sum.runs[i] = node.RunsIn(frames[i]);
    const int64_t calls = sum.runs[i] ? frames[i].passes * node.instances : 0;
    if (calls > 0 && !node.spec.kv_cache.empty()) {
      sum.figures.kv_cache_bytes += Product(frames[i], node.spec.kv_cache) * ElementBytes(precision) * calls;
    }
  }
  double idle_ns = 0;
  for (size_t i = 0; i < node.spec.operators.size(); ++i) {
    const auto place = static_cast<size_t>(node.spec.operators[i].category);
    CategoryFigures& category = sum.categories[place];
    sum.has_category[place] = true;
    double device_ns = 0;
    double operator_idle_ns = 0;
    for (size_t frame = 0; frame < frames.size(); ++frame) {
      if (sum.runs[frame]) {
        const OperatorPass& pass = times.At(tree, index, i, frame);
        device_ns += AddPass(pass, frame, category, sum);
        operator_idle_ns += pass.idle_ns;
      }
    }
    category.time_ns += device_ns + operator_idle_ns;
    sum.figures.time_ns += device_ns;
    idle_ns += operator_idle_ns;
  }
  sum.figures.time_ns += idle_ns;
  if (node.owns_weights) {
    sum.figures.parameters = node.spec.parameters * node.instances;
    sum.figures.weight_bytes = WeightBytes(node, precision) * node.instances;
  }
}

int64_t Calls(const Node& node, const std::vector<Frame>& frames) {
  int64_t calls = 0;
  for (const Frame& frame : frames) {
    calls += node.RunsIn(frame) ? frame.passes * node.instances : 0;
  }
  return calls;
}

// What the enclosing module keeps alive beside this one.
int64_t HeldBytes(const Node& node, const Frame& frame, Precision precision) {
  return node.spec.held.empty() ? 0 : Product(frame, node.spec.held) * ElementBytes(precision);
}

// The child's moments, each in the parent's frame that it belongs to: the same one, or, where their sets differ (views
// within a request), every one.
void AddMoments(const Node& node, const Sum& child, const Frames& frames, Precision precision, const Node& parent_node,
                Sum& parent) {
  const std::vector<Frame>& own = frames.Of(node.frames);
  const std::vector<Frame>& outer = frames.Of(parent_node.frames);
  for (size_t i = 0; i < own.size(); ++i) {
    const int64_t moment = child.peak_bytes[i] + HeldBytes(node, own[i], precision);
    for (size_t j = 0; j < outer.size(); ++j) {
      if (child.runs[i] && (node.frames != parent_node.frames || i == j)) {
        parent.runs[j] = true;
        parent.peak_bytes[j] = std::max(parent.peak_bytes[j], moment);
      }
    }
  }
}

void AddChild(const Sum& child, Sum& parent) {
  const ModuleFigures& from = child.figures;
  ModuleFigures& to = parent.figures;
  to.parameters += from.parameters;
  to.weight_bytes += from.weight_bytes;
  to.kv_cache_bytes += from.kv_cache_bytes;
  to.activation_elements += from.activation_elements;
  for (size_t i = 0; i < kCategoryCount; ++i) {
    CategoryFigures& category = parent.categories[i];
    category.calls += child.categories[i].calls;
    category.flops += child.categories[i].flops;
    category.vector_flops += child.categories[i].vector_flops;
    category.io_bytes += child.categories[i].io_bytes;
    category.time_ns += child.categories[i].time_ns;
    category.idle_ns += child.categories[i].idle_ns;
    category.sync_idle_ns += child.categories[i].sync_idle_ns;
    category.spread += child.categories[i].spread;
    parent.has_category[i] |= child.has_category[i];
  }
  for (size_t i = 0; i < kBoundCount; ++i) {
    parent.time_by_bound[i] += child.time_by_bound[i];
  }
  for (size_t i = 0; i < kProvenanceCount; ++i) {
    parent.time_by_provenance[i] += child.time_by_provenance[i];
  }
  if (child.longest_ns > parent.longest_ns) {
    parent.longest_ns = child.longest_ns;
    to.nearest = from.nearest;
    to.nearest_distance = from.nearest_distance;
  }
}

// Totals over the categories, once all children are in.
void Finish(const Node& node, Sum& sum) {
  ModuleFigures& figures = sum.figures;
  std::array<TimeSpread, kCategoryCount> spreads;
  for (size_t i = 0; i < kCategoryCount; ++i) {
    spreads[i] = sum.categories[i].spread;
  }
  figures.spread = InQuadrature(spreads);
  for (size_t i = 0; i < kCategoryCount; ++i) {
    if (!sum.has_category[i]) {
      continue;
    }
    CategoryFigures& category = sum.categories[i];
    category.category_id = CategoryName(static_cast<CategoryId>(i));
    figures.launches += category.calls;
    figures.flops += category.flops;
    figures.vector_flops += category.vector_flops;
    figures.io_bytes += category.io_bytes;
    figures.idle_ns += category.idle_ns;
    figures.operators.push_back(category);
  }
  figures.peak_activation_bytes = *std::max_element(sum.peak_bytes.begin(), sum.peak_bytes.end());
  figures.self_time_ns = node.is_leaf() ? figures.time_ns : 0;
  if (sum.longest_ns > 0) {
    figures.bound = static_cast<Bound>(Largest(sum.time_by_bound));
    figures.provenance = static_cast<Provenance>(Largest(sum.time_by_provenance));
  }
}

bool IsMatrix(CategoryId category) {
  return category == CategoryId::kGemm || category == CategoryId::kGemv || category == CategoryId::kConv;
}

}  // namespace

TimeSpread& TimeSpread::operator+=(const TimeSpread& other) {
  below_50 += other.below_50;
  above_50 += other.above_50;
  below_90 += other.below_90;
  above_90 += other.above_90;
  return *this;
}

TimeSpread SpreadOf(double ns, const PredictionError& error) {
  return {-ns * std::expm1(-error.half_50), ns * std::expm1(error.half_50), -ns * std::expm1(-error.half_90),
          ns * std::expm1(error.half_90)};
}

TimeSpread InQuadrature(const std::array<TimeSpread, kCategoryCount>& spreads) {
  TimeSpread sum;
  for (const TimeSpread& spread : spreads) {
    sum.below_50 += spread.below_50 * spread.below_50;
    sum.above_50 += spread.above_50 * spread.above_50;
    sum.below_90 += spread.below_90 * spread.below_90;
    sum.above_90 += spread.above_90 * spread.above_90;
  }
  return {std::sqrt(sum.below_50), std::sqrt(sum.above_50), std::sqrt(sum.below_90), std::sqrt(sum.above_90)};
}

int64_t WeightBytes(const Node& leaf, Precision precision) {
  const std::vector<LeafOperator>& operators = leaf.spec.operators;
  const bool is_matrix =
      std::any_of(operators.begin(), operators.end(), [](const LeafOperator& op) { return IsMatrix(op.category); });
  return is_matrix ? MatrixBytes(precision, leaf.spec.parameters) : leaf.spec.parameters * ElementBytes(precision);
}

absl::Status CheckDevice(const Workload& workload, const Device& device) {
  return workload.cuda_graphs && device.kind != DeviceKind::kCuda
             ? absl::InvalidArgumentError(
                   fmt::format("cuda_graphs: device '{}' has none; choose a GPU or leave it out", device.name))
             : absl::OkStatus();
}

std::vector<ModuleFigures> Evaluate(const ModuleTree& tree, const Frames& frames, Precision precision,
                                    const Device& device) {
  const bool has_census = device.kind == DeviceKind::kCpu && HasCensus(tree);
  const RequestTimes times(tree, frames, precision, device);
  std::vector<Sum> sums(tree.nodes.size());
  // Depth-first order backwards: every child is complete before its parent is.
  for (size_t i = tree.nodes.size(); i-- > 0;) {
    const Node& node = tree.nodes[i];
    Sum& sum = sums[i];
    sum.figures.calls = Calls(node, frames.Of(node.frames));
    if (node.is_leaf()) {
      AddLeaf(tree, i, frames, precision, times, sum);
    }
    if (has_census) {
      AddCensus(tree, node, frames, sum);
    }
    for (const int child : node.children) {
      sum.figures.time_ns += sums[static_cast<size_t>(child)].figures.time_ns;
    }
    Finish(node, sum);
    if (node.parent >= 0) {
      Sum& parent = sums[static_cast<size_t>(node.parent)];
      AddMoments(node, sum, frames, precision, tree.nodes[static_cast<size_t>(node.parent)], parent);
      AddChild(sum, parent);
    }
  }
  std::vector<ModuleFigures> figures;
  figures.reserve(sums.size());
  for (Sum& sum : sums) {
    figures.push_back(std::move(sum.figures));
  }
  return figures;
}

}  // namespace dsocr::analytic
