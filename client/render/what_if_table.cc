#include "client/render/what_if_table.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "client/render/units.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

Column Number(std::string key) { return {key, key, true}; }

// `decimals` are for people; a program gets all of it.
Cell Fixed(double value, int decimals, Style style = Style::kPlain) {
  return {fmt::format("{:.{}f}", value, decimals), document::FormatDouble(value), style};
}
Cell Ms(double value, Style style = Style::kPlain) { return Fixed(value, 3, style); }
Cell Tflops(double value, Style style = Style::kPlain) { return Fixed(value, 4, style); }
Cell Gb(double value, Style style = Style::kPlain) { return Fixed(value, 3, style); }

// "-49.9 %"; a program gets the share: -0.499.
Cell Change(double now, double before, Style style = Style::kPlain) {
  if (before == 0) {
    return {"-", "", style};
  }
  const double share = now / before - 1;
  return {fmt::format("{:+.1f} %", 100 * share), document::FormatDouble(share), style};
}

std::string TextOf(const v1::ParamValue& value) {
  switch (value.value_case()) {
    case v1::ParamValue::kIntValue:
      return fmt::format("{}", value.int_value());
    case v1::ParamValue::kFloatValue:
      return fmt::format("{}", value.float_value());
    case v1::ParamValue::kStringValue:
      return value.string_value();
    case v1::ParamValue::kBoolValue:
      return value.bool_value() ? "1" : "0";
    case v1::ParamValue::VALUE_NOT_SET:
      break;
  }
  return "";
}

// Sorted by name, as in documents.
std::map<std::string, std::string> ParametersOf(const v1::WhatIfScenario& scenario) {
  std::map<std::string, std::string> parameters;
  for (const auto& [key, value] : scenario.parameters()) {
    parameters.emplace(key, TextOf(value));
  }
  return parameters;
}

// Of "prefill/layer[0]" two: a stage and its child.
auto DepthOf(std::string_view module_id) { return 1 + std::count(module_id.begin(), module_id.end(), '/'); }

Table ModulesTable(const v1::WhatIfResponse& response, std::ptrdiff_t max_depth) {
  Table table;
  table.columns = {{"module", "module"},       Number("time_ms"),           Number("flops_TF"),
                   Number("baseline_time_ms"), Number("baseline_flops_TF"), Number("change")};
  const v1::WhatIfScenario& scenario = response.scenarios(0);
  const v1::WhatIfScenario& baseline = response.baseline();
  // The root is the total, and comes last.
  for (int i = 1; i < std::min(scenario.modules_size(), baseline.modules_size()); ++i) {
    const v1::WhatIfModule& now = scenario.modules(i);
    const v1::WhatIfModule& before = baseline.modules(i);
    if (DepthOf(now.module_id()) <= max_depth) {
      const Style style = DepthOf(now.module_id()) > 1 ? Style::kPlain : Style::kBold;
      table.rows.push_back({Cell(now.module_id(), style), Ms(now.time_ms(), style), Tflops(now.flops_tf(), style),
                            Ms(before.time_ms(), style), Tflops(before.flops_tf(), style),
                            Change(now.time_ms(), before.time_ms(), style)});
    }
  }
  constexpr Style kBold = Style::kBold;
  table.rows.push_back({Cell("total", kBold), Ms(scenario.total_time_ms(), kBold),
                        Tflops(scenario.total_flops_tflops(), kBold), Ms(baseline.total_time_ms(), kBold),
                        Tflops(baseline.total_flops_tflops(), kBold),
                        Change(scenario.total_time_ms(), baseline.total_time_ms(), kBold)});
  return table;
}

Table ScenariosTable(const v1::WhatIfResponse& response) {
  Table table;
  for (const auto& [key, value] : ParametersOf(response.scenarios(0))) {
    table.columns.push_back(Number(key));
  }
  for (const char* key :
       {"total_time_ms", "total_flops_tflops", "memory_gb", "fits", "headroom_gb", "communication_ms", "change"}) {
    table.columns.push_back(Number(key));
  }
  for (const v1::WhatIfScenario& scenario : response.scenarios()) {
    std::vector<Cell> row;
    for (const auto& [key, value] : ParametersOf(scenario)) {
      row.emplace_back(value);
    }
    row.push_back(Ms(scenario.total_time_ms()));
    row.push_back(Tflops(scenario.total_flops_tflops()));
    row.push_back(Gb(scenario.memory_gb().total()));
    row.emplace_back(scenario.fits() ? "yes" : "no", scenario.fits() ? "true" : "false",
                     scenario.fits() ? Style::kGood : Style::kPoor);
    row.push_back(Gb(scenario.headroom_gb()));
    row.push_back(Ms(scenario.communication_ms()));
    row.push_back(Change(scenario.total_time_ms(), response.baseline().total_time_ms()));
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table TornadoTable(const v1::WhatIfResponse& response, bool has_bars) {
  Table table;
  table.columns = {{"knob", "knob"}, Number("value"),          Number("half"),    Number("half_time_ms"),
                   Number("double"), Number("double_time_ms"), Number("swing_ms")};
  if (has_bars) {
    table.columns.push_back({"", "bar"});
  }
  const auto number = [](double value) { return Cell(fmt::format("{:.6g}", value), document::FormatDouble(value)); };
  const double widest = response.tornado_size() == 0 ? 0 : response.tornado(0).swing_ms();
  for (const v1::WhatIfTornadoBar& bar : response.tornado()) {
    std::vector<Cell> row = {Cell(bar.parameter()), number(bar.value())};
    for (const auto& [has, end] : {std::pair(bar.has_low(), bar.low()), std::pair(bar.has_high(), bar.high())}) {
      row.push_back(has ? number(end.value()) : Cell("-", ""));
      row.push_back(has ? Ms(end.total_time_ms()) : Cell("-", ""));
    }
    row.push_back(Ms(bar.swing_ms()));
    if (has_bars) {
      row.emplace_back(Bar(widest > 0 ? bar.swing_ms() / widest : 0), Style::kDim);
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

// "what if memory_bandwidth_gbs 8000, tensor_parallel 2"; a sweep's own parameters are in its table.
std::string Heading(const v1::WhatIfResponse& response, WhatIfView view) {
  std::string heading =
      fmt::format("{} · {} · {} on {} · report {}\n", response.model_variant(), response.workload_profile_id(),
                  response.dtype(), response.device(), response.report_id());
  const std::map<std::string, std::string> parameters = ParametersOf(response.scenarios(0));
  if (view == WhatIfView::kScenarios || parameters.empty()) {
    return heading;
  }
  std::string_view separator = "what if ";
  for (const auto& [key, value] : parameters) {
    heading += fmt::format("{}{} {}", std::exchange(separator, ", "), key, value);
  }
  return heading + "\n";
}

Table MemoryTable(const v1::WhatIfResponse& response) {
  const v1::WhatIfMemory& now = response.scenarios(0).memory_gb();
  const v1::WhatIfMemory& before = response.baseline().memory_gb();
  Table table;
  table.columns = {{"memory", "memory"}, Number("gb"), Number("baseline_gb")};
  table.rows = {{Cell("weights"), Gb(now.weights()), Gb(before.weights())},
                {Cell("activations"), Gb(now.activations()), Gb(before.activations())},
                {Cell("kvcache"), Gb(now.kvcache()), Gb(before.kvcache())},
                {Cell("total", Style::kBold), Gb(now.total(), Style::kBold), Gb(before.total(), Style::kBold)}};
  return table;
}

// "fits into 141.000 GB: 133.950 GB to spare"
std::string FitLine(const v1::WhatIfScenario& scenario) {
  const std::string each = scenario.devices() > 1 ? fmt::format(" of each of {} devices", scenario.devices()) : "";
  return scenario.fits() ? fmt::format("fits into {:.3f} GB{}: {:.3f} GB to spare\n", scenario.device_memory_gb(), each,
                                       scenario.headroom_gb())
                         : fmt::format("does not fit into {:.3f} GB{}: {:.3f} GB are missing\n",
                                       scenario.device_memory_gb(), each, -scenario.headroom_gb());
}

std::string Footer(const v1::WhatIfResponse& response, WhatIfView view) {
  std::string footer;
  if (view == WhatIfView::kModules) {
    const v1::WhatIfScenario& scenario = response.scenarios(0);
    footer += FitLine(scenario);
    if (scenario.devices() > 1) {
      footer += fmt::format("{:.3f} ms of the total are communication\n", scenario.communication_ms());
    }
  }
  for (const std::string& note : response.notes()) {
    footer += fmt::format("note: {}\n", note);
  }
  return footer;
}

// The tables of a person's view, each as `render` writes it.
template <typename Render>
std::string Page(const v1::WhatIfResponse& response, WhatIfView view, const Render& render) {
  constexpr std::ptrdiff_t kStagesAndChildren = 2;
  std::string page = Heading(response, view) + "\n";
  switch (view) {
    case WhatIfView::kModules:
      page += render(ModulesTable(response, kStagesAndChildren)) + "\n" + render(MemoryTable(response));
      break;
    case WhatIfView::kScenarios:
      page += render(ScenariosTable(response));
      break;
    case WhatIfView::kTornado:
      page += render(TornadoTable(response, /*has_bars=*/true));
      break;
  }
  const std::string footer = Footer(response, view);
  return footer.empty() ? page : page + "\n" + footer;
}

}  // namespace

Table WhatIfTable(const v1::WhatIfResponse& response, WhatIfView view) {
  switch (view) {
    case WhatIfView::kModules:
      return ModulesTable(response, std::numeric_limits<std::ptrdiff_t>::max());
    case WhatIfView::kScenarios:
      return ScenariosTable(response);
    case WhatIfView::kTornado:
      return TornadoTable(response, /*has_bars=*/false);
  }
  return {};
}

std::string WhatIfText(const v1::WhatIfResponse& response, WhatIfView view, bool has_color) {
  return Page(response, view, [has_color](const Table& table) { return TableText(table, has_color); });
}

std::string WhatIfMarkdown(const v1::WhatIfResponse& response, WhatIfView view) {
  return Page(response, view, TableMarkdown);
}

}  // namespace dsocr::client
