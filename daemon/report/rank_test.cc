#include "daemon/report/rank_test.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <numeric>

namespace dsocr::report {
namespace {

// 1 for the smallest; equal values share the mean of their ranks.
std::vector<double> MidRanks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t first = 0; first < order.size();) {
    size_t end = first + 1;
    while (end < order.size() && values[order[end]] == values[order[first]]) {
      ++end;
    }
    for (size_t i = first; i < end; ++i) {
      ranks[order[i]] = static_cast<double>(first + 1 + end) / 2;
    }
    first = end;
  }
  return ranks;
}

struct Ranking {
  double u = 0;     // pairs in which the value of `a` is the larger; a tie is half of one
  double ties = 0;  // sum of t^3 - t over groups of t equal values
};

Ranking Rank(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> values = a;
  values.insert(values.end(), b.begin(), b.end());
  const std::vector<double> ranks = MidRanks(values);
  const auto n = static_cast<double>(a.size());
  Ranking ranking;
  ranking.u = std::accumulate(ranks.begin(), ranks.begin() + static_cast<std::ptrdiff_t>(a.size()), -n * (n + 1) / 2);
  std::map<double, double> group_of_rank;
  for (const double rank : ranks) {
    ++group_of_rank[rank];
  }
  for (const auto& [rank, group] : group_of_rank) {
    ranking.ties += group * group * group - group;
  }
  return ranking;
}

// P(U <= u) where nothing differs: of all ways to draw n ranks of n + m, the share with at most so many larger pairs.
double ExactTail(double u, size_t n, size_t m) {
  // counts[i][k]: subsets of i of the ranks seen so far with U = k.
  std::vector<std::vector<double>> counts(n + 1, std::vector<double>(n * m + 1, 0.0));
  counts[0][0] = 1;
  for (size_t rank = 0; rank < n + m; ++rank) {
    for (size_t i = std::min(rank, n - 1) + 1; i-- > 0;) {
      const size_t larger = rank - i;  // values of the other side below this rank
      for (size_t k = 0; larger <= m && k + larger <= n * m; ++k) {
        counts[i + 1][k + larger] += counts[i][k];
      }
    }
  }
  double below = 0;
  double all = 0;
  for (size_t k = 0; k <= n * m; ++k) {
    all += counts[n][k];
    below += static_cast<double>(k) <= u ? counts[n][k] : 0;
  }
  return below / all;
}

}  // namespace

std::optional<double> MannWhitneyP(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() < 2 || b.size() < 2) {
    return std::nullopt;
  }
  const auto n = static_cast<double>(a.size());
  const auto m = static_cast<double>(b.size());
  const Ranking ranking = Rank(a, b);
  const double smaller_u = std::min(ranking.u, n * m - ranking.u);
  if (ranking.ties == 0 && std::max(a.size(), b.size()) <= kExactSize) {
    return std::min(1.0, 2 * ExactTail(smaller_u, a.size(), b.size()));
  }
  const double all = n + m;
  const double variance = n * m / 12 * (all + 1 - ranking.ties / (all * (all - 1)));
  const double distance = n * m / 2 - smaller_u - 0.5;
  return variance <= 0 || distance <= 0 ? 1.0 : std::min(1.0, std::erfc(distance / std::sqrt(2 * variance)));
}

}  // namespace dsocr::report
