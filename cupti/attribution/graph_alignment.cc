#include "cupti/attribution/graph_alignment.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "cupti/attribution/operator_category.h"

namespace dsocr::attribution {
namespace {

// Each step becomes as many slots as it is expected to launch operations. A path through the grid of nodes (rows) and
// slots (columns) is an alignment; its weight is the product of its moves' weights, here as logarithms:
//
//   into (row, column) from   (row - 1, column - 1)   the node takes the slot
//                             (row, column - 1)       nothing takes the slot
//                             (row - 1, column)       the node is one more of the slot's step, or of none
//
// The best path says which step a node belongs to; the sum over all paths (forward x backward) says how sure that is.
constexpr float kFits = 0;
constexpr float kResembles = -1.5F;  // a category that is not the step's own: between two steps, it is the other's
constexpr float kUnknown = -1.5F;    // `other` contradicts nothing
// More than kForeign + kEmpty: a kernel of another name than expected keeps its place. Less than kEmpty + kExtra: where
// its neighbour expects it, it is one more of that, and nothing takes this place.
constexpr float kMisfit = -5.25F;
constexpr float kExtra = -1.5F;
constexpr float kForeign = -3;
constexpr float kFewer = -1;
constexpr float kEmpty = -2.5F;

// What a place is worth where nobody doubts it.
constexpr double kTrustInUnknown = 0.5;
constexpr double kTrustInMisfit = 0.1;

constexpr float kNever = -std::numeric_limits<float>::infinity();

constexpr size_t kMaxSlots = 16'384;
constexpr int kMaxSlotsOfStep = 64;
// 32 MiB of floats. A larger grid is looked at in a band around the line from its first to its last corner: alignments
// that stray further from proportional progress (255 slots at 16,384 nodes) are not found.
constexpr size_t kMaxCells = size_t{1} << 23;

enum class Fit : uint8_t { kNone, kKin, kOwn };

enum class Move : uint8_t { kNone, kTake, kSkip, kExtra, kForeign };

float LogSum(float a, float b) {
  const float larger = std::max(a, b);
  const float smaller = std::min(a, b);
  constexpr float kNegligible = -20;
  return smaller == kNever || smaller - larger < kNegligible ? larger : larger + std::log1p(std::exp(smaller - larger));
}

struct Slot {
  int step = 0;
  float skip = kEmpty;
};

std::vector<Slot> MakeSlots(const std::vector<AlignmentStep>& steps) {
  const auto wanted = [](const AlignmentStep& step) {
    return static_cast<size_t>(std::clamp(step.operations, 1, kMaxSlotsOfStep));
  };
  size_t total = 0;
  for (const AlignmentStep& step : steps) {
    total += wanted(step);
  }
  std::vector<Slot> slots;
  for (size_t s = 0; s < steps.size(); ++s) {
    const size_t share = total <= kMaxSlots ? wanted(steps[s]) : wanted(steps[s]) * kMaxSlots / total;
    slots.push_back({static_cast<int>(s), kEmpty});
    for (size_t i = 1; i < share; ++i) {
      slots.push_back({static_cast<int>(s), kFewer});
    }
  }
  return slots;
}

class Aligner {
 public:
  Aligner(const std::vector<int>& nodes, const std::vector<AlignmentStep>& steps)
      : nodes_(nodes),
        steps_(steps),
        slots_(MakeSlots(steps)),
        width_(std::min(slots_.size() + 1, std::max<size_t>(kMaxCells / (nodes.size() + 1), 2))),
        forward_((nodes.size() + 1) * width_, kNever),
        moves_(forward_.size(), Move::kNone),
        fits_(kCategoryCount * steps.size()) {
    for (size_t s = 0; s < steps.size(); ++s) {
      for (size_t category = 0; category < kCategoryCount; ++category) {
        const std::vector<int>& accepted = steps[s].categories;
        const auto place = std::find(accepted.begin(), accepted.end(), static_cast<int>(category));
        const auto index = static_cast<size_t>(place - accepted.begin());
        fits_[s * kCategoryCount + category] = accepted.empty()                  ? Fit::kOwn
                                               : place == accepted.end()         ? Fit::kNone
                                               : index < steps[s].own_categories ? Fit::kOwn
                                                                                 : Fit::kKin;
      }
    }
  }

  std::vector<AlignedNode> Run() {
    Forward();
    std::vector<AlignedNode> aligned = BestPath();
    Backward(&aligned);
    return aligned;
  }

 private:
  size_t rows() const { return nodes_.size() + 1; }
  // The first column of a row's band; the last row's band ends in the last column.
  size_t First(size_t row) const { return row * (slots_.size() + 1 - width_) / nodes_.size(); }
  bool IsInside(size_t row, size_t column) const { return column >= First(row) && column < First(row) + width_; }
  size_t Cell(size_t row, size_t column) const { return row * width_ + column - First(row); }

  bool IsUnknown(size_t node) const {
    return nodes_[node] < 0 || nodes_[node] >= static_cast<int>(kCategoryCount) || nodes_[node] == kOtherCategory;
  }
  Fit FitOf(size_t node, int step) const {
    const size_t row = static_cast<size_t>(step) * kCategoryCount;
    if (IsUnknown(node)) {
      return steps_[static_cast<size_t>(step)].categories.empty() ? Fit::kOwn : Fit::kNone;
    }
    return fits_[row + static_cast<size_t>(nodes_[node])];
  }
  bool Fits(size_t node, int step) const { return FitOf(node, step) != Fit::kNone; }
  float Take(size_t node, int step) const {
    const Fit fit = FitOf(node, step);
    return fit == Fit::kOwn ? kFits : fit == Fit::kKin ? kResembles : IsUnknown(node) ? kUnknown : kMisfit;
  }
  float Extra(size_t node, int step) const {
    const Fit fit = FitOf(node, step);
    return fit == Fit::kOwn ? kExtra : fit == Fit::kKin ? kExtra + kResembles : kNever;
  }

  // Each row is kept relative to its largest sum, or the digits of a float would not last for a long graph.
  void Forward() {
    std::vector<float> best(width_, kNever);
    std::vector<float> best_above(width_, kNever);
    for (size_t row = 0; row < rows(); ++row) {
      std::swap(best, best_above);
      std::fill(best.begin(), best.end(), kNever);
      const size_t first = First(row);
      for (size_t column = first; column < first + width_; ++column) {
        float sum = row == 0 && column == 0 ? 0 : kNever;
        float& most = best[column - first] = sum;
        Move& move = moves_[Cell(row, column)];
        const auto consider = [&](Move candidate, float sum_before, float best_before, float weight) {
          sum = LogSum(sum, sum_before + weight);
          if (best_before + weight > most) {
            most = best_before + weight;
            move = candidate;
          }
        };
        if (row > 0 && column > 0 && IsInside(row - 1, column - 1)) {
          consider(Move::kTake, forward_[Cell(row - 1, column - 1)], best_above[column - 1 - First(row - 1)],
                   Take(row - 1, slots_[column - 1].step));
        }
        if (column > first) {
          consider(Move::kSkip, forward_[Cell(row, column - 1)], best[column - 1 - first], slots_[column - 1].skip);
        }
        if (row > 0 && IsInside(row - 1, column)) {
          const float sum_above = forward_[Cell(row - 1, column)];
          const float best_before = best_above[column - First(row - 1)];
          consider(Move::kForeign, sum_above, best_before, kForeign);
          if (column > 0) {
            consider(Move::kExtra, sum_above, best_before, Extra(row - 1, slots_[column - 1].step));
          }
        }
        forward_[Cell(row, column)] = sum;
      }
      Normalise(&forward_[Cell(row, first)]);
      Normalise(best.data());
    }
  }

  void Normalise(float* row) const {
    const float most = *std::max_element(row, row + width_);
    if (most != kNever) {
      std::for_each(row, row + width_, [most](float& value) { value -= most; });
    }
  }

  std::vector<AlignedNode> BestPath() const {
    std::vector<AlignedNode> aligned(nodes_.size());
    size_t row = nodes_.size();
    size_t column = slots_.size();
    while (row > 0 || column > 0) {
      const Move move = moves_[Cell(row, column)];
      if (move == Move::kTake || move == Move::kExtra) {
        aligned[row - 1].step = slots_[column - 1].step;
      }
      if (move == Move::kNone) {
        break;
      }
      column -= move == Move::kTake || move == Move::kSkip ? 1 : 0;
      row -= move == Move::kSkip ? 0 : 1;
    }
    return aligned;
  }

  // Confidence: of all weight that passes from a node's row to the next, the share that puts it into its step.
  void Backward(std::vector<AlignedNode>* aligned) const {
    std::vector<float> below(width_, kNever);  // sums from a cell of the row below to the end
    std::vector<float> here(width_, kNever);
    for (size_t row = rows(); row-- > 0;) {
      const size_t first = First(row);
      float in_step = kNever;
      float everywhere = kNever;
      for (size_t column = first + width_; column-- > first;) {
        float sum = row == nodes_.size() && column == slots_.size() ? 0 : kNever;
        if (column + 1 < first + width_) {
          sum = LogSum(sum, here[column + 1 - first] + slots_[column].skip);
        }
        if (row < nodes_.size()) {
          const float before = forward_[Cell(row, column)];
          const int step = (*aligned)[row].step;
          const auto consider = [&](size_t next_column, float weight, int next_step) {
            const float rest = below[next_column - First(row + 1)] + weight;
            sum = LogSum(sum, rest);
            everywhere = LogSum(everywhere, before + rest);
            in_step = next_step == step ? LogSum(in_step, before + rest) : in_step;
          };
          if (column < slots_.size() && IsInside(row + 1, column + 1)) {
            consider(column + 1, Take(row, slots_[column].step), slots_[column].step);
          }
          if (IsInside(row + 1, column)) {
            consider(column, kForeign, -1);
            if (column > 0) {
              consider(column, Extra(row, slots_[column - 1].step), slots_[column - 1].step);
            }
          }
        }
        here[column - first] = sum;
      }
      if (row < nodes_.size() && (*aligned)[row].step >= 0 && everywhere != kNever) {
        const double share = std::exp(std::min(in_step - everywhere, 0.0F));
        (*aligned)[row].confidence = share * Trust(row, (*aligned)[row].step);
      }
      Normalise(here.data());
      std::swap(below, here);
      std::fill(here.begin(), here.end(), kNever);
    }
  }

  double Trust(size_t node, int step) const {
    return Fits(node, step) ? 1 : IsUnknown(node) ? kTrustInUnknown : kTrustInMisfit;
  }

  const std::vector<int>& nodes_;
  const std::vector<AlignmentStep>& steps_;
  const std::vector<Slot> slots_;
  const size_t width_;  // of the band: columns a row
  std::vector<float> forward_;
  std::vector<Move> moves_;
  std::vector<Fit> fits_;  // [step][category]
};

}  // namespace

std::vector<AlignedNode> AlignGraph(const std::vector<int>& node_categories, const std::vector<AlignmentStep>& steps) {
  if (node_categories.empty() || steps.empty() || node_categories.size() > kMaxAlignedNodes ||
      steps.size() > kMaxAlignedSteps) {
    return std::vector<AlignedNode>(node_categories.size());
  }
  return Aligner(node_categories, steps).Run();
}

}  // namespace dsocr::attribution
