#include "daemon/attach/operator_alignment.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace dsocr::attach {
namespace {

constexpr double kSure = 0.75;

// The neighbouring places [begin, end) that have a module in common.
struct Extent {
  size_t begin = 0;
  size_t end = 0;
};

class Aligner {
 public:
  Aligner(const std::vector<int>& operators, const std::vector<AlignmentPlace>& places,
          const std::vector<std::vector<double>>& fits)
      : operators_(operators),
        places_(places),
        fits_(fits),
        forward_(operators.size() * places.size()),
        extents_(places.size()) {
    MeasureExtents();
  }

  std::vector<AlignedOperator> Run(AlignmentEnd end) {
    std::vector<AlignedOperator> aligned(operators_.size());
    for (size_t row = 0; row < operators_.size(); ++row) {
      Forward(row);
    }
    // Weights of all ways from a place of this row to the end, this row's operator not included.
    std::vector<double> after(places_.size());
    double skipped = 1;
    for (size_t place = places_.size(); place-- > 0;) {
      after[place] = end == AlignmentEnd::kCut ? 1 : (1 - places_[place].stay) * skipped;
      skipped *= places_[place].skip;
    }
    std::vector<double> share(places_.size() + 1);  // of the places before
    for (size_t row = operators_.size(); row-- > 0;) {
      for (size_t place = 0; place < places_.size(); ++place) {
        share[place + 1] = share[place] + forward_[Cell(row, place)] * after[place];
      }
      aligned[row] = Judge(share);
      Backward(row, &after);
    }
    return aligned;
  }

 private:
  size_t Cell(size_t row, size_t place) const { return row * places_.size() + place; }
  double Fit(size_t row, size_t place) const {
    return fits_[static_cast<size_t>(places_[place].kind)][static_cast<size_t>(operators_[row])];
  }

  void MeasureExtents() {
    const auto agree = [this](size_t place, size_t other, size_t depth) {
      const std::vector<int>& a = places_[place].modules;
      const std::vector<int>& b = places_[other].modules;
      return b.size() >= depth && std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(depth), b.begin());
    };
    for (size_t place = 0; place < places_.size(); ++place) {
      const size_t depths = places_[place].modules.size();
      for (size_t depth = 1; depth <= depths; ++depth) {
        if (place > 0 && agree(place, place - 1, depth)) {
          extents_[place].push_back(extents_[place - 1][depth - 1]);
          continue;
        }
        size_t end = place + 1;
        while (end < places_.size() && agree(place, end, depth)) {
          ++end;
        }
        extents_[place].push_back({place, end});
      }
    }
  }

  // Rows are kept relative to their sum: only shares matter.
  static void Normalise(double* row, size_t size) {
    const double sum = std::accumulate(row, row + size, 0.0);
    std::for_each(row, row + size,
                  [&](double& value) { value = sum > 0 ? value / sum : 1.0 / static_cast<double>(size); });
  }

  void Forward(size_t row) {
    double arriving = row == 0 ? 1 : 0;
    for (size_t place = 0; place < places_.size(); ++place) {
      const AlignmentPlace& here = places_[place];
      const double before = row == 0 ? 0 : forward_[Cell(row - 1, place)];
      forward_[Cell(row, place)] = Fit(row, place) * (before * here.stay + arriving);
      arriving = arriving * here.skip + before * (1 - here.stay);
    }
    Normalise(&forward_[Cell(row, 0)], places_.size());
  }

  // `after`: of this row on entry, of the row above afterwards.
  void Backward(size_t row, std::vector<double>* after) const {
    double leaving = 0;  // to any place behind
    for (size_t place = places_.size(); place-- > 0;) {
      const AlignmentPlace& here = places_[place];
      const double taken = Fit(row, place) * (*after)[place];
      (*after)[place] = here.stay * taken + (1 - here.stay) * leaving;
      leaving = taken + here.skip * leaving;
    }
    Normalise(after->data(), after->size());
  }

  // The median place, which cannot go backwards from one row to the next; of its modules, the innermost sure one.
  AlignedOperator Judge(const std::vector<double>& share) const {
    const double all = share.back();
    AlignedOperator judged;
    if (!(all > 0)) {
      return judged;
    }
    const auto median = std::upper_bound(share.begin() + 1, share.end() - 1, all / 2);
    judged.place = static_cast<int>(median - share.begin()) - 1;
    const std::vector<Extent>& extents = extents_[static_cast<size_t>(judged.place)];
    for (size_t depth = extents.size(); depth > 0; --depth) {
      const double sure = (share[extents[depth - 1].end] - share[extents[depth - 1].begin]) / all;
      if (sure >= kSure) {
        judged.depth = static_cast<int>(depth);
        judged.confidence = std::min(sure, 1.0);
        break;
      }
    }
    return judged;
  }

  const std::vector<int>& operators_;
  const std::vector<AlignmentPlace>& places_;
  const std::vector<std::vector<double>>& fits_;
  std::vector<double> forward_;
  std::vector<std::vector<Extent>> extents_;  // [place][depth - 1]
};

}  // namespace

std::vector<AlignedOperator> AlignOperators(const std::vector<int>& operators,
                                            const std::vector<AlignmentPlace>& places,
                                            const std::vector<std::vector<double>>& fits, AlignmentEnd end) {
  if (operators.empty() || places.empty() || operators.size() > kMaxAlignedCells / places.size()) {
    return std::vector<AlignedOperator>(operators.size());
  }
  return Aligner(operators, places, fits).Run(end);
}

}  // namespace dsocr::attach
