#include "analytic/what_if/what_if.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "analytic/cost_model.h"
#include "analytic/law/device_laws.h"
#include "analytic/module/tree.h"
#include "analytic/operator_time.h"
#include "analytic/step.h"
#include "analytic/what_if/parallel.h"
#include "analytic/what_if/pass_table.h"
#include "base/status.h"

namespace dsocr::analytic {
namespace {

constexpr size_t kPrecisionCount = 5;
// The work of a slot that is in no class, ready to be priced.
struct FreeWork {
  Cost cost;
  PieceWork piece;
  PieceWork over;  // over the shares of the peaks of one kind of device
  LawAnswer answer;
};

// What the laws said of one class of operators: of the sizes that were asked for last.
struct KnownAnswers {
  static constexpr size_t kSizes = 8;

  std::array<OperatorSize, kSizes> sizes;
  std::array<LawAnswer, kSizes> answers;
  size_t count = 0;  // asked for so far
};

// A table, with what was priced last and the free work of passes met before.
struct PassMemory {
  static constexpr size_t kPasses = 64;

  PassTable table;
  std::array<int64_t, kPasses> rows = {};  // batch * tokens, and the kind of device; 0: nothing yet
  std::vector<FreeWork> free_work;         // by place in `rows`, then by free slot
  std::vector<KnownAnswers> answers;       // by class
  const DeviceLaws* laws = nullptr;        // whose those are

  explicit PassMemory(PassTable t)
      : table(std::move(t)), free_work((kPasses + 1) * table.free_slots().size()), answers(table.classes()) {}

  void SetLaws(const DeviceLaws* wanted) {
    if (laws != wanted) {
      laws = wanted;
      rows = {};
      std::fill(answers.begin(), answers.end(), KnownAnswers());
    }
  }
};

// The operators of one set of frames.
struct PassKind {
  FrameSet set = FrameSet::kRequest;
  std::vector<Slot> slots;
  // The passes of the scenario at hand.
  struct Pass {
    const PassTable* table = nullptr;
    PassPrice price;
    std::vector<double> idle_ns;  // by slot; zeros on a CPU
  };
  std::array<Pass, 2> passes;  // two groups of views, two contexts of decode
  size_t pass_count = 0;
};

}  // namespace

struct WhatIf::Impl {
  Baseline baseline;
  ModuleTree tree;
  std::vector<CropGrid> crop_grids;
  std::vector<std::string> module_ids;
  std::array<PassKind, kFrameSetCount> kinds;
  std::vector<StepPlan> plans;  // by set
  // A leaf's slots in the passes of its set.
  struct Leaf {
    uint32_t node;
    uint32_t set;
    uint32_t first;
    uint32_t count;
  };
  std::vector<Leaf> leaves;
  std::vector<uint32_t> no_entries;  // of the slots of a pass that is not run: zeros
  std::vector<double> no_idle;       // likewise
  // Nodes with children, the deepest first: the node, the number of its children, and those.
  std::vector<uint32_t> sums;
  std::vector<size_t> cache_leaves;    // nodes that add to the KV cache
  std::vector<size_t> talking_leaves;  // nodes with a collective behind them
  std::array<std::array<int64_t, kSplitCount>, kPrecisionCount> weight_bytes = {};

  // Of views by precision and side in patches, of the others by set and precision.
  std::array<std::vector<std::unique_ptr<PassMemory>>, kPrecisionCount> view_memory;
  std::array<std::array<std::unique_ptr<PassMemory>, kPrecisionCount>, kFrameSetCount> memory;

  // The scenario at hand.
  Workload workload;
  Frames frames;        // of the device with most to do
  Frames whole_frames;  // of all devices together
  DeviceRates rates;
  Parallel parallel;
  std::array<double, kSplitCount> shares = {};
  StepPlan::Scratch scratch;

  explicit Impl(Baseline b);

  PassMemory& MemoryOf(const PassKind& kind, const Frame& frame);
  FreeWork WorkOfFree(const Slot& slot, const Frame& frame) const;
  DeviceCall CallOfFree(const Slot& slot, const FreeWork& work) const;
  void PriceFree(const PassKind& kind, const Frame& frame, PassMemory& known, PassPrice* price) const;
  const LawAnswer& AnswerFor(const Slot& slot, const Frame& frame, KnownAnswers* known) const;
  void CorrectByLaws(const PassKind& kind, const Frame& frame, PassMemory* known, PassPrice* price) const;
  // False: some figure is beyond what doubles hold exactly.
  bool PricePasses(double* peak_bytes);
  // Sets what passes wait for their host. `calls_of` gives the calls of a pass and the entries of its slots.
  template <typename CallsOf>
  void AddIdle(CallsOf calls_of);
  bool CountFlops();
  template <typename PriceClasses>
  bool ForEachPass(PriceClasses price_classes);
  enum class Figures { kFlops, kTime, kBoth };
  template <Figures kFigures>
  void Take(std::vector<ModulePrice>* modules) const;
  void PriceEverySlot(std::vector<ModulePrice>* modules, double* peak_bytes);
  double AddCommunication(std::vector<ModulePrice>* modules) const;
  TimeSpread TotalSpread() const;
  void SumUp(std::vector<ModulePrice>* modules) const;
  MemoryPrice MemoryFor(double peak_bytes) const;
  absl::Status Price(const Scenario& scenario, ScenarioPrice* price);
};

WhatIf::Impl::Impl(Baseline b)
    : baseline(std::move(b)),
      tree(BuildTree(baseline.model)),
      crop_grids(CropGridsOf(baseline.model.preprocess)),
      workload(baseline.workload) {
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    const Node& node = tree.nodes[i];
    module_ids.push_back(node.id);
    if (!node.is_leaf()) {
      continue;
    }
    const auto set = static_cast<size_t>(node.frames);
    std::vector<Slot>& slots = kinds[set].slots;
    leaves.push_back({static_cast<uint32_t>(i), static_cast<uint32_t>(set), static_cast<uint32_t>(slots.size()),
                      static_cast<uint32_t>(node.spec.operators.size())});
    for (const LeafOperator& leaf_operator : node.spec.operators) {
      slots.push_back({static_cast<int>(i), &leaf_operator, SplitOf(node), HeldAround(tree, static_cast<int>(i))});
    }
    if (!node.spec.kv_cache.empty()) {
      cache_leaves.push_back(i);
    }
    if (CollectiveOf(tree, node) != Collective::kNone) {
      talking_leaves.push_back(i);
    }
    for (size_t precision = 0; node.owns_weights && precision < kPrecisionCount; ++precision) {
      weight_bytes[precision][static_cast<size_t>(SplitOf(node))] +=
          WeightBytes(node, static_cast<Precision>(precision)) * node.instances;
    }
  }
  for (size_t set = 0; set < kinds.size(); ++set) {
    kinds[set].set = static_cast<FrameSet>(set);
    plans.emplace_back(tree, kinds[set].set);
    no_entries.resize(std::max(no_entries.size(), kinds[set].slots.size()));
    no_idle.resize(no_entries.size());
  }
  for (size_t i = tree.nodes.size(); i-- > 0;) {
    const std::vector<int>& children = tree.nodes[i].children;
    if (!children.empty()) {
      sums.push_back(static_cast<uint32_t>(i));
      sums.push_back(static_cast<uint32_t>(children.size()));
      sums.insert(sums.end(), children.begin(), children.end());
    }
  }
}

PassMemory& WhatIf::Impl::MemoryOf(const PassKind& kind, const Frame& frame) {
  const auto precision = static_cast<size_t>(workload.precision);
  const bool is_views = kind.set == FrameSet::kViews;
  std::vector<std::unique_ptr<PassMemory>>& by_side = view_memory[precision];
  if (is_views && by_side.size() <= static_cast<size_t>(frame.grid)) {
    by_side.resize(static_cast<size_t>(frame.grid) + 1);
  }
  std::unique_ptr<PassMemory>& known =
      is_views ? by_side[static_cast<size_t>(frame.grid)] : memory[static_cast<size_t>(kind.set)][precision];
  if (known != nullptr) {
    return *known;
  }
  const PassTable::FrameAt frame_at = [&](int64_t batch, int64_t keys, int64_t image_tokens) {
    if (is_views) {
      Workload views = workload;
      views.batch = batch;
      views.crop_mode = false;
      views.image_size = frame.side;
      return FramesOf(baseline.model, views).Of(FrameSet::kViews).back();
    }
    const bool is_decode = kind.set == FrameSet::kDecode;
    Frame made;
    made.passes = 1;
    made.batch = batch;
    made.tokens = is_decode ? 1 : keys;
    made.keys = keys;
    made.image_tokens = is_decode ? 0 : image_tokens;
    return made;
  };
  known =
      std::make_unique<PassMemory>(PassTable(tree, kind.slots, workload.precision, frame_at, /*has_keys=*/!is_views));
  return *known;
}

FreeWork WhatIf::Impl::WorkOfFree(const Slot& slot, const Frame& frame) const {
  FreeWork work;
  if (!tree.nodes[static_cast<size_t>(slot.node)].RunsIn(frame)) {
    work.cost.pieces = 0;
    return work;
  }
  work.cost = CostOfSlot(slot, frame, workload.precision);
  work.piece = PieceOf(work.cost);
  work.over = Over(work.piece, EfficiencyOf(slot.leaf_operator->category, workload.precision, *rates.device));
  if (rates.laws != nullptr && work.cost.pieces > 0) {
    work.answer = AskLaws(*rates.laws, slot.leaf_operator->at(frame), work.cost, slot.leaf_operator->category,
                          workload.precision);
  }
  return work;
}

DeviceCall WhatIf::Impl::CallOfFree(const Slot& slot, const FreeWork& work) const {
  if (work.cost.pieces <= 0) {
    return {};
  }
  PieceWork over = work.over;
  PieceWork piece = work.piece;
  double pieces = work.cost.pieces;
  if (parallel.devices() > 1) {
    const double share = shares[static_cast<size_t>(slot.split)];
    for (PieceWork* part : {&over, &piece}) {
      part->flops *= share;
      part->vector_flops *= share;
      part->bytes *= share;
    }
    if (slot.split == Split::kExperts) {
      pieces = std::max(1.0, pieces * ShareOfExperts(parallel, baseline.model.decoder));
    }
  }
  const double ns = work.answer.is_known
                        ? MeasuredNs(piece, over, rates.time, work.answer.ratio, rates.peak_ns_per_flop)
                        : PieceNs(over, rates.time);
  return {ns * pieces, static_cast<double>(work.cost.launches) * (pieces / work.cost.pieces)};
}

void WhatIf::Impl::PriceFree(const PassKind& kind, const Frame& frame, PassMemory& known, PassPrice* price) const {
  const std::vector<size_t>& slots = known.table.free_slots();
  if (rates.laws != nullptr) {
    price->errors.resize(known.table.entries(), kDatasheetError);
  }
  // Requests of other devices send rows to this one's experts.
  Frame group = frame;
  group.batch = std::max(frame.batch, parallel.GroupBatch(workload.batch));
  const int64_t rows = 4 * frame.batch * frame.tokens + (frame.is_replayed ? 2 : 0) + (rates.time.is_cpu ? 1 : 0);
  const bool is_known_by_rows = known.table.free_slots_depend_on_rows() && group.batch == frame.batch;
  const size_t place =
      is_known_by_rows ? static_cast<size_t>(frame.batch * frame.tokens) % PassMemory::kPasses : PassMemory::kPasses;
  FreeWork* const works = known.free_work.data() + place * slots.size();
  const bool is_new = !is_known_by_rows || known.rows[place] != rows;
  if (is_new && is_known_by_rows) {
    known.rows[place] = rows;
  }
  for (size_t i = 0; i < slots.size(); ++i) {
    const Slot& slot = kind.slots[slots[i]];
    const Node& leaf = tree.nodes[static_cast<size_t>(slot.node)];
    if (is_new) {
      works[i] = WorkOfFree(slot, slot.split == Split::kExperts ? group : frame);
    }
    const auto calls = static_cast<double>(frame.passes * leaf.instances);
    const size_t entry = known.table.first_free_entry() + i;
    if (rates.laws != nullptr) {
      price->errors[entry] = works[i].answer.error;
    }
    price->calls[entry] = CallOfFree(slot, works[i]);
    price->entries[entry] = {price->calls[entry].device_ns * calls, static_cast<double>(works[i].cost.flops) * calls};
    price->peak_bytes = std::max(price->peak_bytes, static_cast<double>(works[i].cost.live_bytes));
  }
}

// Of the operator as it is on one device: scenarios deal out the work, and laws are of whole operators.
const LawAnswer& WhatIf::Impl::AnswerFor(const Slot& slot, const Frame& frame, KnownAnswers* known) const {
  const CategoryId category = slot.leaf_operator->category;
  const Operator op = slot.leaf_operator->at(frame);
  const Cost cost = CostOf(op, workload.precision);
  const OperatorSize size = SizeOf(op, cost, category);
  for (size_t i = 0; i < std::min(known->count, KnownAnswers::kSizes); ++i) {
    if (known->sizes[i] == size) {
      return known->answers[i];
    }
  }
  const size_t place = known->count++ % KnownAnswers::kSizes;
  known->sizes[place] = size;
  return known->answers[place] = AskLaws(*rates.laws, op, cost, category, workload.precision);
}

void WhatIf::Impl::CorrectByLaws(const PassKind& kind, const Frame& frame, PassMemory* known, PassPrice* price) const {
  const PassTable& table = known->table;
  price->errors.assign(table.entries(), kDatasheetError);
  for (size_t i = 0; i < table.classes(); ++i) {
    const double calls = table.calls(i) * static_cast<double>(frame.passes);
    double& time_ns = price->entries[i].time_ns;
    double ns = time_ns;  // of a call, as MeasuredNs has it
    if (calls > 0) {
      const LawAnswer& answer = AnswerFor(kind.slots[table.first_slot(i)], frame, &known->answers[i]);
      price->errors[i] = answer.error;
      if (answer.is_known) {
        ns = std::max(ns * answer.ratio, price->call_flops[i] * rates.peak_ns_per_flop);
      }
    }
    price->calls[i].device_ns = ns;
    time_ns = ns * calls;
  }
}

template <typename PriceClasses>
bool WhatIf::Impl::ForEachPass(PriceClasses price_classes) {
  bool is_exact = true;
  for (PassKind& kind : kinds) {
    const std::vector<Frame>& passes = frames.Of(kind.set);
    kind.pass_count = passes.size();
    for (size_t i = 0; i < passes.size(); ++i) {
      PassMemory& known = MemoryOf(kind, passes[i]);
      known.SetLaws(rates.laws);
      PassPrice& price = kind.passes[i].price;
      kind.passes[i].table = &known.table;
      is_exact &= price_classes(kind, known, passes[i], &price);
      PriceFree(kind, passes[i], known, &price);
    }
  }
  return is_exact;
}

bool WhatIf::Impl::CountFlops() {
  return ForEachPass([](const PassKind&, const PassMemory& known, const Frame& pass, PassPrice* price) {
    return known.table.CountFlops(pass, price);
  });
}

bool WhatIf::Impl::PricePasses(double* peak_bytes) {
  const bool has_laws = rates.laws != nullptr;
  const bool is_exact =
      ForEachPass([&, this](const PassKind& kind, PassMemory& known, const Frame& pass, PassPrice* price) {
        const bool is_exact_pass = known.table.Price(pass, rates.time, shares, has_laws, price);
        if (has_laws) {
          CorrectByLaws(kind, pass, &known, price);
        }
        return is_exact_pass;
      });
  for (const PassKind& kind : kinds) {
    for (size_t i = 0; i < kind.pass_count; ++i) {
      *peak_bytes = std::max(*peak_bytes, kind.passes[i].price.peak_bytes);
    }
  }
  AddIdle([](const PassKind::Pass& pass, const PassKind&, const Frame&) {
    return std::pair(&pass.price.calls, pass.table->entry_of_slot().data());
  });
  return is_exact;
}

template <typename CallsOf>
void WhatIf::Impl::AddIdle(CallsOf calls_of) {
  if (rates.time.is_cpu) {
    return;
  }
  double lead = 0;
  for (const FrameSet set : kExecutionOrder) {
    PassKind& kind = kinds[static_cast<size_t>(set)];
    for (size_t i = 0; i < kind.pass_count; ++i) {
      PassKind::Pass& pass = kind.passes[i];
      const Frame& frame = frames.Of(set)[i];
      const auto [calls, entry_of_slot] = calls_of(pass, kind, frame);
      pass.idle_ns.resize(kind.slots.size());
      lead = plans[static_cast<size_t>(set)].Run(*calls, entry_of_slot, frame, rates.host, lead, &scratch,
                                                 pass.idle_ns.data());
    }
  }
}

// Figures of all leaves, from the passes: that of an operator is the sum over its passes, and of a leaf over its
// operators.
template <WhatIf::Impl::Figures kFigures>
void WhatIf::Impl::Take(std::vector<ModulePrice>* modules) const {
  // Time and FLOPs in one register.
  using Both [[gnu::vector_size(sizeof(EntryPrice))]] = double;
  const auto load = [](const EntryPrice& from) {
    Both both;
    std::memcpy(&both, &from, sizeof both);
    return both;
  };
  struct Source {
    const EntryPrice* prices;
    const uint32_t* entries;
    const double* idle_ns;
  };
  static constexpr EntryPrice kNothing;
  std::array<std::array<Source, 2>, kFrameSetCount> sources;
  for (size_t set = 0; set < kinds.size(); ++set) {
    for (size_t i = 0; i < 2; ++i) {
      const PassKind::Pass& pass = kinds[set].passes[i];
      sources[set][i] = i < kinds[set].pass_count
                            ? Source{pass.price.entries.data(), pass.table->entry_of_slot().data(),
                                     rates.time.is_cpu ? no_idle.data() : pass.idle_ns.data()}
                            : Source{&kNothing, no_entries.data(), no_idle.data()};
    }
  }
  ModulePrice* const prices = modules->data();
  for (const Leaf& leaf : leaves) {
    const Source& one = sources[leaf.set][0];
    const Source& other = sources[leaf.set][1];
    const auto of_slot = [&](size_t slot) {
      return load(one.prices[one.entries[slot]]) + load(other.prices[other.entries[slot]]);
    };
    Both sum = of_slot(leaf.first);
    for (size_t slot = leaf.first + 1; slot < leaf.first + leaf.count; ++slot) {
      sum += of_slot(slot);
    }
    if (kFigures != Figures::kFlops) {
      double idle_ns = 0;
      for (size_t slot = leaf.first; slot < leaf.first + leaf.count; ++slot) {
        idle_ns += one.idle_ns[slot] + other.idle_ns[slot];
      }
      prices[leaf.node].time_ns = sum[0] + idle_ns;
    }
    if (kFigures != Figures::kTime) {
      prices[leaf.node].flops = static_cast<int64_t>(sum[1]);
    }
  }
}

// The same without tables, in 64-bit integers: for requests too large to be counted in doubles.
void WhatIf::Impl::PriceEverySlot(std::vector<ModulePrice>* modules, double* peak_bytes) {
  *peak_bytes = 0;
  const auto in_group = [this](const Slot& slot, Frame frame) {
    if (slot.split == Split::kExperts) {
      frame.batch = std::max(frame.batch, parallel.GroupBatch(workload.batch));
    }
    return frame;
  };
  std::vector<DeviceCall> calls;
  std::vector<uint32_t> itself(no_entries.size());
  std::iota(itself.begin(), itself.end(), 0U);
  AddIdle([&](const PassKind::Pass&, const PassKind& kind, const Frame& frame) {
    calls.clear();
    for (const Slot& slot : kind.slots) {
      calls.push_back(CallOfFree(slot, WorkOfFree(slot, in_group(slot, frame))));
    }
    return std::pair(&calls, itself.data());
  });
  for (const Leaf& leaf : leaves) {
    const PassKind& kind = kinds[leaf.set];
    const int64_t instances = tree.nodes[leaf.node].instances;
    ModulePrice price;
    double idle_ns = 0;
    for (size_t at = leaf.first; at < leaf.first + leaf.count; ++at) {
      const Slot& slot = kind.slots[at];
      double operator_ns = 0;
      double operator_idle_ns = 0;
      for (size_t i = 0; i < kind.pass_count; ++i) {
        const Frame& frame = frames.Of(kind.set)[i];
        const FreeWork work = WorkOfFree(slot, in_group(slot, frame));
        operator_ns += CallOfFree(slot, work).device_ns * static_cast<double>(frame.passes * instances);
        operator_idle_ns += rates.time.is_cpu ? 0 : kind.passes[i].idle_ns[at];
        *peak_bytes = std::max(*peak_bytes, static_cast<double>(work.cost.live_bytes));
      }
      for (const Frame& frame : whole_frames.Of(kind.set)) {
        price.flops += WorkOfFree(slot, frame).cost.flops * frame.passes * instances;
      }
      price.time_ns += operator_ns;
      idle_ns += operator_idle_ns;
    }
    price.time_ns += idle_ns;
    (*modules)[leaf.node] = price;
  }
}

double WhatIf::Impl::AddCommunication(std::vector<ModulePrice>* modules) const {
  double total_ns = 0;
  for (const size_t i : talking_leaves) {
    const Node& node = tree.nodes[i];
    for (const Frame& frame : frames.Of(node.frames)) {
      const double ns = CollectiveNs(CollectiveOf(tree, node), parallel, baseline.model.decoder, frame,
                                     ElementBytes(workload.precision)) *
                        static_cast<double>(frame.passes * node.instances);
      (*modules)[i].time_ns += ns;
      total_ns += ns;
    }
  }
  return total_ns;
}

TimeSpread WhatIf::Impl::TotalSpread() const {
  std::array<TimeSpread, kCategoryCount> by_category;
  for (const PassKind& kind : kinds) {
    for (size_t i = 0; i < kind.pass_count; ++i) {
      const PassPrice& price = kind.passes[i].price;
      const std::vector<uint32_t>& entry_of_slot = kind.passes[i].table->entry_of_slot();
      for (size_t slot = 0; slot < kind.slots.size(); ++slot) {
        const uint32_t entry = entry_of_slot[slot];
        const double idle_ns = rates.time.is_cpu ? 0 : kind.passes[i].idle_ns[slot];
        by_category[static_cast<size_t>(kind.slots[slot].leaf_operator->category)] += SpreadOf(
            price.entries[entry].time_ns + idle_ns, rates.laws != nullptr ? price.errors[entry] : kDatasheetError);
      }
    }
  }
  return InQuadrature(by_category);
}

void WhatIf::Impl::SumUp(std::vector<ModulePrice>* modules) const {
  ModulePrice* const prices = modules->data();
  for (auto at = sums.begin(); at != sums.end();) {
    ModulePrice& parent = prices[*at++];
    const uint32_t children = *at++;
    double time_ns = 0;
    int64_t flops = 0;
    for (const auto end = at + children; at != end; ++at) {
      time_ns += prices[*at].time_ns;
      flops += prices[*at].flops;
    }
    parent = {time_ns, flops};
  }
}

MemoryPrice WhatIf::Impl::MemoryFor(double peak_bytes) const {
  const int64_t element_bytes = ElementBytes(workload.precision);
  MemoryPrice price;
  price.activation_bytes = static_cast<int64_t>(peak_bytes);
  for (const size_t i : cache_leaves) {
    const Node& node = tree.nodes[i];
    for (const Frame& frame : frames.Of(node.frames)) {
      price.kv_cache_bytes += Product(frame, node.spec.kv_cache) * element_bytes * frame.passes * node.instances;
    }
  }
  const DecoderSpec& decoder = baseline.model.decoder;
  for (size_t i = 0; i < kSplitCount; ++i) {
    const int64_t bytes = weight_bytes[static_cast<size_t>(workload.precision)][i];
    const double experts = i == static_cast<size_t>(Split::kExperts) ? ShareOfExperts(parallel, decoder) : 1;
    price.weight_bytes +=
        parallel.devices() == 1 ? bytes : std::llround(static_cast<double>(bytes) * shares[i] * experts);
  }
  if (parallel.tensor > 1) {
    price.kv_cache_bytes =
        std::llround(static_cast<double>(price.kv_cache_bytes) * shares[static_cast<size_t>(Split::kHeads)]);
  }
  return price;
}

absl::Status WhatIf::Impl::Price(const Scenario& scenario, ScenarioPrice* price) {
  DSOCR_RETURN_IF_ERROR(CheckKnobs(scenario));
  DSOCR_RETURN_IF_ERROR(SetSizes(baseline.workload, scenario, &workload));
  DSOCR_ASSIGN_OR_RETURN(const ImageLayout layout, CheckedLayout(baseline.model, workload, crop_grids));
  const Device& device = scenario.device != nullptr ? *scenario.device : baseline.device;
  DSOCR_ASSIGN_OR_RETURN(rates, RatesOf(device, workload, scenario));
  parallel = {.data = scenario.data_parallel.value_or(1),
              .tensor = scenario.tensor_parallel.value_or(1),
              .expert = scenario.expert_parallel.value_or(1),
              .link_bytes_per_s = scenario.link_gbs ? *scenario.link_gbs * 1e9 : device.link_bytes_per_s,
              .link_latency_ns = device.link_latency_ns,
              .launch_ns = device.launch_ns};
  for (size_t i = 0; i < kSplitCount; ++i) {
    shares[i] = ShareOfWork(static_cast<Split>(i), parallel, baseline.model.decoder);
  }

  const int64_t batch = workload.batch;
  const bool is_dealt = parallel.DeviceBatch(batch) != batch;
  SetFrames(baseline.model, workload, layout, &frames);
  double peak_bytes = 0;
  std::vector<ModulePrice>& modules = price->modules;
  modules.resize(tree.nodes.size());
  bool is_exact = true;
  if (is_dealt) {  // FLOPs are those of all devices
    is_exact = CountFlops();
    Take<Figures::kFlops>(&modules);
    whole_frames = frames;
    workload.batch = parallel.DeviceBatch(batch);
    SetFrames(baseline.model, workload, layout, &frames);
    workload.batch = batch;
  }
  is_exact &= PricePasses(&peak_bytes);
  is_dealt ? Take<Figures::kTime>(&modules) : Take<Figures::kBoth>(&modules);
  if (!is_exact) {
    if (!is_dealt) {
      whole_frames = frames;
    }
    PriceEverySlot(&modules, &peak_bytes);
  }
  price->communication_ns = parallel.devices() > 1 ? AddCommunication(&modules) : 0;
  SumUp(&modules);
  price->total_time_ns = modules[0].time_ns;
  price->total_flops = modules[0].flops;
  price->devices = parallel.devices();
  price->device_memory_bytes = device.memory_bytes;
  price->memory = MemoryFor(peak_bytes);
  return absl::OkStatus();
}

WhatIf::WhatIf(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WhatIf::WhatIf(WhatIf&&) noexcept = default;
WhatIf& WhatIf::operator=(WhatIf&&) noexcept = default;
WhatIf::~WhatIf() = default;

absl::StatusOr<WhatIf> WhatIf::Create(Baseline baseline) {
  DSOCR_RETURN_IF_ERROR(CheckModel(baseline.model));
  DSOCR_RETURN_IF_ERROR(CheckWorkload(baseline.model, baseline.workload));
  return WhatIf(std::make_unique<Impl>(std::move(baseline)));
}

const Baseline& WhatIf::baseline() const { return impl_->baseline; }
const std::vector<std::string>& WhatIf::module_ids() const { return impl_->module_ids; }

TimeSpread WhatIf::TotalSpread() const { return impl_->TotalSpread(); }

absl::Status WhatIf::Price(const Scenario& scenario, ScenarioPrice* price) { return impl_->Price(scenario, price); }

absl::StatusOr<ScenarioPrice> WhatIf::Price(const Scenario& scenario) {
  ScenarioPrice price;
  DSOCR_RETURN_IF_ERROR(Price(scenario, &price));
  return price;
}

}  // namespace dsocr::analytic
