#include "analytic/op/elementwise.h"

#include <cmath>

namespace dsocr::analytic {
namespace {

constexpr int64_t kRopeFlops = 3;
// q and k, each: two halves negated and joined, two products, one sum.
constexpr int64_t kRopeLaunches = 10;
// x sigmoid(1.702 x) as three operators.
constexpr int64_t kQuickGeluLaunches = 3;

int64_t FlopsPerElement(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::kGelu:
      return 8;
    case ActivationKind::kQuickGelu:
      return 6;
    case ActivationKind::kSilu:
      return 5;
  }
  return 0;
}

Cost Pointwise(int64_t read, int64_t written, int64_t flops, Precision precision) {
  const int64_t element = ElementBytes(precision);
  Cost cost;
  cost.vector_flops = flops;
  cost.read_bytes = read * element;
  cost.write_bytes = written * element;
  cost.live_bytes = (read + written) * element;
  return cost;
}

// Pieces run one after the other, and what each works on is gone when the next one begins.
int64_t OfOnePiece(int64_t bytes, double pieces) { return std::llround(static_cast<double>(bytes) / pieces); }

int64_t WholePieces(double pieces) { return std::llround(std::ceil(pieces)); }

}  // namespace

Cost CostOf(const Elementwise& op, Precision precision) {
  Cost cost = Pointwise(op.read, op.written, op.written * op.flops_per_element, precision);
  cost.live_bytes = OfOnePiece((op.read + (op.is_in_place ? 0 : op.written)) * ElementBytes(precision), op.pieces) +
                    (ElementBytes(precision) < kFp32Bytes ? op.widened_bytes : 0);
  cost.pieces = op.pieces;
  cost.launches = WholePieces(op.pieces);
  return cost;
}

Cost CostOf(const Copy& op, Precision precision) { return Pointwise(op.read, op.written, 0, precision); }

Cost CostOf(const Activation& op, Precision precision) {
  Cost cost = Pointwise(op.elements, op.elements, op.elements * FlopsPerElement(op.kind), precision);
  const int64_t copies = op.kind == ActivationKind::kQuickGelu ? 2 : 1;
  cost.live_bytes = OfOnePiece(copies * op.elements * ElementBytes(precision), op.pieces);
  cost.pieces = op.pieces;
  cost.launches = op.kind == ActivationKind::kQuickGelu ? kQuickGeluLaunches : WholePieces(op.pieces);
  return cost;
}

Cost CostOf(const Rope& op, Precision precision) {
  const int64_t elements = op.sequences * op.tokens * op.heads * op.head_dim;
  const int64_t table = 2 * op.tokens * op.head_dim;
  Cost cost = Pointwise(elements + table, elements, elements * kRopeFlops, precision);
  cost.live_bytes = 2 * elements * ElementBytes(precision);  // the table belongs to the model
  cost.launches = kRopeLaunches;
  return cost;
}

Cost CostOf(const Softmax& op, Precision precision) {
  const int64_t elements = op.rows * op.width;
  Cost cost = Pointwise(elements, 0, elements * kSoftmaxFlops, precision);
  cost.write_bytes = elements * kFp32Bytes;
  cost.live_bytes += cost.write_bytes;
  return cost;
}

}  // namespace dsocr::analytic
