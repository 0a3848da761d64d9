#include "analytic/op/lookup.h"

namespace dsocr::analytic {

Cost CostOf(const Gather& op, Precision precision) {
  const int64_t moved = op.rows * op.width * ElementBytes(precision);
  Cost cost;
  cost.read_bytes = moved + op.rows * kInt64Bytes;
  cost.write_bytes = moved;
  cost.live_bytes = (op.from_weights ? 1 : 2) * moved;
  return cost;
}

}  // namespace dsocr::analytic
