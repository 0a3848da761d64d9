#include "analytic/op/moe.h"

#include <bit>
#include <cmath>

namespace dsocr::analytic {
namespace {

constexpr int64_t kDispatchLaunches = 5;  // flatten, sort, divide by k, count, copy to the host

constexpr int64_t kGatheredLaunches = 2;  // copy, product

}  // namespace

double ExpectedDistinctExperts(int64_t experts, int64_t k, int64_t tokens) {
  // A token misses an expert with at most e^(-k/E), so that beyond this the power is under half a unit in the last
  // place of 1.
  constexpr int64_t kAllHit = 40;
  if (k * tokens >= kAllHit * experts) {
    return static_cast<double>(experts);
  }
  const double miss = 1 - static_cast<double>(k) / static_cast<double>(experts);
  return static_cast<double>(experts) * (1 - std::pow(miss, static_cast<double>(tokens)));
}

Cost CostOf(const TopK& op, Precision) {
  Cost cost;
  cost.vector_flops = op.tokens * op.experts * op.k;
  cost.read_bytes = op.tokens * op.experts * kFp32Bytes;
  cost.write_bytes = op.tokens * op.k * (kFp32Bytes + kInt64Bytes);
  cost.live_bytes = cost.bytes();
  return cost;
}

Cost CostOf(const Dispatch& op, Precision) {
  const int64_t sort_steps =
      std::bit_width(static_cast<uint64_t>(op.pairs));  // comparisons of a merge sort for each pair
  Cost cost;
  cost.vector_flops = op.pairs * sort_steps;
  cost.read_bytes = 2 * op.pairs * kInt64Bytes;
  cost.write_bytes = (2 * op.pairs + op.experts) * kInt64Bytes;
  cost.live_bytes = cost.bytes();
  cost.launches = kDispatchLaunches;
  return cost;
}

Cost CostOf(const GroupedGemm& op, Precision precision) {
  const int64_t element = ElementBytes(precision);
  const int64_t weights = std::llround(op.groups * static_cast<double>(op.n) * static_cast<double>(op.k));
  Cost cost;
  cost.flops = 2 * op.rows * op.n * op.k;
  const int64_t copies = op.is_gathered ? 1 : 0;
  cost.read_bytes = op.rows * op.k * element + (1 + copies) * MatrixBytes(precision, weights);
  cost.write_bytes = op.rows * op.n * element + copies * MatrixBytes(precision, weights);
  cost.matmul_elements = op.rows * op.n;
  cost.live_bytes = op.live_elements * element + op.routing_bytes;
  cost.pieces = op.is_gathered ? 1 : op.groups;
  cost.launches = op.is_gathered ? kGatheredLaunches : std::llround(std::ceil(op.groups));
  return cost;
}

}  // namespace dsocr::analytic
