// The points of a suite, timed within a budget, each while the device was as fast as it can be.
#ifndef DSOCR_MODEL_CALIBRATE_MEASURE_H_
#define DSOCR_MODEL_CALIBRATE_MEASURE_H_

#include <functional>
#include <string>
#include <vector>

#include "model/calibrate/bench.h"
#include "model/calibrate/clock.h"
#include "model/calibrate/speed_probe.h"

namespace dsocr::model {

struct MeasuredPoint {
  std::string category;
  std::string name;
  Work work;
  PointSize size;
  double time_ns = 0;  // median over the calls made while the device was quiet
};

struct Measurement {
  std::vector<MeasuredPoint> points;  // in the order of the suite
  Speed speed;                        // of the probes, where the device was quiet
  double discarded_share = 0;         // of samples: the device was slower than its best around them
};

// Visits the usual groups once for a single sample of each point, then for more, then all groups in order, again and
// again, until each point has enough samples or `budget_s` has passed: a short budget costs repeats and the last
// groups. In each visit a point's operands are made anew, a first call is not counted, and the operands are gone when
// the next group's turn comes.
//
// `probe` is asked first, last and every few seconds. A sample counts if both probes around it were as fast as the best
// quarter of them, within 3 %; one that does not is measured again in a later visit. Where the device never was quiet,
// a point has the samples of its least disturbed stretches.
//
// No call is started that would end after the budget, judged by its last duration or, the first time, by its work and
// the slowest rate seen in its category. Points that were never reached are left out. On CUDA a sample is a burst of
// calls ended by one synchronisation, divided by their number. Not thread-safe; uses the process's ATen threads.
Measurement Measure(const Suite& suite, Bench& bench, double budget_s, const Clock& clock,
                    const std::function<Speed()>& probe);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_CALIBRATE_MEASURE_H_
