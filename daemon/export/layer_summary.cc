#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "analytic/category.h"
#include "analytic/precision.h"
#include "analytic/routing.h"
#include "analytic/step.h"
#include "daemon/export/layer_parts.h"
#include "daemon/export/markdown.h"
#include "daemon/export/text.h"
#include "fmt/format.h"

namespace dsocr::exporter {
namespace {

using analytic::Account;
using analytic::DistinctCall;
using analytic::Explanation;
using analytic::Expression;
using analytic::Frame;
using analytic::FrameSet;
using analytic::Node;
using analytic::OperatorDescription;

constexpr double kNsPerMs = 1e6;
constexpr double kGiga = 1e9;
constexpr double kTera = 1e12;

constexpr std::string_view kReadingNote =
    "Every figure is a module's total over one request, all instances and calls, children included. FLOPs are those of "
    "matrix products and convolutions, a multiply-add as two; everything else is in vector FLOPs. Bytes are compulsory "
    "traffic, read and written.";

// The sizes of every pass of the request.
std::string SizesSection(const Explanation& explanation) {
  Table views({{"views", Table::Align::kLeft},
               {"$B$ views"},
               {"$H$ pixels a side"},
               {"$g$ patches a side"},
               {"$p$ patches a side, in whole windows"}});
  const std::vector<Frame>& frames = explanation.frames.Of(FrameSet::kViews);
  for (size_t i = 0; i < frames.size(); ++i) {
    views.Add({analytic::FrameLabel(FrameSet::kViews, frames, i), Grouped(frames[i].batch), Grouped(frames[i].side),
               Grouped(frames[i].grid), Grouped(frames[i].padded_grid)});
  }
  Table passes({{"decoder passes", Table::Align::kLeft},
                {"passes"},
                {"$B$ sequences"},
                {"$T$ tokens of a pass"},
                {"$K$ keys that attention sees"}});
  for (const FrameSet set : {FrameSet::kPrefill, FrameSet::kDecode}) {
    const std::vector<Frame>& frames = explanation.frames.Of(set);
    for (size_t i = 0; i < frames.size(); ++i) {
      passes.Add({analytic::FrameLabel(set, frames, i), Grouped(frames[i].passes), Grouped(frames[i].batch),
                  Grouped(frames[i].tokens), Grouped(frames[i].keys)});
    }
  }
  return fmt::format(
      "\n## Sizes\n\n{}\n{}\nDecode runs with a cache that grows by one token a step. It is evaluated at the mean "
      "number of keys (at the two neighbours where the mean is a half): every count is linear in it, so the sum over "
      "the steps is exact.\n",
      views.ToString(), passes.ToString());
}

std::string DeviceSection(const Origin& origin) {
  const analytic::Device& device = origin.device;
  const bool is_cpu = device.kind == analytic::DeviceKind::kCpu;
  Table table({{"device", Table::Align::kLeft}, {Code(device.name)}});
  const auto precision = origin.workload.precision;
  table.Add({fmt::format("$P$ matrix peak, {}", analytic::PrecisionName(precision)),
             fmt::format("{} TFLOP/s", Figure(device.matrix_flops_per_s(precision) / kTera))});
  table.Add({"$V$ vector peak", fmt::format("{} TFLOP/s", Figure(device.vector_flops_per_s / kTera))});
  table.Add({"$W$ memory bandwidth", fmt::format("{} GB/s", Figure(device.memory_bytes_per_s / kGiga))});
  table.Add({"memory", fmt::format("{} GB", Figure(static_cast<double>(device.memory_bytes) / kGiga))});
  table.Add({"$t_L$ host time of a launch", fmt::format("{} ns", Figure(device.launch_ns))});
  const analytic::HostCosts host = analytic::HostOf(device);
  if (!is_cpu) {
    table.Add(
        {"$t_Q$ from a launch to its kernel, where the device is idle", fmt::format("{} ns", Figure(host.latency_ns))});
    table.Add({"$t_S$ from a kernel to the host that waited for it", fmt::format("{} ns", Figure(host.sync_ns))});
  }
  table.Add({"$t_K$ shortest kernel", fmt::format("{} ns", Figure(device.min_kernel_ns))});
  const std::string time =
      is_cpu ? "t &= \\text{launches} \\cdot t_L + \\max(t_\\text{matrix} + t_\\text{vector}, t_\\text{memory}, "
               "\\text{pieces} \\cdot t_K)"
             : "t &= \\max(t_\\text{matrix}, t_\\text{vector}, t_\\text{memory}, \\text{launches} \\cdot t_K) + "
               "t_\\text{wait}";
  return fmt::format(
      "\n## Device, and the time of a call\n\n{}\nSource: {}.\n\n{}\n{} The shares $a$ of the peaks that operators of "
      "a "
      "category reach stand on each page.{}\n",
      table.ToString(), Escaped(device.source),
      MathBlock({"t_\\text{matrix} &= \\frac{\\text{FLOPs}}{a_P P}",
                 "t_\\text{vector} &= \\frac{\\text{vector FLOPs}}{a_V V}",
                 "t_\\text{memory} &= \\frac{\\text{bytes read} + \\text{bytes written}}{a_W W}", time}),
      is_cpu
          ? "One thread starts an operator and takes part in it."
          : "The host starts operators while the device runs earlier ones: a launch takes it $t_L$, its kernel starts "
            "$t_Q$ later or when the one before has ended, and where the host waits for a result it goes on $t_S$ "
            "after it. $t_\\text{wait}$ is how long the device had nothing to do.",
      device.calibration_id.empty()
          ? ""
          : " A calibrated device multiplies the time, waits apart, by what its laws say over it, which were "
            "learnt from measured operators; no call is faster than the fastest one measured.");
}

// The nodes that users call stages: children of the root, and of `vision` in its place.
std::vector<int> StageNodes(const Explanation& explanation) {
  std::vector<int> stages;
  for (const int child : explanation.tree.nodes.front().children) {
    const Node& node = explanation.tree.nodes[static_cast<size_t>(child)];
    if (node.stage == analytic::Stage::kVision) {
      stages.insert(stages.end(), node.children.begin(), node.children.end());
    } else {
      stages.push_back(child);
    }
  }
  return stages;
}

std::string StagesSection(const Book& book) {
  const Explanation& explanation = book.explanation();
  Table table({{"stage", Table::Align::kLeft},
               {"parameters"},
               {"weight bytes"},
               {"FLOPs"},
               {"vector FLOPs"},
               {"bytes"},
               {"launches"},
               {"KV cache bytes"},
               {"ms"},
               {"share"}});
  const double whole_ns = explanation.modules.front().account.time_ns;
  const auto add = [&](std::string name, const Account& account) {
    table.Add({std::move(name), Grouped(account.parameters), Grouped(account.weight_bytes), Grouped(account.flops),
               Grouped(account.vector_flops), Grouped(account.bytes()), Grouped(account.launches),
               Grouped(account.kv_cache_bytes), GroupedReal(account.time_ns / kNsPerMs, 6),
               Percent(whole_ns > 0 ? account.time_ns / whole_ns : 0)});
  };
  for (const int index : StageNodes(explanation)) {
    const Node& node = explanation.tree.nodes[static_cast<size_t>(index)];
    add(book.Link(node.spec.name, node.id), explanation.modules[static_cast<size_t>(index)].account);
  }
  add("**total**", explanation.modules.front().account);
  return fmt::format(
      "\n## Totals by stage\n\n{}\n{} Decode shares the weights of prefill, where they are counted. Times are rounded "
      "to the nanosecond, each on "
      "its own.{}\n",
      table.ToString(), kReadingNote,
      explanation.has_census ? " Launches are what `dsocr-runner` dispatches; those of the time are the reference's."
                             : "");
}

std::string TreeSection(const Book& book) {
  const Explanation& explanation = book.explanation();
  Table table({{"module", Table::Align::kLeft},
               {"calls"},
               {"TFLOP"},
               {"GB read, written"},
               {"weights GB"},
               {"predicted ms"},
               {"share"},
               {"bound", Table::Align::kLeft}});
  std::vector<int> depths(explanation.tree.nodes.size());
  for (size_t i = 0; i < explanation.tree.nodes.size(); ++i) {
    const Node& node = explanation.tree.nodes[i];
    depths[i] = node.parent < 0 ? 0 : depths[static_cast<size_t>(node.parent)] + 1;
    std::string name;
    for (int depth = 0; depth < depths[i]; ++depth) {
      name += "· ";
    }
    const Account& account = explanation.modules[i].account;
    const auto* metrics = book.index().metrics(node.id);
    table.Add({name + book.Link(node.spec.name, node.id), Grouped(account.calls),
               Figure(static_cast<double>(account.flops) / kTera), Figure(static_cast<double>(account.bytes()) / kGiga),
               Figure(static_cast<double>(account.weight_bytes) / kGiga), Figure(account.time_ns / kNsPerMs),
               metrics != nullptr ? Percent(metrics->share_of_model_time()) : "-",
               metrics != nullptr ? BoundWord(metrics->bound()) : "-"});
  }
  return fmt::format("\n## Modules\n\n{}", table.ToString());
}

// One operator of a leaf, in one of its distinct calls.
struct Use {
  const Node* node;
  const DistinctCall* call;
  const OperatorDescription* op;
};

// Operators with equal formulas.
struct Primitive {
  std::vector<std::string> formulas;
  std::vector<Use> uses;

  const OperatorDescription& op() const { return *uses.front().op; }
};

// In order of first appearance, those of one family together.
std::vector<Primitive> PrimitivesOf(const Explanation& explanation) {
  std::vector<Primitive> primitives;
  for (size_t i = 0; i < explanation.tree.nodes.size(); ++i) {
    for (const DistinctCall& call : explanation.modules[i].calls) {
      for (const analytic::OperatorUse& use : call.operators) {
        const OperatorDescription& op = use.description;
        std::vector<std::string> formulas = FormulaLines(op);
        auto at = std::find_if(primitives.begin(), primitives.end(), [&](const Primitive& p) {
          return p.op().definition == op.definition && p.formulas == formulas;
        });
        if (at == primitives.end()) {
          const auto last = std::find_if(primitives.rbegin(), primitives.rend(),
                                         [&](const Primitive& p) { return p.op().family == op.family; });
          at = primitives.insert(last == primitives.rend() ? primitives.end() : last.base(),
                                 Primitive{std::move(formulas), {}});
        }
        at->uses.push_back({&explanation.tree.nodes[i], &call, &op});
      }
    }
  }
  return primitives;
}

std::string UsesTable(const Book& book, const Primitive& primitive) {
  std::vector<Table::Column> columns = {{"used in", Table::Align::kLeft},
                                        {"call", Table::Align::kLeft},
                                        {"calls"},
                                        {"input", Table::Align::kLeft},
                                        {"output", Table::Align::kLeft}};
  for (const analytic::SymbolMeaning& symbol : primitive.op().symbols) {
    columns.push_back({fmt::format("${}$", symbol.tex)});
  }
  Table table(std::move(columns));
  for (const Use& use : primitive.uses) {
    std::vector<std::string> cells = {book.Link(use.node->id), use.call->label, Grouped(use.call->calls),
                                      ShapeText(use.call->input), ShapeText(use.call->output)};
    for (const analytic::SymbolMeaning& symbol : use.op->symbols) {
      cells.push_back(NumberText(symbol.value));
    }
    table.Add(std::move(cells));
  }
  return table.ToString();
}

std::string PrimitivesSection(const Book& book) {
  std::string text =
      "\n## Analytic primitives\n\nEvery leaf runs one of these operators (the routed experts several); all counts are "
      "of "
      "one call.\n";
  std::string_view family;
  for (const Primitive& primitive : PrimitivesOf(book.explanation())) {
    const OperatorDescription& op = primitive.op();
    if (op.family != family) {
      family = op.family;
      text += fmt::format("\n### {}\n", family);
    }
    Table symbols({{"symbol", Table::Align::kLeft}, {"meaning", Table::Align::kLeft}});
    for (const analytic::SymbolMeaning& symbol : op.symbols) {
      symbols.Add({fmt::format("${}$", symbol.tex), std::string(symbol.meaning)});
    }
    text += fmt::format("\n{}.\n\n{}\n{}\nAssumed: {}. Source: {}.\n\n{}", op.definition, MathBlock(primitive.formulas),
                        symbols.ToString(), op.assumptions, op.source, UsesTable(book, primitive));
  }
  return text;
}

std::string ExpertsSection(const Book& book) {
  const analytic::DecoderSpec& decoder = book.origin()->model.decoder;
  if (decoder.first_k_dense >= decoder.layers) {
    return "";
  }
  const bool is_recorded = decoder.routing != nullptr;
  std::vector<Table::Column> columns = {{"pass", Table::Align::kLeft}, {"$T$ tokens"}, {"$D(T)$ experts"}};
  if (is_recorded) {
    columns.push_back({"by the recorded routing"});
  }
  Table table(std::move(columns));
  for (const FrameSet set : {FrameSet::kPrefill, FrameSet::kDecode}) {
    for (const Frame& frame : book.explanation().frames.Of(set)) {
      const int64_t tokens = frame.batch * frame.tokens;
      const Expression formula =
          analytic::DistinctExpertsFormula(decoder.routed_experts, decoder.experts_per_token, tokens);
      const bool is_prefill = set == FrameSet::kPrefill;
      std::vector<std::string> cells = {is_prefill ? "prefill" : "decode step", Grouped(tokens),
                                        NumberText(formula.Value())};
      if (is_recorded) {
        cells.push_back(NumberText(analytic::ExpertsHit(decoder, is_prefill, tokens)));
      }
      table.Add(std::move(cells));
      if (set == FrameSet::kDecode) {
        break;  // steps differ in their keys alone
      }
    }
  }
  const Expression formula = analytic::DistinctExpertsFormula(decoder.routed_experts, decoder.experts_per_token, 1);
  return fmt::format(
             "\n## Expected distinct experts\n\nThe weights of an expert are read once if at least one token of the "
             "pass "
             "picks "
             "it. Each token picks $k$ = {} of $E$ = {} experts, every set of $k$ equally likely, independent of the "
             "others. "
             "One "
             "token misses a given expert with the probability\n\n{}\nand all $T$ of them miss it with the $T$-th "
             "power of "
             "that. Expectations add up over the $E$ experts, whether or not they are independent:\n\n{}\n{}",
             decoder.experts_per_token, decoder.routed_experts,
             MathBlock({"\\binom{E-1}{k} \\Big/ \\binom{E}{k} &= 1 - \\frac{k}{E}"}),
             MathBlock({fmt::format("D(T) &= {}", formula.Symbolic())}), table.ToString()) +
         RoutingText(decoder);
}

std::string CacheSection(const Book& book) {
  const Origin& origin = *book.origin();
  const analytic::DecoderSpec& decoder = origin.model.decoder;
  const int64_t steps = origin.workload.max_new_tokens - 1;
  const Expression position = 2 * Expression::Symbol("l", decoder.layers) * Expression::Symbol("g", decoder.kv_heads) *
                              Expression::Symbol("d", decoder.head_dim()) *
                              Expression::Symbol("e", analytic::ElementBytes(origin.workload.precision)) *
                              Expression::Symbol("B", origin.workload.batch);
  Table table({{"after", Table::Align::kLeft}, {"positions"}, {"bytes"}});
  const auto add = [&](std::string name, int64_t positions) {
    table.Add({std::move(name), Grouped(positions), Grouped(positions * position.Integer())});
  };
  add("prefill", origin.workload.seq_len);
  if (steps > 0) {
    add("decode step 1", origin.workload.seq_len + 1);
    add(fmt::format("decode step {}, the last", steps), origin.workload.seq_len + steps);
  }
  return fmt::format(
      "\n## KV cache\n\nA position holds a key and a value of $g$ heads with $d$ values in each of $l$ layers, $e$ "
      "bytes "
      "a value, for $B$ sequences. Prefill fills $S$ positions, every decode step adds one, and its attention reads "
      "all of them "
      "again: step $j$ reads $S + j$.\n\n{}\n{}",
      MathBlock({fmt::format("\\text{{bytes a position}} &= {} = {} = {}", position.Symbolic(), position.Numeric(),
                             analytic::TexOf(position.Value()))}),
      table.ToString());
}

constexpr std::string_view kAssumptions =
    "\n## Assumptions\n\n"
    "- Decoding and resizing the page and tokenising the prompt happen before the request and are not counted.\n"
    "- Bytes are compulsory traffic: each operand is read once and each result written once. Caches that are warm from "
    "the operator before, and what a kernel reads twice, are not counted.\n"
    "- Launches are the operators that the host starts as the reference writes the module, without graphs or fusion.\n"
    "- Attention counts the full square of queries and keys; a causal mask saves nothing. Window blocks process their "
    "padding.\n"
    "- Tokens spread evenly over the routed experts.\n"
    "- Logits are computed for the last position alone. Every token asked for is generated: an end of text does not "
    "shorten the request.\n"
    "- Operators run one after another; overlap on a GPU, changing clocks and other jobs are not counted.\n"
    "- Peak activations are operands, results and what the enclosing modules hold meanwhile; scratch inside libraries "
    "is not counted.\n";

std::string SourcesSection(const Book& book) {
  std::vector<std::string_view> sources;
  for (const analytic::ModuleExplanation& module : book.explanation().modules) {
    for (const DistinctCall& call : module.calls) {
      for (const analytic::OperatorUse& use : call.operators) {
        if (std::find(sources.begin(), sources.end(), use.description.source) == sources.end()) {
          sources.push_back(use.description.source);
        }
      }
    }
  }
  std::string text = fmt::format(
      "\n## Sources\n\n- Structure, classes and sizes: the published modeling code and config.json of {}.\n- Device: "
      "{}.\n",
      Code(book.origin()->model.model_id), Escaped(book.origin()->device.source));
  for (const std::string_view source : sources) {
    text += fmt::format("- Operators: {}.\n", source);
  }
  return text;
}

// Of a job whose model is not known: what was measured, the id shows the depth.
std::string MeasuredSummary(const Book& book) {
  Table table({{"module", Table::Align::kLeft}, {"calls"}, {"measured ms"}, {"bound", Table::Align::kLeft}});
  for (const v1::AnalyticModuleNode& node : book.report().modules()) {
    const auto* measured = book.index().measurement(node.module_id());
    table.Add({book.Link(node.module_id()), measured != nullptr ? Grouped(measured->calls()) : "-",
               measured != nullptr ? Figure(measured->busy_time_ms() + measured->gap_time_ms()) : "-",
               measured != nullptr ? BoundWord(measured->bound()) : "-"});
  }
  return fmt::format("\n## Modules\n\n{}", table.ToString());
}

}  // namespace

std::string SummaryPage(const Book& book) {
  std::string text = fmt::format("# Summary\n\n{}", HeadTable(book.report()));
  if (book.origin() == nullptr) {
    return text + MeasuredSummary(book);
  }
  text += StagesSection(book);
  text += SizesSection(book.explanation());
  text += DeviceSection(*book.origin());
  text += TreeSection(book);
  text += PrimitivesSection(book);
  text += ExpertsSection(book);
  text += CacheSection(book);
  text += kAssumptions;
  text += SourcesSection(book);
  return text;
}

}  // namespace dsocr::exporter
