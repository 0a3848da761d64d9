#include "daemon/report/static_compute.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "analytic/precision.h"
#include "base/status.h"
#include "daemon/export/text.h"
#include "daemon/report/static_merge.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace dsocr::report {
namespace {

using exporter::Code;
using exporter::Grouped;
using exporter::Percent;
using exporter::Table;
using nlohmann::ordered_json;

constexpr Table::Align kLeft = Table::Align::kLeft;
constexpr size_t kTopOperators = 3;
constexpr std::string_view kConvention =
    "2 FLOPs per multiply-add, matmul and convolution only; full square attention scores; padded window tokens "
    "counted; experts_per_token routed experts a token; the rope table is precomputed; lm_head at the last position of "
    "prefill";
constexpr std::string_view kMergeNote =
    "a stage's figures are those of the first way that there is: isolated (the stage alone, traced on the meta "
    "device), extracted (one trace of the whole model), analytical (closed formulas)";
constexpr std::string_view kEqualNote = "the three ways agree to the last FLOP in every stage";
constexpr std::string_view kRoutingNote =
    "traced without values: the router is replaced by tokens x experts_per_token pairs, spread evenly over the experts";

// What the stage covers that its name does not say.
std::string_view StageNote(std::string_view stage) {
  if (stage == "prefill") {
    return "the decoder over seq_len positions, lm_head at the last one; parameters: embed_tokens, layers, norm";
  }
  return stage == "decode" ? "one token with `context` tokens in the cache, lm_head included; parameters: lm_head"
                           : "over all views of the page";
}

std::vector<std::string> StageNotes(const StageCompute& stage) {
  std::vector<std::string> notes = {std::string(StageNote(stage.name))};
  notes.insert(notes.end(), stage.notes.begin(), stage.notes.end());
  return notes;
}

std::vector<std::string> Notes(const StaticCompute& compute) {
  std::vector<std::string> notes = {std::string(kMergeNote)};
  const auto is_equal = [](const StageCompute& stage) {
    return stage.flops_isolated == stage.flops_analytical && stage.flops_extracted == stage.flops_analytical;
  };
  const auto is_traced = [](const StageCompute& stage) { return stage.source != "analytical"; };
  if (std::any_of(compute.stages.begin(), compute.stages.end(), is_traced)) {
    notes.emplace_back(kRoutingNote);
  }
  if (std::all_of(compute.stages.begin(), compute.stages.end(), is_equal)) {
    notes.emplace_back(kEqualNote);
  }
  if (!compute.not_traced.empty()) {
    notes.push_back(compute.not_traced);  // once for all stages
    return notes;
  }
  for (const StageCompute& stage : compute.stages) {
    for (const std::string& note : stage.notes) {
      notes.push_back(fmt::format("{}: {}", stage.name, note));
    }
  }
  return notes;
}

ordered_json Metadata(const analytic::ModelSpec& model, const analytic::Workload& workload, int64_t context,
                      std::string_view tool_version) {
  const analytic::ImageLayout layout = analytic::LayOutImage(model, workload);
  return {{"tool_version", tool_version},
          {"model_id", model.model_id},
          {"model_variant", model.variant},
          {"workload_profile_id", workload.profile_id},
          {"dtype", analytic::PrecisionName(workload.precision)},
          {"base_size", workload.base_size},
          {"image_size", workload.image_size},
          {"crop_mode", workload.crop_mode},
          {"page_width", workload.page_width},
          {"page_height", workload.page_height},
          {"crop_grid", {layout.crops_wide, layout.crops_high}},
          {"image_tokens", layout.image_tokens()},
          {"seq_len", workload.seq_len},
          {"context", context}};
}

ordered_json OrNull(const std::optional<int64_t>& count) {
  return count ? ordered_json(*count) : ordered_json(nullptr);
}

ordered_json StageJson(const analytic::ModuleTree& tree, const StageCompute& stage) {
  ordered_json categories = ordered_json::object();
  for (const analytic::CategoryFlops& category : stage.categories) {
    categories[std::string(category.category_id)] = category.flops;
  }
  ordered_json modules = ordered_json::object();
  for (const auto& [leaf, sums] : stage.leaves) {
    modules[tree.nodes[static_cast<size_t>(leaf)].id] = sums.flops;
  }
  ordered_json traced = ordered_json::object();
  for (const auto& [name, flops] : stage.operators) {
    traced[name] = flops;
  }
  return {{"params", stage.parameters},
          {"flops", stage.sums.flops},
          {"activations", stage.sums.activation_elements},
          {"flops_extracted", OrNull(stage.flops_extracted)},
          {"flops_isolated", OrNull(stage.flops_isolated)},
          {"flops_analytical", stage.flops_analytical},
          {"operators", std::move(categories)},
          {"traced_operators", std::move(traced)},
          {"modules", std::move(modules)},
          {"source", stage.source},
          {"notes", StageNotes(stage)}};
}

std::string Json(const StaticCompute& compute, ordered_json metadata) {
  ordered_json stages = ordered_json::object();
  for (const StageCompute& stage : compute.stages) {
    stages[stage.name] = StageJson(compute.tree, stage);
  }
  metadata["flops_convention"] = kConvention;
  const ordered_json document = {{"metadata", std::move(metadata)},
                                 {"total",
                                  {{"params", compute.parameters},
                                   {"flops", compute.sums.flops},
                                   {"activations", compute.sums.activation_elements}}},
                                 {"stages", std::move(stages)},
                                 {"notes", Notes(compute)}};
  // What a runner says goes into the notes, whatever its bytes are.
  return document.dump(2, ' ', /*ensure_ascii=*/false, ordered_json::error_handler_t::replace) + "\n";
}

double ShareOf(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

std::string ConfigurationTable(const ordered_json& metadata) {
  Table table({{"configuration", kLeft}, {"value", kLeft}});
  for (const auto& [key, value] : metadata.items()) {
    table.Add({Code(key), exporter::Escaped(value.is_string() ? value.get<std::string>() : value.dump())});
  }
  return table.ToString();
}

std::string StageTable(const StaticCompute& compute) {
  Table table({{"stage", kLeft}, {"parameters"}, {"FLOPs"}, {"activations"}, {"source", kLeft}});
  for (const StageCompute& stage : compute.stages) {
    table.Add({stage.name, Grouped(stage.parameters), Grouped(stage.sums.flops),
               Grouped(stage.sums.activation_elements), std::string(stage.source)});
  }
  table.Add({"**total**", Grouped(compute.parameters), Grouped(compute.sums.flops),
             Grouped(compute.sums.activation_elements), ""});
  return table.ToString();
}

std::string WaysTable(const StaticCompute& compute) {
  const auto cell = [](const std::optional<int64_t>& flops) { return flops ? Grouped(*flops) : "-"; };
  Table table({{"stage", kLeft}, {"isolated"}, {"extracted"}, {"analytical"}});
  for (const StageCompute& stage : compute.stages) {
    table.Add({stage.name, cell(stage.flops_isolated), cell(stage.flops_extracted), Grouped(stage.flops_analytical)});
  }
  return table.ToString();
}

std::string OperatorTable(const StaticCompute& compute) {
  Table table({{"stage", kLeft}, {"first", kLeft}, {"second", kLeft}, {"third", kLeft}});
  for (const StageCompute& stage : compute.stages) {
    std::vector<analytic::CategoryFlops> top = stage.categories;
    std::stable_sort(top.begin(), top.end(), [](const auto& a, const auto& b) { return a.flops > b.flops; });
    top.resize(std::min(top.size(), kTopOperators));
    std::vector<std::string> cells = {stage.name};
    for (const analytic::CategoryFlops& op : top) {
      cells.push_back(fmt::format("{} {}", op.category_id, Percent(ShareOf(op.flops, stage.sums.flops))));
    }
    cells.resize(1 + kTopOperators, "-");
    table.Add(std::move(cells));
  }
  return table.ToString();
}

std::string StageSection(const analytic::ModuleTree& tree, const StageCompute& stage) {
  std::string text =
      fmt::format("\n## {}\n\nNode {}, {}: {} parameters, {} FLOPs, {} elements written by matmul and convolution.\n\n",
                  stage.name, Code(stage.module_id), stage.source, Grouped(stage.parameters), Grouped(stage.sums.flops),
                  Grouped(stage.sums.activation_elements));
  for (const std::string& note : StageNotes(stage)) {
    text += fmt::format("- {}\n", exporter::Escaped(note));
  }
  Table table({{"module", kLeft}, {"FLOPs"}, {"share"}, {"activations"}});
  for (const auto& [leaf, sums] : stage.leaves) {
    table.Add({Code(tree.nodes[static_cast<size_t>(leaf)].id), Grouped(sums.flops),
               Percent(ShareOf(sums.flops, stage.sums.flops)), Grouped(sums.activation_elements)});
  }
  return text + "\n" + table.ToString();
}

std::string Markdown(const StaticCompute& compute, const ordered_json& metadata) {
  std::string notes;
  for (const std::string& note : Notes(compute)) {
    notes += fmt::format("- {}\n", exporter::Escaped(note));
  }
  std::string text = fmt::format(
      "# Static compute\n\n{}\nFLOPs: {}.\n\n## Totals\n\n{}\n## FLOPs, three ways\n\n{}\n## Top operators by "
      "FLOPs\n\n{}\n## Notes\n\n{}",
      ConfigurationTable(metadata), kConvention, StageTable(compute), WaysTable(compute), OperatorTable(compute),
      notes);
  for (const StageCompute& stage : compute.stages) {
    text += StageSection(compute.tree, stage);
  }
  return text;
}

struct NodeTotals {
  int64_t parameters = 0;
  ComputeSums sums;
};

// Every node with what is below it. A node comes after its parent.
std::vector<NodeTotals> SumNodes(const StaticCompute& compute) {
  const std::vector<analytic::Node>& nodes = compute.tree.nodes;
  std::vector<NodeTotals> totals(nodes.size());
  for (const StageCompute& stage : compute.stages) {
    for (const auto& [leaf, sums] : stage.leaves) {
      totals[static_cast<size_t>(leaf)].sums = sums;
    }
  }
  for (size_t i = nodes.size(); i-- > 0;) {
    if (nodes[i].is_leaf() && nodes[i].owns_weights) {
      totals[i].parameters = nodes[i].spec.parameters * nodes[i].instances;
    }
    if (nodes[i].parent >= 0) {
      NodeTotals& parent = totals[static_cast<size_t>(nodes[i].parent)];
      parent.parameters += totals[i].parameters;
      parent.sums.flops += totals[i].sums.flops;
      parent.sums.activation_elements += totals[i].sums.activation_elements;
    }
  }
  return totals;
}

// In the manner of fvcore's flop_count_table: the tree, indented, each module with what is below it. Modules without
// weights and FLOPs are left out.
std::string ModuleTable(const StaticCompute& compute) {
  const std::vector<analytic::Node>& nodes = compute.tree.nodes;
  const std::vector<NodeTotals> totals = SumNodes(compute);
  std::vector<int> depth(nodes.size(), 0);
  Table table({{"module", kLeft}, {"#parameters"}, {"#flops"}, {"#activations"}, {"share of flops"}});
  for (size_t i = 0; i < nodes.size(); ++i) {
    depth[i] = nodes[i].parent >= 0 ? depth[static_cast<size_t>(nodes[i].parent)] + 1 : 0;
    if (totals[i].parameters == 0 && totals[i].sums.flops == 0) {
      continue;
    }
    std::string indent;
    for (int level = 0; level < depth[i]; ++level) {
      indent += "· ";
    }
    const auto count = [](int64_t value) { return value > 0 ? Grouped(value) : ""; };
    table.Add({indent + Code(nodes[i].spec.name), count(totals[i].parameters), count(totals[i].sums.flops),
               count(totals[i].sums.activation_elements),
               totals[i].sums.flops > 0 ? Percent(ShareOf(totals[i].sums.flops, compute.sums.flops)) : ""});
  }
  return fmt::format(
      "# FLOPs by module\n\n{}. #activations: elements written by those operators. Weights stand where they run first: "
      "those of decode in prefill.\n\n{}",
      kConvention, table.ToString());
}

}  // namespace

absl::StatusOr<v1::AnalyzeResponse> AnalyzeStatic(const analytic::ModelSpec& model, const analytic::Workload& workload,
                                                  std::optional<int64_t> context, std::string_view tool_version,
                                                  const absl::StatusOr<std::string>& answer) {
  const int64_t tokens = context.value_or(workload.seq_len);
  DSOCR_ASSIGN_OR_RETURN(const StaticCompute compute, MergeStatic(model, workload, tokens, answer));
  const ordered_json metadata = Metadata(model, workload, tokens, tool_version);
  v1::AnalyzeResponse response;
  response.set_json(Json(compute, metadata));
  response.set_markdown(Markdown(compute, metadata));
  response.set_table_markdown(ModuleTable(compute));
  return response;
}

}  // namespace dsocr::report
