#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "analytic/module/definition.h"
#include "daemon/export/layer_pages.h"
#include "daemon/export/layer_parts.h"
#include "daemon/export/text.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::exporter {
namespace {

constexpr int kMostSteps = 64;        // of a way through a tree that a foreign job made
constexpr size_t kLongestStem = 200;  // with number and ".md" inside the 255 bytes that file systems allow

// The mapping of contracts section 3; what a foreign id holds besides becomes '_'.
std::string StemOf(std::string_view module_id) {
  std::string stem;
  for (const char c : module_id.substr(0, kLongestStem)) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    if (c == '/') {
      stem += '.';
    } else if (c == '[') {
      stem += '-';
    } else if (c != ']') {
      stem += plain ? c : '_';
    }
  }
  return stem.empty() || stem.front() == '.' ? fmt::format("_{}", stem) : stem;
}

absl::flat_hash_map<std::string, std::string> NameFiles(const v1::AnalyticModelReport& report) {
  absl::flat_hash_map<std::string, std::string> names;
  absl::flat_hash_set<std::string> taken = {std::string(kSummaryFile)};
  absl::flat_hash_map<std::string, int> uses;  // of a stem, so that a thousand equal ones do not take a million looks
  for (const v1::AnalyticModuleNode& node : report.modules()) {
    const std::string stem = StemOf(node.module_id());
    std::string name = stem + ".md";
    while (!taken.insert(name).second) {
      name = fmt::format("{}-{}.md", stem, ++uses[stem] + 1);
    }
    names[node.module_id()] = name;
  }
  return names;
}

std::string ParamText(const v1::ParamValue& value) {
  switch (value.value_case()) {
    case v1::ParamValue::kIntValue:
      return std::to_string(value.int_value());
    case v1::ParamValue::kFloatValue:
      return document::FormatDouble(value.float_value());
    case v1::ParamValue::kStringValue:
      return Escaped(value.string_value());
    case v1::ParamValue::kBoolValue:
      return value.bool_value() ? "true" : "false";
    case v1::ParamValue::VALUE_NOT_SET:
      break;
  }
  return "-";
}

std::string ShapesText(const google::protobuf::RepeatedPtrField<v1::Shape>& shapes) {
  std::string text;
  for (const v1::Shape& shape : shapes) {
    text += fmt::format("{}`[{}]`", text.empty() ? "" : ", ", fmt::join(shape.dims(), ", "));
  }
  return text.empty() ? "-" : text;
}

// "summary / vision / sam / …": the way down to the module, each step a link.
std::string Breadcrumbs(const Book& book, const v1::AnalyticModuleNode& node) {
  std::string text = Code(node.name());
  const v1::AnalyticModuleNode* step = &node;
  for (int depth = 0; depth < kMostSteps && step != nullptr && step->has_parent_id(); ++depth) {
    step = book.index().node(step->parent_id());
    if (step != nullptr) {
      text = fmt::format("{} / {}", book.Link(step->name(), step->module_id()), text);
    }
  }
  return fmt::format("[Summary]({}) / {}\n", kSummaryFile, text);
}

std::string OperatorWords(const v1::ModuleMetricsSnapshot& metrics) {
  std::string text;
  for (const v1::OperatorMetrics& op : metrics.operator_breakdown()) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", Escaped(op.category_id()));
  }
  return text;
}

// A composite that has no entry of its own is what its children are, a leaf what its operator is.
std::string Definition(const ModuleView& module) {
  if (const std::string_view text = analytic::DefinitionOf(module.node); !text.empty()) {
    return std::string(text);
  }
  if (!module.node.is_leaf()) {
    return fmt::format("Runs its {} children in order.", module.node.children.size());
  }
  const std::vector<analytic::DistinctCall>& calls = module.explanation.calls;
  return calls.empty() ? "Does not run for this workload."
                       : fmt::format("{}.", calls.front().operators.front().description.family);
}

std::string DefinitionSection(const Book& book, const v1::AnalyticModuleNode& node) {
  const std::optional<ModuleView> module = book.Find(node.module_id());
  std::string text = "\n## Definition\n\n";
  if (module) {
    text += fmt::format("{}\n\n", Definition(*module));
  }
  Table table({{"stage", Table::Align::kLeft}, {StageWord(node.stage()), Table::Align::kLeft}});
  if (!node.qualified_class_name().empty()) {
    table.Add({"class in the original", Code(node.qualified_class_name())});
  }
  if (const auto* metrics = book.index().metrics(node.module_id())) {
    table.Add({node.children().empty() ? "operator category" : "operator categories", OperatorWords(*metrics)});
  }
  table.Add(
      {"repetition", node.repetition() == v1::REPETITION_NONE
                         ? "none"
                         : fmt::format("{}, {} times", RepetitionWord(node.repetition()), node.repetition_count())});
  table.Add({"parent", node.has_parent_id() ? book.Link(node.parent_id()) : "-"});
  if (!module) {
    table.Add({"input shapes", ShapesText(node.input_shapes())});
    table.Add({"output shapes", ShapesText(node.output_shapes())});
  }
  return text + table.ToString();
}

std::string ConfigurationSection(const v1::AnalyticModuleNode& node) {
  if (node.constructor_params().empty()) {
    return "";
  }
  // The map has no order of its own.
  std::vector<std::pair<std::string, std::string>> params;
  for (const auto& [name, value] : node.constructor_params()) {
    params.emplace_back(name, ParamText(value));
  }
  std::sort(params.begin(), params.end());
  Table table({{"parameter", Table::Align::kLeft}, {"value", Table::Align::kLeft}});
  for (auto& [name, value] : params) {
    table.Add({Code(name), std::move(value)});
  }
  return fmt::format("\n## Configuration\n\n{}", table.ToString());
}

// The operators of a module by category, children included.
std::string CategoriesSection(const v1::ModuleMetricsSnapshot& metrics) {
  Table table({{"category", Table::Align::kLeft}, {"calls"}, {"ms"}, {"TFLOP"}, {"Tb"}, {"share of FLOPs"}});
  for (const v1::OperatorMetrics& op : metrics.operator_breakdown()) {
    table.Add({Escaped(op.category_id()), Grouped(op.calls()), Figure(op.time_ms()), Figure(op.flops_tflops()),
               Figure(op.io_tb()), Percent(op.share_of_module_flops())});
  }
  return fmt::format("\n## Operators by category\n\n{}", table.ToString());
}

std::string MeasuredSection(const v1::ModuleMeasurement& measured, const analytic::DecoderSpec* decoder) {
  Table table({{"of one request", Table::Align::kLeft}, {"measured"}});
  table.Add({"calls", std::to_string(measured.calls())});
  table.Add({"operations", std::to_string(measured.launches())});
  table.Add({"wall time, ms", Figure(measured.wall_time_ms())});
  table.Add({"device time, ms", Figure(measured.device_time_ms())});
  if (measured.has_inferred_device_time_ms()) {
    table.Add({"of it inferred from CUDA graphs, ms",
               fmt::format("{} (confidence {:.2f})", Figure(measured.inferred_device_time_ms()),
                           measured.inferred_confidence())});
  }
  table.Add({"device time of its own operations, ms", Figure(measured.self_device_time_ms())});
  table.Add({"busy, ms", Figure(measured.busy_time_ms())});
  table.Add({"gap, ms", Figure(measured.gap_time_ms())});
  table.Add({"median call, ms", Figure(measured.p50_ms())});
  table.Add({"95th percentile, ms", Figure(measured.p95_ms())});
  if (measured.has_residual_ms()) {
    table.Add({"measured - predicted, ms", Figure(measured.residual_ms())});
  }
  if (measured.has_mfu()) {
    table.Add({"of the device's peak FLOPs", Percent(measured.mfu())});
  }
  AddExpertRows(measured, decoder, &table);
  table.Add({"bound", BoundWord(measured.bound())});

  Table operators({{"operators", Table::Align::kLeft}, {"operations"}, {"ms"}, {"predicted ms"}, {"share of time"}});
  for (const v1::MeasuredOperator& op : measured.operator_breakdown()) {
    operators.Add({Escaped(op.category_id()), std::to_string(op.calls()), Figure(op.device_time_ms()),
                   op.has_predicted_time_ms() ? Figure(op.predicted_time_ms()) : "-",
                   Percent(op.share_of_module_time())});
  }
  return fmt::format("\n## Measurement\n\n{}\n{}", table.ToString(), operators.ToString());
}

// Of a job whose model is not known.
std::string MeasuredChildrenSection(const Book& book, const v1::AnalyticModuleNode& node) {
  Table table({{"module", Table::Align::kLeft}, {"calls"}, {"measured ms"}});
  for (const std::string& child : node.children()) {
    const auto* measured = book.index().measurement(child);
    table.Add({book.Link(child), measured != nullptr ? Grouped(measured->calls()) : "-",
               measured != nullptr ? Figure(measured->busy_time_ms() + measured->gap_time_ms()) : "-"});
  }
  return fmt::format("\n## Children, in execution order\n\n{}", table.ToString());
}

std::string ModulePage(const Book& book, const v1::AnalyticModuleNode& node) {
  std::string text = fmt::format("# {}\n\n", Code(node.module_id()));
  text += Breadcrumbs(book, node);
  text += DefinitionSection(book, node);
  text += ConfigurationSection(node);
  if (const std::optional<ModuleView> module = book.Find(node.module_id())) {
    text += CallsSection(*module);
    text += module->node.is_leaf() ? WorkSections(book, *module) : ChildrenSection(book, *module);
    text += CensusSection(*module);
    text += ResultSection(book, *module);
    text += MemorySection(book, *module);
    if (module->metrics.operator_breakdown_size() > 1) {
      text += CategoriesSection(module->metrics);
    }
  } else if (!node.children().empty()) {
    text += MeasuredChildrenSection(book, node);
  }
  if (const auto* measured = book.index().measurement(node.module_id())) {
    text += MeasuredSection(*measured, book.origin() != nullptr ? &book.origin()->model.decoder : nullptr);
  }
  return text;
}

}  // namespace

Book::Book(const v1::AnalyticModelReport& report, const Origin* origin)
    : report_(report), index_(report), origin_(origin), files_(NameFiles(report)) {
  if (origin != nullptr) {
    explanation_ = analytic::Explain(origin->model, origin->workload, origin->device);
    for (size_t i = 0; i < explanation_->tree.nodes.size(); ++i) {
      nodes_.emplace(explanation_->tree.nodes[i].id, i);
    }
  }
}

std::optional<ModuleView> Book::Find(const std::string& module_id) const {
  const auto found = nodes_.find(module_id);
  const v1::ModuleMetricsSnapshot* metrics = index_.metrics(module_id);
  if (found == nodes_.end() || metrics == nullptr) {
    return std::nullopt;
  }
  return ModuleView{explanation_->tree.nodes[found->second], explanation_->modules[found->second], *metrics};
}

std::string Book::Link(std::string_view text, const std::string& module_id) const {
  const auto found = files_.find(module_id);
  return found != files_.end() ? fmt::format("[{}]({})", Code(text), found->second) : Code(text);
}

std::vector<Page> LayerPages(const v1::AnalyticModelReport& report, const Origin* origin) {
  const Book book(report, origin);
  std::vector<Page> pages = {{std::string(kSummaryFile), SummaryPage(book)}};
  for (const v1::AnalyticModuleNode& node : report.modules()) {
    pages.push_back({book.FileOf(node.module_id()), ModulePage(book, node)});
  }
  return pages;
}

}  // namespace dsocr::exporter
