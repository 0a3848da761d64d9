#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "analytic/category.h"
#include "analytic/cost_model.h"
#include "daemon/export/layer_parts.h"
#include "daemon/export/text.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::exporter {
namespace {

using analytic::Account;
using analytic::DistinctCall;
using analytic::OperatorDescription;
using analytic::OperatorUse;
using analytic::TimeTerms;

constexpr int kNsDecimals = 3;

// A column for each distinct call, after those given.
std::vector<Table::Column> WithCallColumns(std::vector<Table::Column> columns, const std::vector<DistinctCall>& calls) {
  for (const DistinctCall& call : calls) {
    columns.push_back({call.label});
  }
  return columns;
}

// What each symbol means, and its value in each distinct call.
std::string SymbolTable(const std::vector<DistinctCall>& calls, size_t index) {
  Table table(WithCallColumns({{"symbol", Table::Align::kLeft}, {"meaning", Table::Align::kLeft}}, calls));
  const std::vector<analytic::SymbolMeaning>& symbols = calls.front().operators[index].description.symbols;
  for (size_t i = 0; i < symbols.size(); ++i) {
    std::vector<std::string> cells = {fmt::format("${}$", symbols[i].tex), std::string(symbols[i].meaning)};
    for (const DistinctCall& call : calls) {
      cells.push_back(NumberText(call.operators[index].description.symbols[i].value));
    }
    table.Add(std::move(cells));
  }
  return table.ToString();
}

// The formulas with the numbers of one call; what is constant has been said in symbols already.
std::vector<std::string> NumberLines(const OperatorDescription& op) {
  std::vector<std::string> lines;
  for (const analytic::Abbreviation& abbreviation : op.abbreviations) {
    lines.push_back(fmt::format("{} &= {} = {}", abbreviation.tex, abbreviation.expression.Numeric(),
                                analytic::TexOf(abbreviation.expression.Value())));
  }
  const auto add = [&lines](std::string_view name, const analytic::Expression& expression) {
    if (!expression.is_constant()) {
      lines.push_back(
          fmt::format("\\text{{{}}} &= {} = {}", name, expression.Numeric(), analytic::TexOf(expression.Value())));
    }
  };
  add("FLOPs", op.flops);
  add("vector FLOPs", op.vector_flops);
  add("bytes read", op.read_bytes);
  add("bytes written", op.write_bytes);
  add("activations alive, bytes", op.live_bytes);
  add("launches", op.launches);
  return lines;
}

std::string NumbersText(const std::vector<DistinctCall>& calls, size_t index) {
  std::string text;
  for (const DistinctCall& call : calls) {
    text += fmt::format("\nNumbers put in, {}:\n\n{}", call.label,
                        MathBlock(NumberLines(call.operators[index].description)));
  }
  return text;
}

std::string BoundName(analytic::Bound bound) {
  switch (bound) {
    case analytic::Bound::kCompute:
      return "compute";
    case analytic::Bound::kMemory:
      return "memory";
    case analytic::Bound::kLatency:
      return "latency";
    case analytic::Bound::kLaunch:
      return "launch";
    case analytic::Bound::kHost:
      return "host";
    case analytic::Bound::kL2:
      return "l2";
  }
  return "-";
}

// "(0.7 × 989,400)": a share of a peak, in units a nanosecond.
std::string Rate(double share, double per_second) {
  constexpr double kNsPerS = 1e9;
  const double per_ns = per_second / kNsPerS;
  return fmt::format("({:g} × {})", share, GroupedReal(per_ns, std::abs(per_ns - std::round(per_ns)) < 0.05 ? 0 : 1));
}

// The terms of the time of one call, and which of them decides.
std::string TimeTable(const Origin& origin, const std::vector<DistinctCall>& calls, size_t index) {
  const analytic::Device& device = origin.device;
  const bool is_cpu = device.kind == analytic::DeviceKind::kCpu;
  Table table(
      WithCallColumns({{"time of a call, ns", Table::Align::kLeft}, {"from, peaks a ns", Table::Align::kLeft}}, calls));
  const auto row = [&](std::string name, std::string formula, auto value) {
    std::vector<std::string> cells = {std::move(name), std::move(formula)};
    for (const DistinctCall& call : calls) {
      cells.push_back(value(call.operators[index].time));
    }
    table.Add(std::move(cells));
  };
  const auto term = [&](std::string name, std::string formula, double TimeTerms::*member) {
    row(std::move(name), std::move(formula),
        [member](const TimeTerms& time) { return GroupedReal(time.*member, kNsDecimals); });
  };
  const TimeTerms& first = calls.front().operators[index].time;
  term("matrix", "FLOPs / " + Rate(first.share.matrix, device.matrix_flops_per_s(origin.workload.precision)),
       &TimeTerms::matrix_ns);
  term("vector",
       std::isinf(first.share.vector) ? "inside the share of the matrix peak"
                                      : "vector FLOPs / " + Rate(first.share.vector, device.vector_flops_per_s),
       &TimeTerms::vector_ns);
  term("memory", "bytes / " + Rate(first.share.memory, device.memory_bytes_per_s), &TimeTerms::memory_ns);
  if (is_cpu) {
    term("launch", fmt::format("launches × {}", GroupedReal(device.launch_ns, 0)), &TimeTerms::launch_ns);
  }
  term("shortest kernels", fmt::format("{} × {}", is_cpu ? "pieces" : "launches", GroupedReal(device.min_kernel_ns, 0)),
       &TimeTerms::floor_ns);
  if (!device.calibration_id.empty()) {
    term("roofline", is_cpu ? "launch + max(matrix + vector, memory, shortest kernels)" : "the largest of them",
         &TimeTerms::datasheet_ns);
    row("correction", "time by the laws of this device over roofline",
        [](const TimeTerms& time) { return fmt::format("{}", time.correction); });
  }
  if (!is_cpu) {
    term("wait for the host", "the mean over the calls, by the two clocks of the summary", &TimeTerms::idle_ns);
  }
  const std::string_view wait = is_cpu ? "" : " + wait";
  term("**time**",
       !device.calibration_id.empty() ? fmt::format("roofline × correction{}", wait)
       : is_cpu                       ? "launch + max(matrix + vector, memory, shortest kernels)"
                                      : fmt::format("the largest of them{}", wait),
       &TimeTerms::ns);
  row("decides", "", [](const TimeTerms& time) { return BoundName(time.bound); });
  return table.ToString();
}

std::string OperatorSection(const Book& book, const std::vector<DistinctCall>& calls, size_t index) {
  const OperatorUse& use = calls.front().operators[index];
  const OperatorDescription& op = use.description;
  std::string text = fmt::format("{} (`{}`): {}.\n\n{}\n{}", op.family, analytic::CategoryName(use.category),
                                 op.definition, MathBlock(FormulaLines(op)), SymbolTable(calls, index));
  text += NumbersText(calls, index);
  text += fmt::format("\n{}", TimeTable(*book.origin(), calls, index));
  text += fmt::format("\nAssumed: {}. Source: {}.\n", op.assumptions, op.source);
  return text;
}

// Of one operator in one call, or of all of them.
struct CallSum {
  int64_t flops = 0;
  int64_t vector_flops = 0;
  int64_t read_bytes = 0;
  int64_t write_bytes = 0;
  int64_t launches = 0;
  double time_ns = 0;
};

void Add(const OperatorUse& use, CallSum* sum) {
  sum->flops += use.description.flops.Integer();
  sum->vector_flops += use.description.vector_flops.Integer();
  sum->read_bytes += use.description.read_bytes.Integer();
  sum->write_bytes += use.description.write_bytes.Integer();
  sum->launches += use.description.launches.Integer();
  sum->time_ns += use.time.ns;
}

CallSum SumOf(const DistinctCall& call) {
  CallSum sum;
  for (const OperatorUse& use : call.operators) {
    Add(use, &sum);
  }
  return sum;
}

// What the operators of one call add up to.
std::string OperatorsTable(const DistinctCall& call) {
  Table table({{call.label, Table::Align::kLeft},
               {"FLOPs"},
               {"vector FLOPs"},
               {"bytes read"},
               {"bytes written"},
               {"launches"},
               {"ns"}});
  const auto add = [&table](std::string name, const CallSum& sum) {
    table.Add({std::move(name), Grouped(sum.flops), Grouped(sum.vector_flops), Grouped(sum.read_bytes),
               Grouped(sum.write_bytes), Grouped(sum.launches), GroupedReal(sum.time_ns, kNsDecimals)});
  };
  for (size_t i = 0; i < call.operators.size(); ++i) {
    CallSum one;
    Add(call.operators[i], &one);
    add(fmt::format("{}. {}", i + 1, call.operators[i].description.family), one);
  }
  add("**sum**", SumOf(call));
  return table.ToString();
}

double CensusCount(const DistinctCall& call) {
  double count = 0;
  for (const analytic::CensusEntry& entry : call.census) {
    count += entry.count();
  }
  return count;
}

// An expectation is no whole number.
std::string CountText(double count) { return GroupedReal(count, std::abs(count - std::round(count)) < 0.05 ? 0 : 1); }

// Where the largest moment of a module is, and what is alive in it.
std::string PeakText(const Book& book, const ModuleView& module) {
  const std::vector<DistinctCall>& calls = module.explanation.calls;
  const auto largest = std::max_element(calls.begin(), calls.end(), [](const DistinctCall& a, const DistinctCall& b) {
    return a.peak_bytes < b.peak_bytes;
  });
  if (largest == calls.end()) {
    return "it is not called";
  }
  if (module.node.is_leaf()) {
    return fmt::format("the largest of its operators, {}", largest->label);
  }
  if (largest->peak_child < 0) {
    return "no child is called";
  }
  const auto child = static_cast<size_t>(largest->peak_child);
  const analytic::Node& node = book.explanation().tree.nodes[child];
  const std::vector<DistinctCall>& inner = book.explanation().modules[child].calls;
  const auto moment = std::find_if(inner.begin(), inner.end(), [&](const DistinctCall& call) {
    return call.peak_bytes + call.held_bytes == largest->peak_bytes;
  });
  std::string text =
      fmt::format("in {}, {}: {}", book.Link(node.spec.name, node.id), moment->label, Grouped(moment->peak_bytes));
  if (moment->held_bytes > 0) {
    text += fmt::format(" + {} held meanwhile, {}", Grouped(moment->held_bytes), ShapeText(moment->held));
  }
  return text;
}

std::string Field(std::string_view name, double value) {
  return fmt::format("`{}` {}", name, document::FormatDouble(value));
}

}  // namespace

std::string GroupedReal(double value, int decimals) {
  const std::string text = fmt::format("{:.{}f}", value, decimals);
  const size_t point = std::min(text.find('.'), text.size());
  std::string grouped;
  for (size_t i = 0; i < point; ++i) {
    if (i > 0 && text[i - 1] != '-' && (point - i) % 3 == 0) {
      grouped += ',';
    }
    grouped += text[i];
  }
  return grouped + text.substr(point);
}

std::string NumberText(const analytic::Number& number) {
  if (const auto* integer = std::get_if<int64_t>(&number)) {
    return Grouped(*integer);
  }
  return fmt::format("{}", std::get<double>(number));
}

std::string ShapeText(const analytic::Shape& shape) {
  return shape.empty() ? "-" : fmt::format("`[{}]`", fmt::join(shape, ", "));
}

std::string MathBlock(const std::vector<std::string>& lines) {
  return fmt::format("```math\n\\begin{{aligned}}\n{}\n\\end{{aligned}}\n```\n", fmt::join(lines, " \\\\\n"));
}

std::vector<std::string> FormulaLines(const OperatorDescription& op) {
  std::vector<std::string> lines;
  for (const analytic::Abbreviation& abbreviation : op.abbreviations) {
    lines.push_back(fmt::format("{} &= {}", abbreviation.tex, abbreviation.expression.Symbolic()));
  }
  const auto add = [&lines](std::string_view name, const analytic::Expression& expression) {
    lines.push_back(fmt::format("\\text{{{}}} &= {}", name, expression.Symbolic()));
  };
  add("FLOPs", op.flops);
  add("vector FLOPs", op.vector_flops);
  add("bytes read", op.read_bytes);
  add("bytes written", op.write_bytes);
  add("activations alive, bytes", op.live_bytes);
  add("launches", op.launches);
  if (!op.pieces.is_constant()) {
    add("pieces", op.pieces);
  }
  return lines;
}

std::string CallsSection(const ModuleView& module) {
  const std::vector<DistinctCall>& calls = module.explanation.calls;
  if (calls.empty()) {
    return "\n## Calls\n\nNone for this workload.\n";
  }
  Table table({{"call", Table::Align::kLeft},
               {"passes"},
               {"instances"},
               {"calls"},
               {"input", Table::Align::kLeft},
               {"output", Table::Align::kLeft}});
  for (const DistinctCall& call : calls) {
    table.Add({call.label, Grouped(call.passes), Grouped(module.node.instances), Grouped(call.calls),
               ShapeText(call.input), ShapeText(call.output)});
  }
  return fmt::format("\n## Calls\n\n{}", table.ToString());
}

std::string WorkSections(const Book& book, const ModuleView& module) {
  const std::vector<DistinctCall>& calls = module.explanation.calls;
  if (calls.empty()) {
    return "";
  }
  const size_t operators = calls.front().operators.size();
  if (operators == 1) {
    return fmt::format("\n## Work and time of a call\n\n{}", OperatorSection(book, calls, 0));
  }
  std::string text = fmt::format("\n## Work and time of a call\n\n{} operators, one after another.\n", operators);
  for (size_t i = 0; i < operators; ++i) {
    text += fmt::format("\n### {}. {}\n\n{}", i + 1, calls.front().operators[i].description.family,
                        OperatorSection(book, calls, i));
  }
  text += "\n### Sum of the operators\n";
  for (const DistinctCall& call : calls) {
    text += fmt::format("\n{}", OperatorsTable(call));
  }
  return text;
}

std::string CensusSection(const ModuleView& module) {
  std::string text;
  for (const DistinctCall& call : module.explanation.calls) {
    if (call.census.empty()) {
      continue;
    }
    Table table({{call.label, Table::Align::kLeft}, {"category", Table::Align::kLeft}, {"times"}, {"operators"}});
    for (const analytic::CensusEntry& entry : call.census) {
      table.Add({Code(entry.operators), std::string(analytic::CategoryName(entry.category)), CountText(entry.times),
                 CountText(entry.count())});
    }
    text += fmt::format("\n{}", table.ToString());
  }
  if (text.empty()) {
    return "";
  }
  return fmt::format(
      "\n## Census of a call\n\nThe ATen operators that `dsocr-runner` dispatches on a CPU{}, views and casts among "
      "them: "
      "what a profiler counts.{}\n{}",
      module.node.is_leaf() ? "" : ", its children's apart",
      module.node.is_leaf() ? " Launches in the formulas, and in the time, are the reference's." : "", text);
}

std::string ResultSection(const Book& book, const ModuleView& module) {
  const std::vector<DistinctCall>& calls = module.explanation.calls;
  const Account& account = module.explanation.account;
  const v1::ModuleMetricsSnapshot& metrics = module.metrics;
  std::vector<Table::Column> columns = {{"of one request", Table::Align::kLeft}};
  std::vector<CallSum> sums;
  if (module.node.is_leaf()) {
    for (const DistinctCall& call : calls) {
      columns.push_back({fmt::format("{} × {}", Grouped(call.calls), call.label)});
      sums.push_back(SumOf(call));
    }
  }
  columns.push_back({"sum"});
  columns.push_back({"in the report", Table::Align::kLeft});
  Table table(std::move(columns));
  const auto row = [&](std::string name, auto of_call, std::string sum, std::string field) {
    std::vector<std::string> cells = {std::move(name)};
    for (const CallSum& call : sums) {
      cells.push_back(of_call(call));
    }
    cells.push_back(std::move(sum));
    cells.push_back(std::move(field));
    table.Add(std::move(cells));
  };
  const auto count = [&](std::string name, int64_t CallSum::*member, int64_t sum, std::string field) {
    row(
        std::move(name), [member](const CallSum& call) { return Grouped(call.*member); }, Grouped(sum),
        std::move(field));
  };
  row(
      "calls", [](const CallSum&) { return "1"; }, Grouped(account.calls), fmt::format("`calls` {}", metrics.calls()));
  count("FLOPs", &CallSum::flops, account.flops, Field("total_flops_tflops", metrics.total_flops_tflops()));
  count("vector FLOPs", &CallSum::vector_flops, account.vector_flops,
        Field("vector_flops_tflops", metrics.vector_flops_tflops()));
  count("bytes read", &CallSum::read_bytes, account.read_bytes, "");
  count("bytes written", &CallSum::write_bytes, account.write_bytes, "");
  row(
      "bytes, both", [](const CallSum& call) { return Grouped(call.read_bytes + call.write_bytes); },
      Grouped(account.bytes()), Field("total_io_tb", metrics.total_io_tb()));
  if (book.explanation().has_census) {
    std::vector<std::string> cells = {"operators dispatched"};
    for (size_t i = 0; i < sums.size(); ++i) {
      cells.push_back(CountText(CensusCount(calls[i])));
    }
    cells.push_back(Grouped(account.launches));
    cells.push_back(fmt::format("`launches` {}", metrics.launches()));
    table.Add(std::move(cells));
  } else {
    count("launches", &CallSum::launches, account.launches, fmt::format("`launches` {}", metrics.launches()));
  }
  row(
      "time, ns", [](const CallSum& call) { return GroupedReal(call.time_ns, kNsDecimals); },
      GroupedReal(account.time_ns, kNsDecimals), Field("total_time_ms", metrics.total_time_ms()));
  row(
      "share of the model's time", [](const CallSum&) { return ""; }, Percent(metrics.share_of_model_time()),
      Field("share_of_model_time", metrics.share_of_model_time()));
  return fmt::format("\n## Result\n\n{}", table.ToString());
}

std::string MemorySection(const Book& book, const ModuleView& module) {
  const analytic::Precision precision = book.origin()->workload.precision;
  const analytic::Node& node = module.node;
  const Account& account = module.explanation.account;
  Table table({{"memory", Table::Align::kLeft},
               {"from", Table::Align::kLeft},
               {"bytes"},
               {"in the report", Table::Align::kLeft}});
  std::string weights = "the sum of its children";
  std::string kv_cache = weights;
  if (node.is_leaf()) {
    weights = node.spec.parameters == 0 ? "has none"
              : !node.owns_weights
                  ? "stand in prefill, once"
                  : fmt::format("{} parameters in {} bytes, × {} instances", Grouped(node.spec.parameters),
                                Grouped(analytic::WeightBytes(node, precision)), node.instances);
    kv_cache = "";
    for (const DistinctCall& call : module.explanation.calls) {
      kv_cache +=
          call.kv_cache_elements == 0
              ? ""
              : fmt::format("{}{} values × {} calls × {} bytes", kv_cache.empty() ? "" : " + ",
                            Grouped(call.kv_cache_elements), Grouped(call.calls), analytic::ElementBytes(precision));
    }
    kv_cache = kv_cache.empty() ? "adds nothing" : kv_cache;
  }
  table.Add({"weights", std::move(weights), Grouped(account.weight_bytes),
             Field("memory_weights_gb", module.metrics.memory_weights_gb())});
  table.Add({"KV cache added", std::move(kv_cache), Grouped(account.kv_cache_bytes),
             Field("memory_kvcache_gb", module.metrics.memory_kvcache_gb())});
  table.Add({"peak activations", PeakText(book, module), Grouped(account.peak_bytes),
             Field("memory_activations_gb", module.metrics.memory_activations_gb())});
  return fmt::format("\n## Memory\n\n{}", table.ToString());
}

std::string ChildrenSection(const Book& book, const ModuleView& module) {
  Table table({{"module", Table::Align::kLeft},
               {"calls"},
               {"FLOPs"},
               {"vector FLOPs"},
               {"bytes"},
               {"launches"},
               {"weight bytes"},
               {"KV cache bytes"},
               {"ms"},
               {"of its time"}});
  const double whole_ns = module.explanation.account.time_ns;
  constexpr double kNsPerMs = 1e6;
  const auto add = [&](std::string name, std::string calls, const Account& account) {
    table.Add({std::move(name), std::move(calls), Grouped(account.flops), Grouped(account.vector_flops),
               Grouped(account.bytes()), Grouped(account.launches), Grouped(account.weight_bytes),
               Grouped(account.kv_cache_bytes), GroupedReal(account.time_ns / kNsPerMs, 6),
               Percent(whole_ns > 0 ? account.time_ns / whole_ns : 0)});
  };
  int64_t own_launches = module.explanation.account.launches;
  for (const int index : module.node.children) {
    const analytic::Node& child = book.explanation().tree.nodes[static_cast<size_t>(index)];
    const Account& account = book.explanation().modules[static_cast<size_t>(index)].account;
    add(book.Link(child.spec.name, child.id), Grouped(account.calls), account);
    own_launches -= account.launches;
  }
  if (own_launches > 0) {
    Account own;
    own.launches = own_launches;
    add("itself", "", own);
  }
  add("**sum**", "", module.explanation.account);
  return fmt::format("\n## Children, in execution order\n\n{}", table.ToString());
}

}  // namespace dsocr::exporter
