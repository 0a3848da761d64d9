// Whether a device is as fast as it can be: a matrix product and a stream copy, always the same ones, timed now and
// then between other work. A neighbour's arithmetic and a lower clock slow the first down, a neighbour's traffic the
// second.
#ifndef DSOCR_MODEL_CALIBRATE_SPEED_PROBE_H_
#define DSOCR_MODEL_CALIBRATE_SPEED_PROBE_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <optional>
#include <vector>

namespace dsocr::model {

// Nanoseconds of one call.
struct Speed {
  double gemm_ns = 0;
  double copy_ns = 0;
};

// Holds its operands: 70 MB on a CPU, 0.6 GB on a GPU. Not thread-safe.
class SpeedProbe {
 public:
  explicit SpeedProbe(at::Device device);

  Speed Measure();  // medians of five calls, some 0.1 s on a CPU

 private:
  const at::Device device_;
  at::Tensor a_, b_, product_;
  at::Tensor from_, to_;
};

// How fast a CPU is around requests: its neighbours decide that. Nothing on a GPU.
class Surroundings {
 public:
  explicit Surroundings(at::Device device);

  // As it is now; the last answer while that is young, so that asking costs a tenth of the time at most.
  std::optional<Speed> Now();

 private:
  std::optional<SpeedProbe> probe_;
  std::optional<Speed> last_;
  double stale_at_s_ = 0;
};

// The probes around stretches of other work: stretch i lies between the probes i and i + 1.
class SpeedLog {
 public:
  void Add(const Speed& speed) { probes_.push_back(speed); }

  // REQUIRES of all below: a probe.
  size_t stretch() const { return probes_.size() - 1; }  // the one that goes on
  // The slower of the two probes, or of the one that there is so far, over the median of all.
  double Slowdown(size_t stretch) const;
  Speed Median() const;  // of each by itself

 private:
  std::vector<Speed> probes_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_CALIBRATE_SPEED_PROBE_H_
