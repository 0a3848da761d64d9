#include "analytic/cost_model.h"

#include <algorithm>
#include <array>

namespace dsocr::analytic {
namespace {

// Figures of a module while they are summed: every category at its index, time by what bounds it.
struct Sum {
  ModuleFigures figures;
  std::array<CategoryFigures, kCategoryCount> categories = {};
  std::array<bool, kCategoryCount> has_category = {};
  std::array<double, kBoundCount> time_by_bound = {};
};

bool Runs(const Node& node, const Frame& frame) { return node.spec.runs == nullptr || node.spec.runs(frame); }

// One operator of a leaf, `calls` times with the sizes of one frame.
void AddOperator(const LeafOperator& leaf_operator, const Frame& frame, int64_t calls, Precision precision,
                 const Device& device, Sum& sum) {
  const Cost cost = CostOf(leaf_operator.at(frame), precision);
  const OperatorTime time = TimeOf(cost, leaf_operator.category, precision, device);
  const double total_ns = time.ns * static_cast<double>(calls);
  CategoryFigures& category = sum.categories[static_cast<size_t>(leaf_operator.category)];
  category.flops += cost.flops * calls;
  category.vector_flops += cost.vector_flops * calls;
  category.io_bytes += cost.bytes() * calls;
  category.time_ns += total_ns;
  sum.time_by_bound[static_cast<size_t>(time.bound)] += total_ns;
  sum.figures.launches += cost.launches * calls;
  sum.figures.activation_elements += cost.matmul_elements * calls;
  sum.figures.peak_activation_bytes = std::max(sum.figures.peak_activation_bytes, cost.live_bytes);
}

void AddLeaf(const Node& node, const Frames& frames, Precision precision, const Device& device, Sum& sum) {
  for (const LeafOperator& leaf_operator : node.spec.operators) {
    sum.has_category[static_cast<size_t>(leaf_operator.category)] = true;
  }
  for (const Frame& frame : frames.Of(node.frames)) {
    if (!Runs(node, frame)) {
      continue;
    }
    const int64_t calls = frame.passes * node.instances;
    for (const LeafOperator& leaf_operator : node.spec.operators) {
      AddOperator(leaf_operator, frame, calls, precision, device, sum);
    }
    if (!node.spec.kv_cache.empty()) {
      sum.figures.kv_cache_bytes += Product(frame, node.spec.kv_cache) * ElementBytes(precision) * calls;
    }
  }
  if (node.owns_weights) {
    sum.figures.parameters = node.spec.parameters * node.instances;
    sum.figures.weight_bytes = sum.figures.parameters * ElementBytes(precision);
  }
}

int64_t Calls(const Node& node, const Frames& frames) {
  int64_t calls = 0;
  for (const Frame& frame : frames.Of(node.frames)) {
    calls += Runs(node, frame) ? frame.passes * node.instances : 0;
  }
  return calls;
}

// What the enclosing module keeps alive beside this one.
int64_t HeldBytes(const Node& node, const Frames& frames, Precision precision) {
  int64_t held = 0;
  if (!node.spec.held.empty()) {
    for (const Frame& frame : frames.Of(node.frames)) {
      held = std::max(held, Product(frame, node.spec.held) * ElementBytes(precision));
    }
  }
  return held;
}

void AddChild(const Sum& child, int64_t held_bytes, Sum& parent) {
  const ModuleFigures& from = child.figures;
  ModuleFigures& to = parent.figures;
  to.launches += from.launches;
  to.parameters += from.parameters;
  to.weight_bytes += from.weight_bytes;
  to.kv_cache_bytes += from.kv_cache_bytes;
  to.activation_elements += from.activation_elements;
  if (from.calls > 0) {
    to.peak_activation_bytes = std::max(to.peak_activation_bytes, from.peak_activation_bytes + held_bytes);
  }
  for (size_t i = 0; i < kCategoryCount; ++i) {
    CategoryFigures& category = parent.categories[i];
    category.calls += child.categories[i].calls;
    category.flops += child.categories[i].flops;
    category.vector_flops += child.categories[i].vector_flops;
    category.io_bytes += child.categories[i].io_bytes;
    category.time_ns += child.categories[i].time_ns;
    parent.has_category[i] |= child.has_category[i];
  }
  for (size_t i = 0; i < kBoundCount; ++i) {
    parent.time_by_bound[i] += child.time_by_bound[i];
  }
}

// Totals over the categories, once all children are in.
void Finish(const Node& node, Sum& sum) {
  ModuleFigures& figures = sum.figures;
  for (size_t i = 0; i < kCategoryCount; ++i) {
    if (!sum.has_category[i]) {
      continue;
    }
    CategoryFigures& category = sum.categories[i];
    category.category_id = CategoryName(static_cast<CategoryId>(i));
    if (node.is_leaf()) {
      category.calls = figures.calls;
    }
    figures.flops += category.flops;
    figures.vector_flops += category.vector_flops;
    figures.io_bytes += category.io_bytes;
    figures.time_ns += category.time_ns;
    figures.operators.push_back(category);
  }
  figures.self_time_ns = node.is_leaf() ? figures.time_ns : 0;
  const auto longest = std::max_element(sum.time_by_bound.begin(), sum.time_by_bound.end());
  figures.bound = *longest > 0 ? static_cast<Bound>(longest - sum.time_by_bound.begin()) : Bound::kMemory;
}

}  // namespace

std::vector<ModuleFigures> Evaluate(const ModuleTree& tree, const Frames& frames, Precision precision,
                                    const Device& device) {
  std::vector<Sum> sums(tree.nodes.size());
  // Depth-first order backwards: every child is complete before its parent is.
  for (size_t i = tree.nodes.size(); i-- > 0;) {
    const Node& node = tree.nodes[i];
    Sum& sum = sums[i];
    sum.figures.calls = Calls(node, frames);
    if (node.is_leaf()) {
      AddLeaf(node, frames, precision, device, sum);
    }
    Finish(node, sum);
    if (node.parent >= 0) {
      AddChild(sum, HeldBytes(node, frames, precision), sums[static_cast<size_t>(node.parent)]);
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
