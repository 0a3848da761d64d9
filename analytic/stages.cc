#include "analytic/stages.h"

#include <algorithm>
#include <array>
#include <utility>

#include "analytic/category.h"
#include "analytic/module/tree.h"
#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

// Where a stage begins, or where none is.
constexpr int kNoStage = -1;

bool IsStage(const ModuleTree& tree, const Node& node) {
  const auto is_below_root = [](const Node& n) { return n.parent == 0; };
  return node.stage == Stage::kVision ? !is_below_root(node) && is_below_root(tree.nodes[node.parent])
                                      : is_below_root(node);
}

// The stages that a tree has, and the one that each node stands in.
struct StageMap {
  std::vector<StageAnalysis> stages;
  std::vector<int> stage_of_node;
  int decode = kNoStage;
};

StageMap MapStages(const ModuleTree& tree) {
  StageMap map;
  for (const Node& node : tree.nodes) {  // after its parent, whose stage is known
    int stage = node.parent >= 0 ? map.stage_of_node[node.parent] : kNoStage;
    if (IsStage(tree, node)) {
      stage = static_cast<int>(map.stages.size());
      map.stages.push_back({.name = node.spec.name, .module_id = node.id});
      map.decode = node.stage == Stage::kDecode ? stage : map.decode;
    }
    map.stage_of_node.push_back(stage);
  }
  return map;
}

// The stage whose parameters the source's map counts a leaf's with; kNoStage: in the total alone.
int ParameterStage(const Node& node, int stage, int decode) {
  if (node.spec.is_outside_stages) {
    return kNoStage;
  }
  return node.id == "prefill/lm_head" ? decode : stage;
}

using FlopsByCategory = std::array<int64_t, kCategoryCount>;

void AddLeaf(const Node& node, const Frames& frames, Precision precision, FlopsByCategory& by_category,
             StageAnalysis& stage) {
  LeafFlops leaf = {.module_id = node.id};
  for (const Frame& frame : frames.Of(node.frames)) {
    if (!node.RunsIn(frame)) {
      continue;
    }
    const int64_t calls = frame.passes * node.instances;
    for (const LeafOperator& leaf_operator : node.spec.operators) {
      const Cost cost = CostOf(leaf_operator.at(frame), precision);
      by_category[static_cast<size_t>(leaf_operator.category)] += cost.flops * calls;
      leaf.flops += cost.flops * calls;
      leaf.activation_elements += cost.matmul_elements * calls;
    }
  }
  if (leaf.flops > 0) {
    stage.flops += leaf.flops;
    stage.activation_elements += leaf.activation_elements;
    stage.leaves.push_back(std::move(leaf));
  }
}

}  // namespace

absl::StatusOr<StagesAnalysis> AnalyzeStages(const ModelSpec& model, const Workload& workload, int64_t context) {
  if (context < 0) {
    return absl::InvalidArgumentError(
        fmt::format("context {}: negative; give the tokens already in the cache", context));
  }
  // The cache of one decode step may be longer than the request's own: it must be countable too.
  Workload longest = workload;
  longest.seq_len = std::max(workload.seq_len, context);
  DSOCR_RETURN_IF_ERROR(CheckWorkload(model, workload));
  DSOCR_RETURN_IF_ERROR(CheckWorkload(model, longest));

  const ModuleTree tree = BuildTree(model);
  Frames frames = FramesOf(model, workload);
  frames.sets[static_cast<int>(FrameSet::kDecode)] = {DecodeFrame(workload, context)};

  StageMap map = MapStages(tree);
  StagesAnalysis analysis;
  analysis.stages = std::move(map.stages);
  std::vector<FlopsByCategory> by_category(analysis.stages.size());
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    const Node& node = tree.nodes[i];
    if (!node.is_leaf()) {
      continue;
    }
    const int stage = map.stage_of_node[i];
    AddLeaf(node, frames, workload.precision, by_category[stage], analysis.stages[stage]);
    if (node.owns_weights) {
      const int64_t parameters = node.spec.parameters * node.instances;
      analysis.parameters += parameters;
      if (const int counted = ParameterStage(node, stage, map.decode); counted != kNoStage) {
        analysis.stages[counted].parameters += parameters;
      }
    }
  }
  for (size_t i = 0; i < analysis.stages.size(); ++i) {
    StageAnalysis& stage = analysis.stages[i];
    for (size_t category = 0; category < kCategoryCount; ++category) {
      if (by_category[i][category] > 0) {
        stage.operators.push_back({CategoryName(static_cast<CategoryId>(category)), by_category[i][category]});
      }
    }
    analysis.flops += stage.flops;
    analysis.activation_elements += stage.activation_elements;
  }
  return analysis;
}

}  // namespace dsocr::analytic
