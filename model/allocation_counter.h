// Counts the memory of CPU tensors, by standing in front of LibTorch's own allocator.
//
// Counted is every storage that ATen allocates for a CPU tensor, in the bytes it asks for. Not counted is what does not
// go through that allocator: weights (they are mapped, weights/random.h, or were allocated before), what a library
// takes from malloc itself (packed operands of a matrix product, stacks of threads), and what ATen rounds up to.
#ifndef DSOCR_MODEL_ALLOCATION_COUNTER_H_
#define DSOCR_MODEL_ALLOCATION_COUNTER_H_

#include <cstdint>

namespace dsocr::model {

// The one counter of the process. Any thread may allocate, free and read; one thread marks.
class AllocationCounter {
 public:
  // Puts the counter in front of the allocator, on the first call. It stays there: what it counted must be freed
  // through it. Call while no operator runs.
  static AllocationCounter& Install();

  virtual int64_t live_bytes() const = 0;  // allocated since Install and not freed
  virtual int64_t peak_bytes() const = 0;  // the most that was live at once since the last mark
  virtual void Mark() = 0;                 // peak_bytes() starts again from live_bytes()

 protected:
  ~AllocationCounter() = default;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_ALLOCATION_COUNTER_H_
