#include "analytic/stages.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "analytic/category.h"
#include "analytic/module/tree.h"
#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

constexpr size_t kDecode = 4;

struct StageNode {
  std::string_view name;
  std::string_view module_id;
};
constexpr StageNode kStages[] = {{"sam", "vision/sam"},
                                 {"clip", "vision/clip"},
                                 {"projector", "projector"},
                                 {"prefill", "prefill"},
                                 {"decode", "decode"}};
constexpr size_t kStageCount = std::size(kStages);

// The stage that a node stands in, or kStageCount: nodes come after their parents, so theirs is known.
std::vector<size_t> StageOfNodes(const ModuleTree& tree) {
  std::vector<size_t> stage_of(tree.nodes.size(), kStageCount);
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    const Node& node = tree.nodes[i];
    if (node.parent >= 0) {
      stage_of[i] = stage_of[static_cast<size_t>(node.parent)];
    }
    for (size_t stage = 0; stage < kStageCount; ++stage) {
      if (node.id == kStages[stage].module_id) {
        stage_of[i] = stage;
      }
    }
  }
  return stage_of;
}

// Where the source's stage map counts a leaf's parameters; kStageCount: in the total alone.
size_t ParameterStage(const Node& node, size_t stage) {
  if (node.id == "projector/assemble") {
    return kStageCount;
  }
  return node.id == "prefill/lm_head" ? kDecode : stage;
}

using FlopsByCategory = std::array<int64_t, kCategoryCount>;

void AddLeaf(const Node& node, const Frames& frames, Precision precision, FlopsByCategory& by_category,
             StageAnalysis& stage) {
  int64_t leaf_flops = 0;
  for (const Frame& frame : frames.Of(node.frames)) {
    if (node.spec.runs != nullptr && !node.spec.runs(frame)) {
      continue;
    }
    const int64_t calls = frame.passes * node.instances;
    for (const LeafOperator& leaf_operator : node.spec.operators) {
      const Cost cost = CostOf(leaf_operator.at(frame), precision);
      by_category[static_cast<size_t>(leaf_operator.category)] += cost.flops * calls;
      stage.activation_elements += cost.matmul_elements * calls;
      leaf_flops += cost.flops * calls;
    }
  }
  if (leaf_flops > 0) {
    stage.flops += leaf_flops;
    stage.leaves.push_back({node.id, leaf_flops});
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

  StagesAnalysis analysis;
  for (const StageNode& stage : kStages) {
    analysis.stages.push_back({.name = stage.name, .module_id = stage.module_id});
  }
  std::array<FlopsByCategory, kStageCount> by_category = {};
  const std::vector<size_t> stage_of = StageOfNodes(tree);
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    const Node& node = tree.nodes[i];
    if (!node.is_leaf()) {
      continue;
    }
    AddLeaf(node, frames, workload.precision, by_category[stage_of[i]], analysis.stages[stage_of[i]]);
    if (node.owns_weights) {
      const int64_t parameters = node.spec.parameters * node.instances;
      analysis.parameters += parameters;
      if (const size_t stage = ParameterStage(node, stage_of[i]); stage < kStageCount) {
        analysis.stages[stage].parameters += parameters;
      }
    }
  }
  for (size_t i = 0; i < kStageCount; ++i) {
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
