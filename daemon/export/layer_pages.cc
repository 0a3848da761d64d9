#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "daemon/export/index.h"
#include "daemon/export/markdown.h"
#include "daemon/export/text.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::exporter {
namespace {

using FileNames = absl::flat_hash_map<std::string, std::string>;  // by module id

constexpr std::string_view kSummary = "summary.md";
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

FileNames NameFiles(const v1::AnalyticModelReport& report) {
  FileNames names;
  absl::flat_hash_set<std::string> taken = {std::string(kSummary)};
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

std::string Link(const std::string& module_id, const FileNames& names) {
  const auto found = names.find(module_id);
  return found != names.end() ? fmt::format("[{}]({})", Code(module_id), found->second) : Code(module_id);
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

std::string DefinitionSection(const v1::AnalyticModuleNode& node, const FileNames& names) {
  Table table({{"definition", Table::Align::kLeft}, {"", Table::Align::kLeft}});
  table.Add({"name", Code(node.name())});
  if (!node.qualified_class_name().empty()) {
    table.Add({"class", Code(node.qualified_class_name())});
  }
  table.Add({"stage", StageWord(node.stage())});
  table.Add(
      {"repetition", node.repetition() == v1::REPETITION_NONE
                         ? "none"
                         : fmt::format("{}, {} times", RepetitionWord(node.repetition()), node.repetition_count())});
  table.Add({"parent", node.has_parent_id() ? Link(node.parent_id(), names) : "-"});
  table.Add({"input shapes", ShapesText(node.input_shapes())});
  table.Add({"output shapes", ShapesText(node.output_shapes())});
  return table.ToString();
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

std::string PredictedSection(const v1::ModuleMetricsSnapshot& metrics) {
  Table table({{"of one request", Table::Align::kLeft}, {"predicted"}});
  table.Add({"calls", std::to_string(metrics.calls())});
  table.Add({"launches", std::to_string(metrics.launches())});
  table.Add({"time, ms", Figure(metrics.total_time_ms())});
  table.Add({"share of the model's time", Percent(metrics.share_of_model_time())});
  table.Add({"FLOPs of matmul and convolution, 10^12", Figure(metrics.total_flops_tflops())});
  table.Add({"other FLOPs, 10^12", Figure(metrics.vector_flops_tflops())});
  table.Add({"read and written, 10^12 bits", Figure(metrics.total_io_tb())});
  table.Add({"weights, GB", Figure(metrics.memory_weights_gb())});
  table.Add({"peak activations, GB", Figure(metrics.memory_activations_gb())});
  table.Add({"KV cache added, GB", Figure(metrics.memory_kvcache_gb())});
  table.Add({"bound", BoundWord(metrics.bound())});

  Table operators({{"operators", Table::Align::kLeft}, {"calls"}, {"ms"}, {"TFLOP"}, {"Tb"}, {"share of FLOPs"}});
  for (const v1::OperatorMetrics& op : metrics.operator_breakdown()) {
    operators.Add({Escaped(op.category_id()), std::to_string(op.calls()), Figure(op.time_ms()),
                   Figure(op.flops_tflops()), Figure(op.io_tb()), Percent(op.share_of_module_flops())});
  }
  return fmt::format("\n## Prediction\n\n{}\n{}", table.ToString(), operators.ToString());
}

std::string MeasuredSection(const v1::ModuleMeasurement& measured) {
  Table table({{"of one request", Table::Align::kLeft}, {"measured"}});
  table.Add({"calls", std::to_string(measured.calls())});
  table.Add({"operations", std::to_string(measured.launches())});
  table.Add({"wall time, ms", Figure(measured.wall_time_ms())});
  table.Add({"device time, ms", Figure(measured.device_time_ms())});
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
  table.Add({"bound", BoundWord(measured.bound())});

  Table operators({{"operators", Table::Align::kLeft}, {"operations"}, {"ms"}, {"predicted ms"}, {"share of time"}});
  for (const v1::MeasuredOperator& op : measured.operator_breakdown()) {
    operators.Add({Escaped(op.category_id()), std::to_string(op.calls()), Figure(op.device_time_ms()),
                   op.has_predicted_time_ms() ? Figure(op.predicted_time_ms()) : "-",
                   Percent(op.share_of_module_time())});
  }
  return fmt::format("\n## Measurement\n\n{}\n{}", table.ToString(), operators.ToString());
}

std::string ChildrenSection(const v1::AnalyticModuleNode& node, const ReportIndex& index, const FileNames& names) {
  if (node.children().empty()) {
    return "";
  }
  Table table({{"module", Table::Align::kLeft}, {"calls"}, {"predicted ms"}, {"measured ms"}, {"TFLOP"}});
  for (const std::string& child : node.children()) {
    const auto* metrics = index.metrics(child);
    const auto* measured = index.measurement(child);
    table.Add({Link(child, names),
               metrics != nullptr    ? std::to_string(metrics->calls())
               : measured != nullptr ? std::to_string(measured->calls())
                                     : "-",
               metrics != nullptr ? Figure(metrics->total_time_ms()) : "-",
               measured != nullptr ? Figure(measured->busy_time_ms() + measured->gap_time_ms()) : "-",
               metrics != nullptr ? Figure(metrics->total_flops_tflops()) : "-"});
  }
  return fmt::format("\n## Children, in execution order\n\n{}", table.ToString());
}

std::string ModulePage(const v1::AnalyticModuleNode& node, const ReportIndex& index, const FileNames& names) {
  std::string text = fmt::format("# {}\n\n[All modules]({})\n\n", Code(node.module_id()), kSummary);
  text += DefinitionSection(node, names);
  text += ConfigurationSection(node);
  if (const auto* metrics = index.metrics(node.module_id())) {
    text += PredictedSection(*metrics);
  }
  if (const auto* measured = index.measurement(node.module_id())) {
    text += MeasuredSection(*measured);
  }
  return text + ChildrenSection(node, index, names);
}

// Every module once, in tree order; the id shows the depth.
std::string SummaryPage(const v1::AnalyticModelReport& report, const ReportIndex& index, const FileNames& names) {
  Table table({{"module", Table::Align::kLeft},
               {"stage", Table::Align::kLeft},
               {"calls"},
               {"predicted ms"},
               {"measured ms"},
               {"TFLOP"},
               {"weights GB"},
               {"bound", Table::Align::kLeft}});
  for (const v1::AnalyticModuleNode& node : report.modules()) {
    const auto* metrics = index.metrics(node.module_id());
    const auto* measured = index.measurement(node.module_id());
    table.Add({Link(node.module_id(), names), StageWord(node.stage()),
               metrics != nullptr    ? std::to_string(metrics->calls())
               : measured != nullptr ? std::to_string(measured->calls())
                                     : "-",
               metrics != nullptr ? Figure(metrics->total_time_ms()) : "-",
               measured != nullptr ? Figure(measured->busy_time_ms() + measured->gap_time_ms()) : "-",
               metrics != nullptr ? Figure(metrics->total_flops_tflops()) : "-",
               metrics != nullptr ? Figure(metrics->memory_weights_gb()) : "-",
               metrics != nullptr    ? BoundWord(metrics->bound())
               : measured != nullptr ? BoundWord(measured->bound())
                                     : "-"});
  }
  return fmt::format(
      "# Modules\n\n{}\nEvery figure is a module's total over one request, all instances and calls, children included. "
      "TFLOP "
      "counts matmul and convolution, one multiply-add as two.\n\n{}",
      HeadTable(report), table.ToString());
}

}  // namespace

std::vector<Page> LayerPages(const v1::AnalyticModelReport& report) {
  const ReportIndex index(report);
  const FileNames names = NameFiles(report);
  std::vector<Page> pages = {{std::string(kSummary), SummaryPage(report, index, names)}};
  for (const v1::AnalyticModuleNode& node : report.modules()) {
    pages.push_back({names.at(node.module_id()), ModulePage(node, index, names)});
  }
  return pages;
}

}  // namespace dsocr::exporter
