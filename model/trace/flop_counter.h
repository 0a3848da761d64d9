// Counts the FLOPs of what this thread runs through LibTorch, by range and by operator.
//
// FLOPs are those of matrix products and convolutions, two for a multiply-add, in the convention of
// torch.utils.flop_counter: aten::mm, addmm, bmm, baddbmm and convolution, wherever they are called from. On the meta
// device attention decomposes into two aten::bmm, as in an eager PyTorch model.
#ifndef DSOCR_MODEL_TRACE_FLOP_COUNTER_H_
#define DSOCR_MODEL_TRACE_FLOP_COUNTER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/ranges.h"

namespace dsocr::model {

struct RangeFlops {
  std::map<std::string, int64_t> flops;  // by operator, "aten::addmm"
  int64_t activations = 0;               // elements that these operators wrote

  int64_t total() const;
};

// By the id of the innermost open range; "" where none was open.
using FlopCounts = std::map<std::string, RangeFlops>;

// Counts from its construction to its destruction. One a thread at a time; REQUIRES: no range is open at either moment.
class FlopCounter final : public RangeObserver {
 public:
  FlopCounter();
  ~FlopCounter() override;
  FlopCounter(const FlopCounter&) = delete;
  FlopCounter& operator=(const FlopCounter&) = delete;

  const FlopCounts& counts() const { return counts_; }

  void Enter(const RangeName& name) override { open_.push_back(&name); }
  void Leave() override { open_.pop_back(); }
  // An operator whose every output element sums `depth` products.
  void Add(const char* name, int64_t elements, int64_t depth);

 private:
  FlopCounts counts_;
  std::vector<const RangeName*> open_;
  uint64_t callback_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_TRACE_FLOP_COUNTER_H_
