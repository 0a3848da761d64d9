#include "analytic/what_if/pass_table.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include "analytic/device/device.h"
#include "analytic/law/device_laws.h"

static_assert(sizeof(dsocr::analytic::EntryPrice) == 2 * sizeof(double));
static_assert(sizeof(dsocr::analytic::DeviceCall) == 2 * sizeof(double));

namespace dsocr::analytic {
namespace {

// As many doubles as the widest registers hold that this file makes use of.
constexpr size_t kLanes = 4;
using Lanes [[gnu::vector_size(kLanes * sizeof(double))]] = double;

// How vectors are passed differs between processors; these functions are inlined, so none is.
#pragma GCC diagnostic ignored "-Wpsabi"

[[gnu::always_inline]] inline Lanes Load(const double* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}
[[gnu::always_inline]] inline void Store(const Lanes& lanes, double* to) { std::memcpy(to, &lanes, sizeof lanes); }
// a[0] b[0] a[1] b[1] …
[[gnu::always_inline]] inline void StoreInTurn(const Lanes& a, const Lanes& b, double* to) {
  Store(__builtin_shufflevector(a, b, 0, 4, 1, 5), to);
  Store(__builtin_shufflevector(a, b, 2, 6, 3, 7), to + kLanes);
}
[[gnu::always_inline]] inline Lanes Max(const Lanes& a, const Lanes& b) { return a > b ? a : b; }

// Monomials of batch B, keys K and image tokens I.
constexpr size_t kMonomials = 8;  // {1, K, K^2, I} x {1, B}
constexpr size_t kInKeys = 4;     // those without B come first
constexpr size_t kFigures = 4;    // flops, vector flops, bytes, live bytes
using Figures = std::array<int64_t, kFigures>;
using Polynomial = std::array<int64_t, kMonomials>;
using Polynomials = std::array<Polynomial, kFigures>;

Figures FiguresOf(const Cost& cost) { return {cost.flops, cost.vector_flops, cost.bytes(), cost.live_bytes}; }

// Sizes at which a polynomial must give what the function gives: large and small, primes, powers of two, and unlike one
// another in every ratio that an operator could care about.
struct Sizes {
  int64_t batch;
  int64_t keys;
  int64_t image_tokens;
};
constexpr Sizes kWitnesses[] = {{3, 5, 2}, {7, 17, 11}, {2, 1021, 273}, {64, 4096, 903}, {1, 7919, 111}, {13, 257, 64}};

// Coefficients of 1, K, K^2, I from the values at (K, I) = (1, 0), (2, 0), (3, 0), (1, 1).
std::array<int64_t, kInKeys> InKeys(int64_t at1, int64_t at2, int64_t at3, int64_t at_image) {
  const int64_t square = (at3 - 2 * at2 + at1) / 2;
  const int64_t linear = at2 - at1 - 3 * square;
  return {at1 - linear - square, linear, square, at_image - at1};
}

// The passes that coefficients are found from, and those that they must explain.
struct Probes {
  Frame small[2][kInKeys];  // batch 1 and 2; (K, I) as InKeys has them
  std::vector<Frame> witnesses;

  Probes(const PassTable::FrameAt& frame_at, bool has_keys) {
    constexpr Sizes kSmall[kInKeys] = {{1, 1, 0}, {1, 2, 0}, {1, 3, 0}, {1, 1, 1}};
    for (int64_t batch : {1, 2}) {
      for (size_t i = 0; i < kInKeys; ++i) {
        small[batch - 1][i] = frame_at(batch, kSmall[i].keys, kSmall[i].image_tokens);
      }
    }
    for (const Sizes& sizes : kWitnesses) {
      witnesses.push_back(frame_at(sizes.batch, sizes.keys, sizes.image_tokens));
      if (has_keys) {
        witnesses.back().feature_rows = sizes.image_tokens + 1;  // no monomial has it: a slot that reads it must fail
      }
    }
  }
};

OperatorSize SizeIn(const Slot& slot, const Frame& frame, Precision precision) {
  const Operator op = slot.leaf_operator->at(frame);
  return SizeOf(op, CostOf(op, precision), slot.leaf_operator->category);
}

// One slot as a polynomial, or nothing.
class Fit {
 public:
  Fit(const ModuleTree& tree, const Slot& slot, Precision precision, const Probes& probes)
      : leaf_(tree.nodes[static_cast<size_t>(slot.node)]),
        slot_(slot),
        precision_(precision),
        probes_(probes),
        runs_(leaf_.RunsIn(probes.small[0][0])) {
    launches_ = runs_ ? CostOfSlot(slot_, probes.small[0][0], precision_).launches : 0;
  }

  std::optional<Polynomials> Run() const {
    Polynomials polynomials = {};
    if (runs_) {
      Figures figures[2][kInKeys];
      for (size_t batch = 0; batch < 2; ++batch) {
        for (size_t i = 0; i < kInKeys; ++i) {
          figures[batch][i] = FiguresAt(probes_.small[batch][i]);
        }
      }
      for (size_t f = 0; f < kFigures; ++f) {
        const auto once = InKeys(figures[0][0][f], figures[0][1][f], figures[0][2][f], figures[0][3][f]);
        const auto twice = InKeys(figures[1][0][f], figures[1][1][f], figures[1][2][f], figures[1][3][f]);
        for (size_t i = 0; i < kInKeys; ++i) {
          polynomials[f][i] = 2 * once[i] - twice[i];
          polynomials[f][kInKeys + i] = twice[i] - once[i];
        }
      }
    }
    const bool all_positive = std::all_of(polynomials.begin(), polynomials.end(), [](const Polynomial& polynomial) {
      return *std::min_element(polynomial.begin(), polynomial.end()) >= 0;  // so that no partial sum exceeds the sum
    });
    const bool all_explained = std::all_of(probes_.witnesses.begin(), probes_.witnesses.end(),
                                           [&](const Frame& frame) { return Explains(polynomials, frame); });
    return all_positive && all_explained ? std::optional(polynomials) : std::nullopt;
  }

  // Whether batch * tokens decides the work.
  bool DependsOnRowsAlone() const {
    return std::all_of(probes_.witnesses.begin(), probes_.witnesses.end(), [this](const Frame& frame) {
      Frame rows;
      rows.batch = 1;
      rows.tokens = frame.batch * frame.tokens;
      return leaf_.RunsIn(frame) && FiguresAt(frame) == FiguresAt(rows);
    });
  }

  bool runs() const { return runs_; }
  int64_t launches() const { return launches_; }

 private:
  Figures FiguresAt(const Frame& frame) const { return FiguresOf(CostOfSlot(slot_, frame, precision_)); }

  bool Explains(const Polynomials& polynomials, const Frame& frame) const {
    if (leaf_.RunsIn(frame) != runs_) {
      return false;
    }
    if (!runs_) {
      return true;
    }
    const Cost cost = CostOfSlot(slot_, frame, precision_);
    if (cost.launches != launches_ || cost.pieces != 1) {
      return false;
    }
    const int64_t b = frame.batch, k = frame.keys, i = frame.image_tokens;
    const Polynomial monomials = {1, k, k * k, i, b, b * k, b * k * k, b * i};
    const Figures figures = FiguresOf(cost);
    for (size_t f = 0; f < kFigures; ++f) {
      if (std::inner_product(monomials.begin(), monomials.end(), polynomials[f].begin(), int64_t{0}) != figures[f]) {
        return false;
      }
    }
    return true;
  }

  const Node& leaf_;
  const Slot& slot_;
  const Precision precision_;
  const Probes& probes_;
  const bool runs_;
  int64_t launches_ = 0;
};

}  // namespace

std::vector<const Dims*> HeldAround(const ModuleTree& tree, int node) {
  std::vector<const Dims*> held;
  const FrameSet set = tree.nodes[static_cast<size_t>(node)].frames;
  for (int i = node; i >= 0 && tree.nodes[static_cast<size_t>(i)].frames == set;
       i = tree.nodes[static_cast<size_t>(i)].parent) {
    if (const Dims& dims = tree.nodes[static_cast<size_t>(i)].spec.held; !dims.empty()) {
      held.push_back(&dims);
    }
  }
  return held;
}

Cost CostOfSlot(const Slot& slot, const Frame& frame, Precision precision) {
  Cost cost = CostOf(slot.leaf_operator->at(frame), precision);
  for (const Dims* held : slot.held) {
    cost.live_bytes += Product(frame, *held) * ElementBytes(precision);
  }
  return cost;
}

void PassTable::AddClass(size_t slot, const Class& added) {
  const auto known = std::find(classes_.begin(), classes_.end(), added);
  entry_of_slot_[slot] = static_cast<uint32_t>(known - classes_.begin());
  if (known == classes_.end()) {
    first_slots_.push_back(slot);
    classes_.push_back(added);
  }
}

PassTable::PassTable(const ModuleTree& tree, const std::vector<Slot>& slots, Precision precision,
                     const FrameAt& frame_at, bool has_keys)
    : entry_of_slot_(slots.size()) {
  const Probes probes(frame_at, has_keys);
  for (size_t i = 0; i < slots.size(); ++i) {
    const Node& leaf = tree.nodes[static_cast<size_t>(slots[i].node)];
    const Fit fit(tree, slots[i], precision, probes);
    if (const std::optional<Polynomials> polynomials = fit.Run()) {
      AddClass(i, {.category = slots[i].leaf_operator->category,
                   .split = slots[i].split,
                   .polynomials = *polynomials,
                   .launches = fit.launches(),
                   .calls = fit.runs() ? leaf.instances : 0,
                   .size = fit.runs() ? SizeIn(slots[i], probes.witnesses.front(), precision) : OperatorSize()});
    } else {
      free_slots_.push_back(i);
      free_slots_depend_on_rows_ &= fit.DependsOnRowsAlone();
    }
  }
  LayOut(precision);
  for (size_t i = 0; i < free_slots_.size(); ++i) {
    entry_of_slot_[free_slots_[i]] = static_cast<uint32_t>(first_free_entry() + i);
  }
}

void PassTable::LayOut(Precision precision) {
  const size_t padded = (classes_.size() + kLanes - 1) / kLanes * kLanes;
  calls_.resize(padded);
  splits_.resize(padded);
  for (size_t i = 0; i < classes_.size(); ++i) {
    calls_[i] = static_cast<double>(classes_[i].calls);
    splits_[i] = static_cast<uint8_t>(classes_[i].split);
  }
  for (size_t figure = 0; figure < kFigures; ++figure) {
    for (size_t monomial = 0; monomial < kMonomials; ++monomial) {
      if (std::any_of(classes_.begin(), classes_.end(),
                      [&](const Class& c) { return c.polynomials[figure][monomial] != 0; })) {
        monomial_of_column_.push_back(monomial);
      }
    }
    first_column_[figure + 1] = monomial_of_column_.size();
  }
  figures_.resize(padded * row_columns());
  Device gpu;
  Device cpu;
  cpu.kind = DeviceKind::kCpu;
  for (size_t i = 0; i < classes_.size(); ++i) {
    for (size_t figure = 0; figure < kFigures; ++figure) {
      for (size_t column = first_column_[figure]; column < first_column_[figure + 1]; ++column) {
        figures_[FigureAt(i, column)] =
            static_cast<double>(classes_[i].polynomials[figure][monomial_of_column_[column]]);
      }
    }
    const auto constant = [&](size_t which) -> double& { return figures_[FigureAt(i, first_column_.back() + which)]; };
    constant(kLaunches) = static_cast<double>(classes_[i].launches);
    constant(kCalls) = calls_[i];
    for (const auto& [first, device] : {std::pair(kGpuMatrix, &gpu), std::pair(kCpuMatrix, &cpu)}) {
      const Efficiency efficiency = EfficiencyOf(classes_[i].category, precision, *device);
      constant(first) = 1 / efficiency.matrix;
      constant(first + 1) = 1 / efficiency.vector;
      constant(first + 2) = 1 / efficiency.memory;
    }
  }
}

size_t PassTable::FigureAt(size_t index, size_t column) const {
  return (index / kLanes * row_columns() + column) * kLanes + index % kLanes;
}

PassTable::ColumnValues PassTable::ValuesOf(const Frame& frame) const {
  const auto batch = static_cast<double>(frame.batch);
  const auto keys = static_cast<double>(frame.keys);
  const auto image_tokens = static_cast<double>(frame.image_tokens);
  const double monomials[kMonomials] = {1,     keys,         keys * keys,         image_tokens,
                                        batch, batch * keys, batch * keys * keys, batch * image_tokens};
  ColumnValues values;
  for (size_t column = 0; column < monomial_of_column_.size(); ++column) {
    values[column] = monomials[monomial_of_column_[column]];
  }
  return values;
}

// The loop over classes, a vector of them at a time. The operations are those of PieceNs and Over, in their order, so
// that both give the same bits.
struct PassTable::Kernel {
  const PassTable& table;
  const double* monomials;  // by column
  const TimeRates& rates;
  const double* shares;  // by class; null: all of it
  double passes;
  PassPrice* price;

  double* EntryAt(size_t at) const { return &price->entries[at].time_ns; }

  // `row`: of a vector of classes.
  [[gnu::always_inline]] inline Lanes Figure(size_t figure, const double* row) const {
    Lanes sum = {};
    for (size_t column = table.first_column_[figure]; column < table.first_column_[figure + 1]; ++column) {
      sum += Load(row + column * kLanes) * monomials[column];
    }
    return sum;
  }

  template <bool kIsCpu, bool kKeepsFlops>
  [[gnu::always_inline]] inline bool Run() const {
    const size_t constants = table.first_column_.back() * kLanes;
    const size_t shares_of_peaks = constants + (kIsCpu ? kCpuMatrix : kGpuMatrix) * kLanes;
    Lanes peak = {};
    Lanes largest = {};
    for (size_t i = 0; i < table.calls_.size(); i += kLanes) {
      const double* row = table.figures_.data() + i * table.row_columns();
      Lanes flops = Figure(0, row);
      Lanes vector_flops = Figure(1, row);
      Lanes bytes = Figure(2, row);
      const Lanes live = Figure(3, row);
      const Lanes calls = Load(row + constants + kCalls * kLanes) * passes;
      const Lanes all_flops = flops * calls;
      peak = Max(peak, live);
      largest = Max(Max(largest, all_flops), Max(vector_flops, bytes));
      if (shares != nullptr) {
        const Lanes share = Load(shares + i);
        flops *= share;
        vector_flops *= share;
        bytes *= share;
      }
      const Lanes matrix_ns = flops * Load(row + shares_of_peaks) * rates.ns_per_flop;
      const Lanes vector_ns = vector_flops * Load(row + shares_of_peaks + kLanes) * rates.ns_per_vector_flop;
      const Lanes memory_ns = bytes * Load(row + shares_of_peaks + 2 * kLanes) * rates.ns_per_byte;
      const Lanes launches = Load(row + constants + kLaunches * kLanes);
      Lanes ns;
      if (kIsCpu) {
        ns = launches * rates.launch_ns + Max(Max(matrix_ns + vector_ns, memory_ns), Lanes{} + rates.min_kernel_ns);
      } else {
        ns = Max(Max(Max(matrix_ns, vector_ns), memory_ns), launches * rates.min_kernel_ns);
        StoreInTurn(ns, launches, &price->calls[i].device_ns);
      }
      if (kKeepsFlops) {
        // The laws come between the price of a call and that of all.
        StoreInTurn(ns, all_flops, EntryAt(i));
        Store(flops, price->call_flops.data() + i);
      } else {
        StoreInTurn(ns * calls, all_flops, EntryAt(i));
      }
    }
    double peak_bytes = 0;
    double largest_figure = 0;
    for (size_t lane = 0; lane < kLanes; ++lane) {
      peak_bytes = std::max(peak_bytes, peak[lane]);
      largest_figure = std::max(largest_figure, largest[lane]);
    }
    price->peak_bytes = peak_bytes;
    return std::max(peak_bytes, largest_figure) < kExactLimit;
  }

  [[gnu::always_inline]] inline bool RunAny(bool keeps_flops) const {
    if (keeps_flops) {
      return rates.is_cpu ? Run<true, true>() : Run<false, true>();
    }
    return rates.is_cpu ? Run<true, false>() : Run<false, false>();
  }

  // Once for any processor and once for wider vectors; neither contracts products and sums, so the bits are the same.
  bool RunAnywhere(bool keeps_flops) const { return RunAny(keeps_flops); }
#if defined(__x86_64__)
  __attribute__((target("avx2"))) bool RunOnAvx2(bool keeps_flops) const { return RunAny(keeps_flops); }
  bool RunBest(bool keeps_flops) const {
    static const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
    return has_avx2 ? RunOnAvx2(keeps_flops) : RunAnywhere(keeps_flops);
  }
#else
  bool RunBest(bool keeps_flops) const { return RunAnywhere(keeps_flops); }
#endif
};

bool PassTable::Price(const Frame& frame, const TimeRates& rates, const std::array<double, kSplitCount>& shares,
                      bool keeps_flops, PassPrice* price) const {
  price->entries.resize(entries());
  price->calls.resize(entries());
  if (keeps_flops) {
    price->call_flops.resize(calls_.size());
  }
  const double* share_of_class = nullptr;
  std::vector<double> by_class;
  if (std::any_of(shares.begin(), shares.end(), [](double share) { return share != 1; })) {
    for (const uint8_t split : splits_) {
      by_class.push_back(shares[split]);
    }
    share_of_class = by_class.data();
  }
  const ColumnValues monomials = ValuesOf(frame);
  return Kernel{*this, monomials.data(), rates, share_of_class, static_cast<double>(frame.passes), price}.RunBest(
      keeps_flops);
}

bool PassTable::CountFlops(const Frame& frame, PassPrice* price) const {
  price->entries.resize(entries());
  const ColumnValues monomials = ValuesOf(frame);
  const auto passes = static_cast<double>(frame.passes);
  double largest = 0;
  for (size_t i = 0; i < classes_.size(); ++i) {
    double flops = 0;
    for (size_t column = 0; column < first_column_[1]; ++column) {
      flops += figures_[FigureAt(i, column)] * monomials[column];
    }
    price->entries[i].flops = flops * (calls_[i] * passes);
    largest = std::max(largest, price->entries[i].flops);
  }
  return largest < kExactLimit;
}

}  // namespace dsocr::analytic
