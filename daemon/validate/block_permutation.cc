#include "daemon/validate/block_permutation.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>

namespace dsocr::validate {
namespace {

// The block means of all series, each series centred and of unit length: a sum over the blocks of one part is then, but
// for a constant, the correlation of the series with the parts, and series of any noise can be compared.
struct StandardisedBlocks {
  std::vector<std::vector<double>> of_block;  // [block][series]

  // The largest sum of all series over the blocks of the second part; each of them in `all` unless that is null.
  double Largest(const std::vector<size_t>& second, std::vector<double>* all) const {
    std::vector<double> sums(of_block.front().size());
    for (const size_t block : second) {
      for (size_t k = 0; k < sums.size(); ++k) {
        sums[k] += of_block[block][k];
      }
    }
    const double largest = *std::max_element(sums.begin(), sums.end());
    if (all != nullptr) {
      *all = std::move(sums);
    }
    return largest;
  }
};

StandardisedBlocks Standardise(const std::vector<std::vector<double>>& series, const Blocks& blocks) {
  const auto& cut = blocks.extents;
  StandardisedBlocks standardised;
  standardised.of_block.assign(cut.size(), std::vector<double>(series.size()));
  for (size_t k = 0; k < series.size(); ++k) {
    std::vector<double> means;
    for (const auto& [begin, end] : cut) {
      const auto at = series[k].begin();
      means.push_back(
          std::accumulate(at + static_cast<std::ptrdiff_t>(begin), at + static_cast<std::ptrdiff_t>(end), 0.0) /
          static_cast<double>(end - begin));
    }
    const double level = std::accumulate(means.begin(), means.end(), 0.0) / static_cast<double>(means.size());
    double squares = 0;
    for (double& mean : means) {
      mean -= level;
      squares += mean * mean;
    }
    for (size_t block = 0; block < cut.size(); ++block) {
      standardised.of_block[block][k] = squares > 0 ? means[block] / std::sqrt(squares) : 0.0;
    }
  }
  return standardised;
}

// How many ways there are to choose k of n; `limit` + 1 for more than `limit`.
int64_t Choose(size_t n, size_t k, int64_t limit) {
  double ways = 1;
  for (size_t i = 1; i <= k; ++i) {
    ways = ways * static_cast<double>(n - k + i) / static_cast<double>(i);
    if (ways > static_cast<double>(limit)) {
      return limit + 1;
    }
  }
  return static_cast<int64_t>(ways + 0.5);
}

// The next combination in lexicographic order; false after the last.
bool Advance(size_t n, std::vector<size_t>* chosen) {
  for (size_t i = chosen->size(); i-- > 0;) {
    if ((*chosen)[i] < n - chosen->size() + i) {
      ++(*chosen)[i];
      for (size_t j = i + 1; j < chosen->size(); ++j) {
        (*chosen)[j] = (*chosen)[j - 1] + 1;
      }
      return true;
    }
  }
  return false;
}

std::vector<double> LargestOfAll(const StandardisedBlocks& standardised, size_t blocks, size_t in_second) {
  std::vector<double> largest;
  std::vector<size_t> chosen(in_second);
  std::iota(chosen.begin(), chosen.end(), size_t{0});
  do {
    largest.push_back(standardised.Largest(chosen, nullptr));
  } while (Advance(blocks, &chosen));
  return largest;
}

// Includes the arrangement that was observed, without which a p-value could be zero.
std::vector<double> LargestOfDrawn(const StandardisedBlocks& standardised, size_t blocks, size_t in_second, int count,
                                   double observed) {
  std::vector<double> largest = {observed};
  std::vector<size_t> order(blocks);
  std::iota(order.begin(), order.end(), size_t{0});
  std::mt19937_64 random(1);
  for (int i = 0; i < count; ++i) {
    for (size_t j = 0; j < in_second; ++j) {  // as far as is needed of a shuffle; the same on every platform
      std::swap(order[j], order[j + random() % (blocks - j)]);
    }
    largest.push_back(
        standardised.Largest({order.begin(), order.begin() + static_cast<std::ptrdiff_t>(in_second)}, nullptr));
  }
  return largest;
}

}  // namespace

std::vector<double> PermutationTest(const std::vector<std::vector<double>>& series, const Blocks& blocks,
                                    int permutations) {
  if (series.empty()) {
    return {};
  }
  const auto& cut = blocks.extents;
  const StandardisedBlocks standardised = Standardise(series, blocks);
  std::vector<size_t> second(cut.size() - blocks.before_count);
  std::iota(second.begin(), second.end(), blocks.before_count);
  std::vector<double> observed;
  const double largest_observed = standardised.Largest(second, &observed);
  const bool is_exact = Choose(cut.size(), second.size(), permutations) <= permutations;
  std::vector<double> largest =
      is_exact ? LargestOfAll(standardised, cut.size(), second.size())
               : LargestOfDrawn(standardised, cut.size(), second.size(), permutations, largest_observed);
  std::sort(largest.begin(), largest.end());

  constexpr double kRounding = 1e-9;  // sums in another order are not the same to the last bit
  std::vector<double> p_values;
  for (const double value : observed) {
    const auto at_least = largest.end() - std::lower_bound(largest.begin(), largest.end(), value - kRounding);
    p_values.push_back(static_cast<double>(at_least) / static_cast<double>(largest.size()));
  }
  return p_values;
}

}  // namespace dsocr::validate
