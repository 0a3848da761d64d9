#include "analytic/op/sampling.h"

namespace dsocr::analytic {
namespace {

constexpr int64_t kLogitBytes = 4;
constexpr int64_t kTokenBytes = 8;
constexpr int64_t kSampleLaunches = 3;  // cast, arg-max, copy to the host

}  // namespace

Cost CostOf(const Sampling& op, Precision precision) {
  const int64_t logits = op.rows * op.vocabulary;
  Cost cost;
  cost.vector_flops = logits + op.rows * op.context;
  cost.read_bytes = logits * (ElementBytes(precision) + kLogitBytes) + op.rows * op.context * kTokenBytes;
  cost.write_bytes = logits * kLogitBytes + op.rows * kTokenBytes;
  const int64_t element = ElementBytes(precision);
  cost.live_bytes = logits * (element < kLogitBytes ? element + kLogitBytes : kLogitBytes);  // fp32 is not cast
  cost.launches = kSampleLaunches;
  return cost;
}

}  // namespace dsocr::analytic
