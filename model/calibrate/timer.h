// What calls of an operator take of the device and, where that is a GPU, of its host.
#ifndef DSOCR_MODEL_CALIBRATE_TIMER_H_
#define DSOCR_MODEL_CALIBRATE_TIMER_H_

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <functional>
#include <memory>

#include "model/calibrate/bench.h"
#include "model/calibrate/clock.h"

namespace dsocr::model {

// Equal calls, one after another.
struct Burst {
  double wall_s = 0;  // until the device had done them, and what was needed to time them
  double call_s = 0;  // of the device, for one
  double host_s = 0;  // of the host, to start one; 0 on a CPU, which is both
};

using Timer = std::function<Burst(const Body&)>;

// One call, by the clock.
Timer CpuTimer(Clock clock);

// Times kernels as they follow each other when the host is ahead, which is how a model runs them where they are long,
// and in a CUDA graph always: the device is given other work first, long enough that the calls wait in its queue. Then
// two events lie around what the device took, and the clock around what the host did meanwhile. A call that waits for
// the device itself is timed with its waits. Not thread-safe.
class GpuTimer {
 public:
  explicit GpuTimer(at::Device device, Clock clock = SteadyClock());

  Burst Time(const Body& body);

  // From the end of a kernel that the host waits for to the start of the next one, without what launching that takes.
  double WaitSeconds();

 private:
  const at::Device device_;
  const Clock clock_;
  at::Tensor a_, b_, product_;  // of the other work
  c10::Stream stream_;
  c10::Event start_, end_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_CALIBRATE_TIMER_H_
