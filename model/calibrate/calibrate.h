// `dsocr-runner calibrate`: what the model's operators cost on this very device (docs/runner-protocol.md).
#ifndef DSOCR_MODEL_CALIBRATE_CALIBRATE_H_
#define DSOCR_MODEL_CALIBRATE_CALIBRATE_H_

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <chrono>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "model/calibrate/bench.h"
#include "model/device.h"

namespace dsocr::model {

// Seconds since any fixed moment; a test hands in its own.
using Clock = std::function<double()>;
Clock SteadyClock();

struct MeasuredPoint {
  std::string category;
  std::string name;
  Work work;
  PointSize size;
  double time_ns = 0;  // median over the calls made
};

// Measures the groups in rounds until `budget_s` has passed: the first round warms each point with a call that is not
// counted, and rounds go on while time and kMaxRounds allow, so a short budget costs repeats first and the last points
// next. No call is started that would end after the budget, judged by its last duration or, the first time, by its
// flops and the slowest rate seen. Points that were never reached are left out. On CUDA a sample is a burst of calls
// ended by one synchronisation, divided by their number. Not thread-safe; uses the process's ATen threads. Memory:
// under 2 GB for the published shapes in bf16, 4 GB in fp32.
std::vector<MeasuredPoint> Measure(const std::vector<Group>& groups, Bench& bench, double budget_s, const Clock& clock);

// The points of the published model, in an order such that the first ones already cover every category.
std::vector<Group> PublishedGroups(const Bench& bench);

// Prints the document of the protocol for PublishedGroups, measured within `budget_s` seconds. Returns the exit code 0.
// REQUIRES: `device` from OpenDevice, described by `info`; `dtype` is kFloat or kBFloat16.
int RunCalibrate(at::Device device, const DeviceInfo& info, at::ScalarType dtype, double budget_s, std::ostream& out);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_CALIBRATE_CALIBRATE_H_
