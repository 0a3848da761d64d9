#include "analytic/op/lookup.h"

#include <cmath>

namespace dsocr::analytic {
namespace {

constexpr int64_t kIndexBytes = 8;  // int64 ids

}  // namespace

Cost CostOf(const Gather& op, Precision precision) {
  const int64_t moved = op.rows * op.width * ElementBytes(precision);
  Cost cost;
  cost.read_bytes = moved + op.rows * kIndexBytes;
  cost.write_bytes = moved;
  cost.live_bytes = 2 * moved;
  cost.pieces = op.pieces;
  cost.launches = std::llround(std::ceil(op.pieces));
  return cost;
}

Cost CostOf(const ScatterAdd& op, Precision precision) {
  Cost cost = CostOf(Gather{op.rows, op.width, op.pieces}, precision);
  cost.vector_flops = op.rows * op.width;
  cost.read_bytes += cost.write_bytes;
  return cost;
}

}  // namespace dsocr::analytic
