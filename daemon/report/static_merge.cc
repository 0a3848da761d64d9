#include "daemon/report/static_merge.h"

#include <array>
#include <utility>

#include "analytic/category.h"
#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::report {
namespace {

using analytic::CategoryId;
using analytic::ModuleTree;
using analytic::StageAnalysis;

// The category that a leaf's matrix products and convolutions have. Of several operators only those count FLOPs.
CategoryId ComputeCategory(const analytic::Node& leaf) {
  for (const analytic::LeafOperator& op : leaf.spec.operators) {
    if (op.category == CategoryId::kGemm || op.category == CategoryId::kGemv || op.category == CategoryId::kConv ||
        op.category == CategoryId::kAttention) {
      return op.category;
    }
  }
  return CategoryId::kOther;
}

std::vector<analytic::CategoryFlops> ByCategory(const ModuleTree& tree, const std::map<int, ComputeSums>& leaves) {
  std::array<int64_t, analytic::kCategoryCount> sums = {};
  for (const auto& [leaf, compute] : leaves) {
    sums[static_cast<size_t>(ComputeCategory(tree.nodes[static_cast<size_t>(leaf)]))] += compute.flops;
  }
  std::vector<analytic::CategoryFlops> categories;
  for (size_t i = 0; i < sums.size(); ++i) {
    if (sums[i] > 0) {
      categories.push_back({analytic::CategoryName(static_cast<CategoryId>(i)), sums[i]});
    }
  }
  return categories;
}

LeafTrace ByFormulas(const ModuleTree& tree, const StageAnalysis& stage) {
  LeafTrace trace;
  for (const analytic::LeafFlops& leaf : stage.leaves) {
    trace.leaves[tree.node_of_range.at(leaf.module_id)] = {leaf.flops, leaf.activation_elements};
  }
  return trace;
}

absl::StatusOr<LeafTrace> Isolated(const StaticTrace& trace, const ModuleTree& tree, const StageAnalysis& stage) {
  const auto found = trace.isolated.find(stage.name);
  if (found == trace.isolated.end()) {
    return absl::UnavailableError("the runner has no such stage");
  }
  DSOCR_ASSIGN_OR_RETURN(LeafTrace isolated, found->second);
  LeafTrace within = isolated.Below(tree, stage.module_id);
  if (within.leaves.size() != isolated.leaves.size()) {
    return absl::InternalError("it ran modules of other stages");
  }
  return within;
}

absl::StatusOr<LeafTrace> Extracted(const StaticTrace& trace, const ModuleTree& tree, const StageAnalysis& stage) {
  DSOCR_ASSIGN_OR_RETURN(const LeafTrace whole, trace.extracted);
  LeafTrace within = whole.Below(tree, stage.module_id);
  within.operators.clear();  // they are the whole model's
  return within;
}

// Takes `way` where no better one was taken before.
std::optional<int64_t> Offer(std::string_view name, const absl::StatusOr<LeafTrace>& way, StageCompute* stage) {
  if (!way.ok()) {
    stage->notes.push_back(fmt::format("{}: not traced: {}", name, std::string(way.status().message())));
    return std::nullopt;
  }
  const ComputeSums sums = way->Total();
  if (sums.flops != stage->flops_analytical) {
    stage->notes.push_back(
        fmt::format("{} counts {} FLOPs, the closed formulas {}", name, sums.flops, stage->flops_analytical));
  }
  if (stage->source.empty()) {
    stage->source = name;
    stage->sums = sums;
    stage->leaves = way->leaves;
    stage->operators = way->operators;
  }
  return sums.flops;
}

StageCompute Merge(const ModuleTree& tree, const StageAnalysis& analysis, const absl::StatusOr<StaticTrace>& trace,
                   const std::string& not_traced) {
  StageCompute stage{.name = std::string(analysis.name),
                     .module_id = std::string(analysis.module_id),
                     .parameters = analysis.parameters,
                     .flops_analytical = analysis.flops};
  if (trace.ok()) {
    stage.flops_isolated = Offer("isolated", Isolated(*trace, tree, analysis), &stage);
    stage.flops_extracted = Offer("extracted", Extracted(*trace, tree, analysis), &stage);
  } else {
    stage.notes.push_back(not_traced);
  }
  Offer("analytical", ByFormulas(tree, analysis), &stage);
  stage.categories = ByCategory(tree, stage.leaves);
  return stage;
}

}  // namespace

absl::StatusOr<StaticCompute> MergeStatic(const analytic::ModelSpec& model, const analytic::Workload& workload,
                                          int64_t context, const absl::StatusOr<std::string>& answer) {
  DSOCR_ASSIGN_OR_RETURN(const analytic::StagesAnalysis analysis, analytic::AnalyzeStages(model, workload, context));
  StaticCompute compute{.tree = analytic::BuildTree(model), .parameters = analysis.parameters};
  const absl::StatusOr<StaticTrace> trace =
      answer.ok() ? ParseStaticTrace(*answer, compute.tree) : absl::StatusOr<StaticTrace>(answer.status());
  if (!trace.ok()) {
    compute.not_traced = fmt::format("not traced: {}", std::string(trace.status().message()));
  }
  for (const StageAnalysis& stage : analysis.stages) {
    compute.stages.push_back(Merge(compute.tree, stage, trace, compute.not_traced));
    compute.sums.flops += compute.stages.back().sums.flops;
    compute.sums.activation_elements += compute.stages.back().sums.activation_elements;
  }
  return compute;
}

}  // namespace dsocr::report
