#include "analytic/what_if/pass_table.h"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace dsocr::analytic {
namespace {

// Monomials of batch B, keys K and image tokens I.
constexpr size_t kMonomials = 8;  // {1, K, K^2, I} x {1, B}
constexpr size_t kInKeys = 4;     // those without B come first
using Monomials = std::array<double, kMonomials>;

Monomials MonomialsOf(const Frame& frame) {
  const auto batch = static_cast<double>(frame.batch);
  const auto keys = static_cast<double>(frame.keys);
  const auto image_tokens = static_cast<double>(frame.image_tokens);
  return {1, keys, keys * keys, image_tokens, batch, batch * keys, batch * keys * keys, batch * image_tokens};
}

// The figures of a slot that a table holds.
constexpr size_t kFigures = 4;
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

// One slot as a polynomial, or nothing.
class Fit {
 public:
  Fit(const ModuleTree& tree, const Slot& slot, Precision precision, const PassTable::FrameAt& frame_at, bool has_keys)
      : tree_(tree), slot_(slot), precision_(precision), frame_at_(frame_at), has_keys_(has_keys) {
    const Frame first = frame_at_(1, 1, 0);
    runs_ = RunsIn(tree_, slot_, first);
    launches_ = runs_ ? CostOfSlot(tree_, slot_, first, precision_).launches : 0;
  }

  std::optional<Polynomials> Run() const {
    Polynomials polynomials;
    for (size_t figure = 0; figure < kFigures; ++figure) {
      const auto once = InKeysAt(1, figure);
      const auto twice = InKeysAt(2, figure);
      for (size_t i = 0; i < kInKeys; ++i) {
        polynomials[figure][i] = 2 * once[i] - twice[i];
        polynomials[figure][kInKeys + i] = twice[i] - once[i];
      }
    }
    const auto is_good = [&](const Sizes& sizes) { return GivesTheFunction(polynomials, sizes); };
    const bool all_positive = std::all_of(polynomials.begin(), polynomials.end(), [](const Polynomial& polynomial) {
      return *std::min_element(polynomial.begin(), polynomial.end()) >= 0;  // so that no partial sum exceeds the sum
    });
    if (!all_positive || !std::all_of(std::begin(kWitnesses), std::end(kWitnesses), is_good)) {
      return std::nullopt;
    }
    return polynomials;
  }

  // Whether batch * tokens decides the work.
  bool DependsOnRowsAlone() const {
    return std::all_of(std::begin(kWitnesses), std::end(kWitnesses), [this](const Sizes& sizes) {
      Frame frame = frame_at_(sizes.batch, sizes.keys, sizes.image_tokens);
      Frame rows;
      rows.batch = 1;
      rows.tokens = frame.batch * frame.tokens;
      return RunsIn(tree_, slot_, frame) && FiguresAt(frame) == FiguresAt(rows);
    });
  }

  bool runs() const { return runs_; }
  int64_t launches() const { return launches_; }

 private:
  Figures FiguresAt(const Frame& frame) const { return FiguresOf(CostOfSlot(tree_, slot_, frame, precision_)); }

  std::array<int64_t, kInKeys> InKeysAt(int64_t batch, size_t figure) const {
    const auto at = [&](int64_t keys, int64_t image_tokens) {
      return runs_ ? FiguresAt(frame_at_(batch, keys, image_tokens))[figure] : 0;
    };
    return has_keys_ ? InKeys(at(1, 0), at(2, 0), at(3, 0), at(1, 1)) : std::array<int64_t, kInKeys>{at(1, 0), 0, 0, 0};
  }

  bool GivesTheFunction(const Polynomials& polynomials, const Sizes& sizes) const {
    Frame frame = frame_at_(sizes.batch, sizes.keys, sizes.image_tokens);
    if (has_keys_) {
      frame.feature_rows = sizes.image_tokens + 1;  // no monomial has it: a slot that reads it must fail
    }
    if (RunsIn(tree_, slot_, frame) != runs_) {
      return false;
    }
    if (!runs_) {
      return true;
    }
    const Cost cost = CostOfSlot(tree_, slot_, frame, precision_);
    if (cost.launches != launches_ || cost.pieces != 1) {
      return false;
    }
    const int64_t b = frame.batch, k = frame.keys, i = frame.image_tokens;
    const Polynomial monomials = {1, k, k * k, i, b, b * k, b * k * k, b * i};
    const Figures figures = FiguresOf(cost);
    for (size_t figure = 0; figure < kFigures; ++figure) {
      int64_t sum = 0;
      for (size_t m = 0; m < kMonomials; ++m) {
        sum += polynomials[figure][m] * monomials[m];
      }
      if (sum != figures[figure]) {
        return false;
      }
    }
    return true;
  }

  const ModuleTree& tree_;
  const Slot& slot_;
  const Precision precision_;
  const PassTable::FrameAt& frame_at_;
  const bool has_keys_;
  bool runs_ = false;
  int64_t launches_ = 0;
};

}  // namespace

PassWork::PassWork(size_t slots) : flops(slots), vector_flops(slots), bytes(slots), live_bytes(slots) {}

bool RunsIn(const ModuleTree& tree, const Slot& slot, const Frame& frame) {
  const NodeSpec& leaf = tree.nodes[static_cast<size_t>(slot.node)].spec;
  return leaf.runs == nullptr || leaf.runs(frame);
}

Cost CostOfSlot(const ModuleTree& tree, const Slot& slot, const Frame& frame, Precision precision) {
  Cost cost = CostOf(slot.leaf_operator->at(frame), precision);
  const FrameSet set = tree.nodes[static_cast<size_t>(slot.node)].frames;
  for (int i = slot.node; i >= 0 && tree.nodes[static_cast<size_t>(i)].frames == set;
       i = tree.nodes[static_cast<size_t>(i)].parent) {
    if (const Dims& held = tree.nodes[static_cast<size_t>(i)].spec.held; !held.empty()) {
      cost.live_bytes += Product(frame, held) * ElementBytes(precision);
    }
  }
  return cost;
}

PassTable::PassTable(const ModuleTree& tree, const std::vector<Slot>& slots, Precision precision,
                     const FrameAt& frame_at, bool has_keys)
    : slots_(slots.size()), launches_(slots.size()), calls_(slots.size()) {
  Columns* const figures[kFigures] = {&flops_, &vector_flops_, &bytes_, &live_bytes_};
  for (size_t i = 0; i < slots.size(); ++i) {
    const Fit fit(tree, slots[i], precision, frame_at, has_keys);
    const std::optional<Polynomials> polynomials = fit.Run();
    if (!polynomials) {
      free_slots_.push_back({i, fit.DependsOnRowsAlone()});
      continue;
    }
    launches_[i] = static_cast<double>(fit.launches());
    calls_[i] = fit.runs() ? static_cast<double>(tree.nodes[static_cast<size_t>(slots[i].node)].instances) : 0;
    for (size_t figure = 0; figure < kFigures; ++figure) {
      for (size_t monomial = 0; monomial < kMonomials; ++monomial) {
        const int64_t coefficient = (*polynomials)[figure][monomial];
        if (coefficient == 0) {
          continue;
        }
        auto column = std::find_if(figures[figure]->begin(), figures[figure]->end(),
                                   [&](const Column& c) { return c.monomial == monomial; });
        if (column == figures[figure]->end()) {
          column = figures[figure]->insert(column, {monomial, std::vector<double>(slots.size())});
        }
        column->coefficients[i] = static_cast<double>(coefficient);
      }
    }
  }
}

bool PassTable::WorkOf(const Frame& frame, PassWork* work) const {
  const Monomials monomials = MonomialsOf(frame);
  const auto multiply = [&](const Columns& columns, std::vector<double>& out) {
    std::fill(out.begin(), out.end(), 0);
    double largest = 0;
    for (const Column& column : columns) {
      const double monomial = monomials[column.monomial];
      for (size_t i = 0; i < slots_; ++i) {
        out[i] += column.coefficients[i] * monomial;
      }
    }
    for (size_t i = 0; i < slots_; ++i) {
      largest = out[i] > largest ? out[i] : largest;
    }
    return largest < kExactLimit;
  };
  const bool flops = multiply(flops_, work->flops);
  const bool vector_flops = multiply(vector_flops_, work->vector_flops);
  const bool bytes = multiply(bytes_, work->bytes);
  const bool live_bytes = multiply(live_bytes_, work->live_bytes);
  return flops && vector_flops && bytes && live_bytes;
}

}  // namespace dsocr::analytic
