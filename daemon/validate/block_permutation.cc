#include "daemon/validate/block_permutation.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>

#include "daemon/report/rank_test.h"

namespace dsocr::validate {
namespace {

// Rank sums of all series, block by block, so that an arrangement costs a sum over blocks.
struct BlockRanks {
  std::vector<std::vector<double>> sum;  // [block][series], of rank - mean rank
  std::vector<double> size;              // entries of a block
  double total_size = 0.0;

  // The mean rank of the second part less that of the first; the largest of all series where `all` is null.
  double Largest(const std::vector<size_t>& second, std::vector<double>* all) const {
    std::vector<double> sums(sum.front().size());
    double entries = 0;
    for (const size_t block : second) {
      entries += size[block];
      for (size_t k = 0; k < sums.size(); ++k) {
        sums[k] += sum[block][k];
      }
    }
    // Ranks less their mean add up to zero: the first part's sum is the second's, negated.
    const double scale = 1 / entries + 1 / (total_size - entries);
    double largest = -std::numeric_limits<double>::infinity();
    for (double& value : sums) {
      value *= scale;
      largest = std::max(largest, value);
    }
    if (all != nullptr) {
      *all = std::move(sums);
    }
    return largest;
  }
};

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

std::vector<double> LargestOfAll(const BlockRanks& ranks, size_t blocks, size_t in_second) {
  std::vector<double> largest;
  std::vector<size_t> chosen(in_second);
  std::iota(chosen.begin(), chosen.end(), size_t{0});
  do {
    largest.push_back(ranks.Largest(chosen, nullptr));
  } while (Advance(blocks, &chosen));
  return largest;
}

// Includes the arrangement that was observed, without which a p-value could be zero.
std::vector<double> LargestOfDrawn(const BlockRanks& ranks, size_t blocks, size_t in_second, int count,
                                   double observed) {
  std::vector<double> largest = {observed};
  std::vector<size_t> order(blocks);
  std::iota(order.begin(), order.end(), size_t{0});
  std::mt19937_64 random(1);
  for (int i = 0; i < count; ++i) {
    for (size_t j = 0; j < in_second; ++j) {  // as far as is needed of a shuffle; the same on every platform
      std::swap(order[j], order[j + random() % (blocks - j)]);
    }
    largest.push_back(ranks.Largest({order.begin(), order.begin() + static_cast<std::ptrdiff_t>(in_second)}, nullptr));
  }
  return largest;
}

}  // namespace

std::vector<double> RankPermutationTest(const std::vector<std::vector<double>>& series, const Blocks& blocks,
                                        int permutations) {
  if (series.empty()) {
    return {};
  }
  const auto& cut = blocks.extents;
  BlockRanks ranks;
  ranks.sum.assign(cut.size(), std::vector<double>(series.size()));
  ranks.total_size = static_cast<double>(blocks.length);
  for (const auto& [begin, end] : cut) {
    ranks.size.push_back(static_cast<double>(end - begin));
  }
  const double mean_rank = static_cast<double>(blocks.length + 1) / 2;
  for (size_t k = 0; k < series.size(); ++k) {
    const std::vector<double> of_entries = report::MidRanks(series[k]);
    for (size_t block = 0; block < cut.size(); ++block) {
      for (size_t i = cut[block].first; i < cut[block].second; ++i) {
        ranks.sum[block][k] += of_entries[i] - mean_rank;
      }
    }
  }

  std::vector<size_t> second(cut.size() - blocks.before_count);
  std::iota(second.begin(), second.end(), blocks.before_count);
  std::vector<double> observed;
  const double largest_observed = ranks.Largest(second, &observed);
  const bool is_exact = Choose(cut.size(), second.size(), permutations) <= permutations;
  std::vector<double> largest = is_exact
                                    ? LargestOfAll(ranks, cut.size(), second.size())
                                    : LargestOfDrawn(ranks, cut.size(), second.size(), permutations, largest_observed);
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
