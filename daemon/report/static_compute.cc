#include "daemon/report/static_compute.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "analytic/precision.h"
#include "analytic/stages.h"
#include "base/status.h"
#include "daemon/export/text.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace dsocr::report {
namespace {

using analytic::StageAnalysis;
using analytic::StagesAnalysis;
using exporter::Code;
using exporter::Grouped;
using exporter::Percent;
using exporter::Table;
using nlohmann::ordered_json;

constexpr std::string_view kSource = "analytical";
constexpr size_t kTopOperators = 3;
constexpr std::string_view kConvention =
    "2 FLOPs per multiply-add, matmul and convolution only; full square attention scores; padded window tokens "
    "counted; "
    "experts_per_token routed experts a token; the rope table is precomputed; lm_head at the last position of prefill";
constexpr std::string_view kNote =
    "closed formulas alone: the extracted and isolated ways need a trace of the model and were not run";

// What the stage covers that its name does not say.
std::string_view StageNote(std::string_view stage) {
  if (stage == "sam" || stage == "clip" || stage == "projector") {
    return "over all views of the page";
  }
  return stage == "prefill"
             ? "the decoder over seq_len positions, lm_head at the last one; parameters: embed_tokens, layers, norm"
             : "one token with `context` tokens in the cache, lm_head included; parameters: lm_head";
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

ordered_json StageJson(const StageAnalysis& stage) {
  ordered_json operators = ordered_json::object();
  for (const analytic::CategoryFlops& category : stage.operators) {
    operators[std::string(category.category_id)] = category.flops;
  }
  ordered_json modules = ordered_json::object();
  for (const analytic::LeafFlops& leaf : stage.leaves) {
    modules[leaf.module_id] = leaf.flops;
  }
  return {
      {"params", stage.parameters},        {"flops", stage.flops},          {"activations", stage.activation_elements},
      {"flops_extracted", nullptr},        {"flops_isolated", nullptr},     {"flops_analytical", stage.flops},
      {"operators", std::move(operators)}, {"modules", std::move(modules)}, {"source", kSource},
      {"notes", {StageNote(stage.name)}}};
}

std::string Json(const StagesAnalysis& analysis, ordered_json metadata) {
  ordered_json stages = ordered_json::object();
  for (const StageAnalysis& stage : analysis.stages) {
    stages[std::string(stage.name)] = StageJson(stage);
  }
  metadata["flops_convention"] = kConvention;
  const ordered_json document = {
      {"metadata", std::move(metadata)},
      {"total",
       {{"params", analysis.parameters}, {"flops", analysis.flops}, {"activations", analysis.activation_elements}}},
      {"stages", std::move(stages)},
      {"notes", {kNote}}};
  return document.dump(2) + "\n";
}

double ShareOf(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

std::vector<analytic::CategoryFlops> TopOperators(std::vector<analytic::CategoryFlops> operators) {
  std::stable_sort(operators.begin(), operators.end(), [](const auto& a, const auto& b) { return a.flops > b.flops; });
  operators.resize(std::min(operators.size(), kTopOperators));
  return operators;
}

std::string ConfigurationTable(const ordered_json& metadata) {
  Table table({{"configuration", Table::Align::kLeft}, {"value", Table::Align::kLeft}});
  for (const auto& [key, value] : metadata.items()) {
    table.Add({Code(key), exporter::Escaped(value.is_string() ? value.get<std::string>() : value.dump())});
  }
  return table.ToString();
}

std::string StageTable(const StagesAnalysis& analysis) {
  Table table(
      {{"stage", Table::Align::kLeft}, {"parameters"}, {"FLOPs"}, {"activations"}, {"source", Table::Align::kLeft}});
  for (const StageAnalysis& stage : analysis.stages) {
    table.Add({std::string(stage.name), Grouped(stage.parameters), Grouped(stage.flops),
               Grouped(stage.activation_elements), std::string(kSource)});
  }
  table.Add(
      {"**total**", Grouped(analysis.parameters), Grouped(analysis.flops), Grouped(analysis.activation_elements), ""});
  return table.ToString();
}

std::string WitnessTable(const StagesAnalysis& analysis) {
  Table table({{"stage", Table::Align::kLeft}, {"isolated"}, {"extracted"}, {"analytical"}});
  for (const StageAnalysis& stage : analysis.stages) {
    table.Add({std::string(stage.name), "-", "-", Grouped(stage.flops)});
  }
  return table.ToString();
}

std::string OperatorTable(const StagesAnalysis& analysis) {
  Table table({{"stage", Table::Align::kLeft},
               {"first", Table::Align::kLeft},
               {"second", Table::Align::kLeft},
               {"third", Table::Align::kLeft}});
  for (const StageAnalysis& stage : analysis.stages) {
    std::vector<std::string> cells = {std::string(stage.name)};
    for (const analytic::CategoryFlops& op : TopOperators(stage.operators)) {
      cells.push_back(fmt::format("{} {}", op.category_id, Percent(ShareOf(op.flops, stage.flops))));
    }
    cells.resize(1 + kTopOperators, "-");
    table.Add(std::move(cells));
  }
  return table.ToString();
}

std::string StageSection(const StageAnalysis& stage) {
  Table table({{"module", Table::Align::kLeft}, {"FLOPs"}, {"share"}});
  for (const analytic::LeafFlops& leaf : stage.leaves) {
    table.Add({Code(leaf.module_id), Grouped(leaf.flops), Percent(ShareOf(leaf.flops, stage.flops))});
  }
  std::string note(StageNote(stage.name));
  return fmt::format(
      "\n## {}\n\nNode {}: {}.\n\n{} parameters, {} FLOPs, {} elements written by matmul and convolution.\n\n{}",
      stage.name, Code(stage.module_id), note, Grouped(stage.parameters), Grouped(stage.flops),
      Grouped(stage.activation_elements), table.ToString());
}

std::string Markdown(const StagesAnalysis& analysis, const ordered_json& metadata) {
  std::string text = fmt::format(
      "# Static compute\n\n{}\nFLOPs: {}.\n\n## Totals\n\n{}\n## FLOPs, three ways\n\n{}\n## Top operators by "
      "FLOPs\n\n{}\n## "
      "Notes\n\n- {}\n",
      ConfigurationTable(metadata), kConvention, StageTable(analysis), WitnessTable(analysis), OperatorTable(analysis),
      kNote);
  for (const StageAnalysis& stage : analysis.stages) {
    text += StageSection(stage);
  }
  return text;
}

// The leaves of a stage and every module around them, parents first, each with the sum of its leaves.
std::vector<std::pair<std::string, int64_t>> ModuleSums(const StageAnalysis& stage) {
  std::vector<std::pair<std::string, int64_t>> sums;
  std::map<std::string, size_t> row_of;
  for (const analytic::LeafFlops& leaf : stage.leaves) {
    for (size_t end = stage.module_id.size(); end <= leaf.module_id.size();
         end = end == leaf.module_id.size() ? end + 1
                                            : std::min(leaf.module_id.find('/', end + 1), leaf.module_id.size())) {
      const auto [row, is_new] = row_of.emplace(leaf.module_id.substr(0, end), sums.size());
      if (is_new) {
        sums.emplace_back(row->first, 0);
      }
      sums[row->second].second += leaf.flops;
    }
  }
  return sums;
}

// In the manner of fvcore's flop_count_table: the tree, indented, with what is below each module.
std::string ModuleTable(const StagesAnalysis& analysis) {
  Table table({{"module", Table::Align::kLeft}, {"FLOPs"}, {"share of total"}});
  table.Add({"**total**", Grouped(analysis.flops), Percent(ShareOf(analysis.flops, analysis.flops))});
  for (const StageAnalysis& stage : analysis.stages) {
    for (const auto& [path, flops] : ModuleSums(stage)) {
      const std::string_view below = std::string_view(path).substr(stage.module_id.size());
      const auto depth = std::count(below.begin(), below.end(), '/');
      std::string indent;
      for (std::ptrdiff_t i = 0; i < depth; ++i) {
        indent += "&nbsp;&nbsp;";
      }
      const std::string name = depth == 0 ? path : path.substr(path.rfind('/') + 1);
      table.Add({indent + Code(name), Grouped(flops), Percent(ShareOf(flops, analysis.flops))});
    }
  }
  return fmt::format("# FLOPs by module\n\n{}.\n\n{}", kConvention, table.ToString());
}

}  // namespace

absl::StatusOr<v1::AnalyzeResponse> AnalyzeStatic(const analytic::ModelSpec& model, const analytic::Workload& workload,
                                                  std::optional<int64_t> context, std::string_view tool_version) {
  const int64_t tokens = context.value_or(workload.seq_len);
  DSOCR_ASSIGN_OR_RETURN(const StagesAnalysis analysis, analytic::AnalyzeStages(model, workload, tokens));
  const ordered_json metadata = Metadata(model, workload, tokens, tool_version);
  v1::AnalyzeResponse response;
  response.set_json(Json(analysis, metadata));
  response.set_markdown(Markdown(analysis, metadata));
  response.set_table_markdown(ModuleTable(analysis));
  return response;
}

}  // namespace dsocr::report
