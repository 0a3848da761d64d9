#include "analytic/what_if/what_if.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "analytic/cost_model.h"
#include "analytic/module/tree.h"
#include "analytic/operator_time.h"
#include "analytic/what_if/parallel.h"
#include "analytic/what_if/pass_table.h"
#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

constexpr size_t kPrecisionCount = 5;
constexpr int64_t kMaxParallel = 4096;

absl::Status CheckReal(std::string_view knob, const std::optional<double>& value) {
  if (value && !(std::isfinite(*value) && *value > 0)) {
    return absl::InvalidArgumentError(fmt::format("{} {}: not a positive finite number; give one", knob, *value));
  }
  return absl::OkStatus();
}

absl::Status CheckDegree(std::string_view knob, const std::optional<int64_t>& value) {
  if (value && (*value < 1 || *value > kMaxParallel)) {
    return absl::InvalidArgumentError(
        fmt::format("{} {}: not between 1 and {}; give a number of devices", knob, *value, kMaxParallel));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> ScaledBatch(int64_t batch, double scale) {
  const double scaled = static_cast<double>(batch) * scale;
  if (scaled < 1 || scaled != std::floor(scaled) || scaled >= kExactLimit) {
    return absl::InvalidArgumentError(fmt::format(
        "batch_scale {}: {} x {} is no whole number of requests; give a scale that makes one", scale, batch, scale));
  }
  return static_cast<int64_t>(scaled);
}

// Everything about a scenario that is not its workload's sizes.
absl::Status CheckKnobs(const Scenario& scenario) {
  DSOCR_RETURN_IF_ERROR(CheckReal("peak_tflops", scenario.peak_tflops));
  DSOCR_RETURN_IF_ERROR(CheckReal("memory_bandwidth_gbs", scenario.memory_bandwidth_gbs));
  DSOCR_RETURN_IF_ERROR(CheckReal("batch_scale", scenario.batch_scale));
  DSOCR_RETURN_IF_ERROR(CheckReal("link_gbs", scenario.link_gbs));
  DSOCR_RETURN_IF_ERROR(CheckDegree("data_parallel", scenario.data_parallel));
  DSOCR_RETURN_IF_ERROR(CheckDegree("tensor_parallel", scenario.tensor_parallel));
  return CheckDegree("expert_parallel", scenario.expert_parallel);
}

// Sets the workload's sizes to the scenario's, or back to the baseline's; its names and notes stay.
absl::Status SetSizes(const Workload& baseline, const Scenario& scenario, Workload* workload) {
  workload->seq_len = scenario.seq_len.value_or(baseline.seq_len);
  workload->page_width = scenario.page_width.value_or(baseline.page_width);
  workload->page_height = scenario.page_height.value_or(baseline.page_height);
  workload->base_size = scenario.base_size.value_or(baseline.base_size);
  workload->image_size = scenario.image_size.value_or(baseline.image_size);
  workload->crop_mode = scenario.crop_mode.value_or(baseline.crop_mode);
  workload->max_new_tokens = scenario.max_new_tokens.value_or(baseline.max_new_tokens);
  workload->precision = scenario.dtype.value_or(baseline.precision);
  workload->batch = baseline.batch;
  if (scenario.batch_scale) {
    DSOCR_ASSIGN_OR_RETURN(workload->batch, ScaledBatch(baseline.batch, *scenario.batch_scale));
  }
  return absl::OkStatus();
}

double& MatrixPeak(Precision precision, Device& device) {
  switch (precision) {
    case Precision::kFp32:
      return device.matrix_fp32_flops_per_s;
    case Precision::kTf32:
      return device.matrix_tf32_flops_per_s;
    default:
      return device.matrix_bf16_flops_per_s;
  }
}

// What a device gives in one scenario.
struct DeviceRates {
  TimeRates time;
  double peak_ns_per_flop = 0;  // of the fastest matrix product that a curve may predict
  const Device* device = nullptr;
  bool has_curves = false;
};

absl::StatusOr<DeviceRates> RatesOf(const Device& device, Precision precision, const Scenario& scenario) {
  const double peak = scenario.peak_tflops ? *scenario.peak_tflops * 1e12 : device.matrix_flops_per_s(precision);
  if (!(peak > 0)) {
    return absl::InvalidArgumentError(fmt::format("dtype {}: device '{}' has no peak for it; give peak_tflops",
                                                  PrecisionName(precision), device.name));
  }
  DeviceRates rates;
  rates.time = RatesOf(precision, device);
  rates.time.ns_per_flop = 1e9 / peak;
  if (scenario.memory_bandwidth_gbs) {
    rates.time.ns_per_byte = 1e9 / (*scenario.memory_bandwidth_gbs * 1e9);
  }
  rates.peak_ns_per_flop = 1e9 / (device.measured_flops_per_s > peak ? device.measured_flops_per_s : peak);
  rates.device = &device;
  rates.has_curves = std::any_of(device.curves.begin(), device.curves.end(),
                                 [](const std::vector<CurvePoint>& curve) { return !curve.empty(); });
  return rates;
}

// Reciprocal shares of the peaks, by slot.
struct Shares {
  std::vector<double> matrix;
  std::vector<double> vector;
  std::vector<double> memory;
};

// The operators of one set of frames, and what is known of them.
struct PassKind {
  FrameSet set = FrameSet::kRequest;
  std::vector<Slot> slots;
  std::vector<CategoryId> categories;
  std::vector<Split> splits;
  std::vector<Collective> collectives;
  std::array<std::optional<Shares>, 2 * kPrecisionCount> shares;  // by kind of device and precision
  // Sums over the passes of a scenario, by slot.
  std::vector<double> time_ns;
  std::vector<double> flops;
  // One pass.
  std::vector<double> pass_ns;
};

// The last pass whose work a table was asked for.
struct CachedWork {
  PassTable table;
  PassWork work;
  int64_t batch = -1;  // of the frame in `work`; -1: none

  CachedWork(PassTable t, size_t slots) : table(std::move(t)), work(slots) {}
};

}  // namespace

absl::StatusOr<Baseline> ChangedBaseline(const Baseline& baseline, const Scenario& scenario) {
  DSOCR_RETURN_IF_ERROR(CheckKnobs(scenario));
  Baseline changed = baseline;
  DSOCR_RETURN_IF_ERROR(SetSizes(baseline.workload, scenario, &changed.workload));
  DSOCR_RETURN_IF_ERROR(CheckWorkload(changed.model, changed.workload));
  if (scenario.device != nullptr) {
    changed.device = *scenario.device;
  }
  const Precision precision = changed.workload.precision;
  DSOCR_RETURN_IF_ERROR(RatesOf(changed.device, precision, scenario).status());
  if (scenario.peak_tflops) {
    MatrixPeak(precision, changed.device) = *scenario.peak_tflops * 1e12;
  }
  if (scenario.memory_bandwidth_gbs) {
    changed.device.memory_bytes_per_s = *scenario.memory_bandwidth_gbs * 1e9;
  }
  return changed;
}

struct WhatIf::Impl {
  Baseline baseline;
  ModuleTree tree;
  std::vector<std::string> module_ids;
  std::array<PassKind, kFrameSetCount> passes;
  // A leaf's slots in the pass of its set.
  struct Leaf {
    size_t node;
    size_t set;
    size_t first;
    size_t count;
  };
  std::vector<Leaf> leaves;
  std::vector<size_t> parents;  // nodes with children, the deepest first
  std::array<std::array<double, kSplitCount>, kPrecisionCount> weight_bytes = {};

  // The work of passes: of views by side and precision, of the others by set and precision.
  absl::flat_hash_map<int64_t, std::unique_ptr<CachedWork>> view_work;
  std::array<std::array<std::unique_ptr<CachedWork>, kPrecisionCount>, kFrameSetCount> work;

  // The scenario at hand.
  Workload workload;
  DeviceRates rates;
  Parallel parallel;
  int64_t group_batch = 1;
  bool is_exact = true;
  double peak_bytes = 0;
  double communication_ns = 0;

  explicit Impl(Baseline b);

  CachedWork& WorkFor(size_t set, const Frame& frame);
  const Shares& SharesFor(PassKind& pass);
  void PricePass(size_t set, const Frame& frame, bool counts_time, bool counts_flops);
  void PriceFreeSlot(PassKind& pass, size_t slot, const Cost& cost, double calls, bool counts_time, bool counts_flops);
  void CorrectByCurves(PassKind& pass, const PassWork& work);
  void AddCommunication(PassKind& pass, const Frame& frame);
  void SumUp(std::vector<ModulePrice>* modules) const;
  absl::Status Price(const Scenario& scenario, ScenarioPrice* price);
};

WhatIf::Impl::Impl(Baseline b) : baseline(std::move(b)), tree(BuildTree(baseline.model)), workload(baseline.workload) {
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    const Node& node = tree.nodes[i];
    module_ids.push_back(node.id);
    if (!node.is_leaf()) {
      continue;
    }
    const auto set = static_cast<size_t>(node.frames);
    PassKind& pass = passes[set];
    leaves.push_back({i, set, pass.slots.size(), node.spec.operators.size()});
    for (size_t op = 0; op < node.spec.operators.size(); ++op) {
      pass.slots.push_back({static_cast<int>(i), &node.spec.operators[op]});
      pass.categories.push_back(node.spec.operators[op].category);
      pass.splits.push_back(SplitOf(tree, node));
      // After the last operator of the leaf.
      pass.collectives.push_back(op + 1 == node.spec.operators.size() ? CollectiveOf(tree, node) : Collective::kNone);
    }
    if (node.owns_weights) {
      for (size_t precision = 0; precision < kPrecisionCount; ++precision) {
        weight_bytes[precision][static_cast<size_t>(SplitOf(tree, node))] +=
            static_cast<double>(WeightBytes(node, static_cast<Precision>(precision)) * node.instances);
      }
    }
  }
  for (size_t set = 0; set < passes.size(); ++set) {
    PassKind& pass = passes[set];
    pass.set = static_cast<FrameSet>(set);
    pass.time_ns.resize(pass.slots.size());
    pass.flops.resize(pass.slots.size());
    pass.pass_ns.resize(pass.slots.size());
  }
  for (size_t i = tree.nodes.size(); i-- > 0;) {
    if (!tree.nodes[i].is_leaf()) {
      parents.push_back(i);
    }
  }
}

CachedWork& WhatIf::Impl::WorkFor(size_t set, const Frame& frame) {
  const Precision precision = workload.precision;
  const bool is_views = passes[set].set == FrameSet::kViews;
  std::unique_ptr<CachedWork>& cached =
      is_views ? view_work[frame.side * static_cast<int64_t>(kPrecisionCount) + static_cast<int64_t>(precision)]
               : work[set][static_cast<size_t>(precision)];
  if (cached == nullptr) {
    const PassTable::FrameAt frame_at = [&](int64_t batch, int64_t keys, int64_t image_tokens) {
      if (is_views) {
        Workload views = workload;
        views.batch = batch;
        views.crop_mode = false;
        views.image_size = frame.side;
        return FramesOf(baseline.model, views).Of(FrameSet::kViews).back();
      }
      Frame made;
      made.passes = 1;
      made.batch = batch;
      made.tokens = passes[set].set == FrameSet::kDecode ? 1 : keys;
      made.keys = keys;
      made.image_tokens = passes[set].set == FrameSet::kDecode ? 0 : image_tokens;
      return made;
    };
    cached = std::make_unique<CachedWork>(
        PassTable(tree, passes[set].slots, precision, frame_at, /*has_keys=*/!is_views), passes[set].slots.size());
  }
  return *cached;
}

const Shares& WhatIf::Impl::SharesFor(PassKind& pass) {
  const size_t key = static_cast<size_t>(workload.precision) * 2 + (rates.time.is_cpu ? 1 : 0);
  std::optional<Shares>& shares = pass.shares[key];
  if (!shares) {
    shares.emplace();
    for (const CategoryId category : pass.categories) {
      const Efficiency efficiency = EfficiencyOf(category, workload.precision, *rates.device);
      shares->matrix.push_back(1 / efficiency.matrix);
      shares->vector.push_back(1 / efficiency.vector);
      shares->memory.push_back(1 / efficiency.memory);
    }
  }
  return *shares;
}

void WhatIf::Impl::CorrectByCurves(PassKind& pass, const PassWork& pass_work) {
  for (size_t i = 0; i < pass.slots.size(); ++i) {
    const std::vector<CurvePoint>& curve = rates.device->curves[static_cast<size_t>(pass.categories[i])];
    if (!curve.empty()) {
      const PieceWork piece = {pass_work.flops[i], pass_work.vector_flops[i], pass_work.bytes[i], 1};
      pass.pass_ns[i] = std::max(pass.pass_ns[i] * CurveRatio(piece, curve), piece.flops * rates.peak_ns_per_flop);
    }
  }
}

void WhatIf::Impl::PriceFreeSlot(PassKind& pass, size_t slot, const Cost& cost, double calls, bool counts_time,
                                 bool counts_flops) {
  if (counts_flops) {
    pass.flops[slot] += static_cast<double>(cost.flops) * calls;
  }
  if (!counts_time || cost.pieces <= 0) {
    return;
  }
  peak_bytes = std::max(peak_bytes, static_cast<double>(cost.live_bytes));
  const CategoryId category = pass.categories[slot];
  const double share = ShareOfWork(pass.splits[slot], parallel, baseline.model.decoder);
  PieceWork piece = PieceOf(cost);
  piece.flops *= share;
  piece.vector_flops *= share;
  piece.bytes *= share;
  double pieces = cost.pieces;
  if (pass.splits[slot] == Split::kExperts && parallel.expert > 1) {
    pieces = std::max(1.0, pieces * ShareOfWeights(Split::kExperts, parallel, baseline.model.decoder) / share);
  }
  double ns = PieceNs(Over(piece, EfficiencyOf(category, workload.precision, *rates.device)), rates.time) * pieces;
  const std::vector<CurvePoint>& curve = rates.device->curves[static_cast<size_t>(category)];
  if (!curve.empty()) {
    ns = std::max(ns * CurveRatio(piece, curve), static_cast<double>(cost.flops) * rates.peak_ns_per_flop);
  }
  pass.time_ns[slot] += ns * calls;
}

void WhatIf::Impl::AddCommunication(PassKind& pass, const Frame& frame) {
  const int64_t element_bytes = ElementBytes(workload.precision);
  for (size_t i = 0; i < pass.slots.size(); ++i) {
    if (pass.collectives[i] != Collective::kNone) {
      const int64_t calls = frame.passes * tree.nodes[static_cast<size_t>(pass.slots[i].node)].instances;
      const double ns = CollectiveNs(pass.collectives[i], parallel, baseline.model.decoder, frame, element_bytes) *
                        static_cast<double>(calls);
      pass.time_ns[i] += ns;
      communication_ns += ns;
    }
  }
}

void WhatIf::Impl::PricePass(size_t set, const Frame& frame, bool counts_time, bool counts_flops) {
  PassKind& pass = passes[set];
  CachedWork& cached = WorkFor(set, frame);
  is_exact &= cached.table.WorkOf(frame, &cached.work);
  const size_t slots = pass.slots.size();
  const auto pass_count = static_cast<double>(frame.passes);
  const double* const calls = cached.table.calls().data();
  PassWork& pass_work = cached.work;
  if (counts_flops) {
    for (size_t i = 0; i < slots; ++i) {
      pass.flops[i] += pass_work.flops[i] * (calls[i] * pass_count);
    }
  }
  if (counts_time) {
    if (parallel.tensor > 1) {
      for (size_t i = 0; i < slots; ++i) {
        const double share = pass.splits[i] == Split::kExperts
                                 ? 1  // rows in and out of the experts are whole
                                 : ShareOfWork(pass.splits[i], parallel, baseline.model.decoder);
        pass_work.flops[i] *= share;
        pass_work.vector_flops[i] *= share;
        pass_work.bytes[i] *= share;
      }
    }
    const Shares& shares = SharesFor(pass);
    const double* const launches = cached.table.launches().data();
    const TimeRates& time = rates.time;
    for (size_t i = 0; i < slots; ++i) {
      pass.pass_ns[i] = PieceNs({pass_work.flops[i] * shares.matrix[i], pass_work.vector_flops[i] * shares.vector[i],
                                 pass_work.bytes[i] * shares.memory[i], launches[i]},
                                time);
    }
    if (rates.has_curves) {
      CorrectByCurves(pass, pass_work);
    }
    for (size_t i = 0; i < slots; ++i) {
      pass.time_ns[i] += pass.pass_ns[i] * (calls[i] * pass_count);
    }
    peak_bytes = std::max(peak_bytes, *std::max_element(pass_work.live_bytes.begin(), pass_work.live_bytes.end()));
    if (parallel.devices() > 1) {
      AddCommunication(pass, frame);
    }
  }
  for (const FreeSlot& free : cached.table.free_slots()) {
    const Slot& slot = pass.slots[free.slot];
    if (!RunsIn(tree, slot, frame)) {
      continue;
    }
    Frame at = frame;
    if (counts_time && pass.splits[free.slot] == Split::kExperts) {
      at.batch = group_batch;
    }
    const auto instances = static_cast<double>(tree.nodes[static_cast<size_t>(slot.node)].instances);
    PriceFreeSlot(pass, free.slot, CostOfSlot(tree, slot, at, workload.precision), instances * pass_count, counts_time,
                  counts_flops);
  }
}

void WhatIf::Impl::SumUp(std::vector<ModulePrice>* modules) const {
  modules->resize(tree.nodes.size());
  for (const Leaf& leaf : leaves) {
    const PassKind& pass = passes[leaf.set];
    double time_ns = 0;
    double flops = 0;
    for (size_t i = leaf.first; i < leaf.first + leaf.count; ++i) {
      time_ns += pass.time_ns[i];
      flops += pass.flops[i];
    }
    (*modules)[leaf.node] = {time_ns, static_cast<int64_t>(flops)};
  }
  for (const size_t parent : parents) {
    ModulePrice sum;
    for (const int child : tree.nodes[parent].children) {
      sum.time_ns += (*modules)[static_cast<size_t>(child)].time_ns;
      sum.flops += (*modules)[static_cast<size_t>(child)].flops;
    }
    (*modules)[parent] = sum;
  }
}

absl::Status WhatIf::Impl::Price(const Scenario& scenario, ScenarioPrice* price) {
  DSOCR_RETURN_IF_ERROR(CheckKnobs(scenario));
  DSOCR_RETURN_IF_ERROR(SetSizes(baseline.workload, scenario, &workload));
  DSOCR_RETURN_IF_ERROR(CheckWorkload(baseline.model, workload));
  const Device& device = scenario.device != nullptr ? *scenario.device : baseline.device;
  DSOCR_ASSIGN_OR_RETURN(rates, RatesOf(device, workload.precision, scenario));
  parallel = {.data = scenario.data_parallel.value_or(1),
              .tensor = scenario.tensor_parallel.value_or(1),
              .expert = scenario.expert_parallel.value_or(1),
              .link_bytes_per_s = scenario.link_gbs ? *scenario.link_gbs * 1e9 : device.link_bytes_per_s,
              .link_latency_ns = device.link_latency_ns,
              .launch_ns = device.launch_ns};
  const int64_t device_batch = parallel.DeviceBatch(workload.batch);
  group_batch = parallel.GroupBatch(workload.batch);
  const bool is_dealt = device_batch != workload.batch;

  is_exact = true;
  peak_bytes = 0;
  communication_ns = 0;
  int64_t kv_cache_bytes = 0;
  for (PassKind& pass : passes) {
    std::fill(pass.time_ns.begin(), pass.time_ns.end(), 0);
    std::fill(pass.flops.begin(), pass.flops.end(), 0);
  }
  const int64_t whole_batch = workload.batch;
  if (is_dealt) {
    const Frames whole = FramesOf(baseline.model, workload);
    for (size_t set = 0; set < passes.size(); ++set) {
      for (const Frame& frame : whole.sets[set]) {
        PricePass(set, frame, /*counts_time=*/false, /*counts_flops=*/true);
      }
    }
    workload.batch = device_batch;
  }
  const Frames frames = FramesOf(baseline.model, workload);
  workload.batch = whole_batch;
  for (size_t set = 0; set < passes.size(); ++set) {
    for (const Frame& frame : frames.sets[set]) {
      PricePass(set, frame, /*counts_time=*/true, /*counts_flops=*/!is_dealt);
    }
  }
  for (const Leaf& leaf : leaves) {
    const Node& node = tree.nodes[leaf.node];
    if (!node.spec.kv_cache.empty()) {
      for (const Frame& frame : frames.sets[leaf.set]) {
        kv_cache_bytes +=
            Product(frame, node.spec.kv_cache) * ElementBytes(workload.precision) * frame.passes * node.instances;
      }
    }
  }
  SumUp(&price->modules);

  price->total_time_ns = price->modules[0].time_ns;
  price->total_flops = price->modules[0].flops;
  price->communication_ns = communication_ns;
  price->devices = parallel.devices();
  price->device_memory_bytes = device.memory_bytes;
  double weights = 0;
  for (size_t split = 0; split < kSplitCount; ++split) {
    weights += weight_bytes[static_cast<size_t>(workload.precision)][split] *
               ShareOfWeights(static_cast<Split>(split), parallel, baseline.model.decoder);
  }
  price->memory.weight_bytes = std::llround(weights);
  price->memory.activation_bytes = static_cast<int64_t>(peak_bytes);
  price->memory.kv_cache_bytes =
      std::llround(static_cast<double>(kv_cache_bytes) * ShareOfWork(Split::kHeads, parallel, baseline.model.decoder));
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

absl::Status WhatIf::Price(const Scenario& scenario, ScenarioPrice* price) { return impl_->Price(scenario, price); }

absl::StatusOr<ScenarioPrice> WhatIf::Price(const Scenario& scenario) {
  ScenarioPrice price;
  DSOCR_RETURN_IF_ERROR(Price(scenario, &price));
  return price;
}

}  // namespace dsocr::analytic
