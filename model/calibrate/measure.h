// The points of a suite, timed within a budget.
#ifndef DSOCR_MODEL_CALIBRATE_MEASURE_H_
#define DSOCR_MODEL_CALIBRATE_MEASURE_H_

#include <functional>
#include <string>
#include <vector>

#include "model/calibrate/bench.h"
#include "model/calibrate/clock.h"
#include "model/calibrate/speed_probe.h"
#include "model/calibrate/timer.h"

namespace dsocr::model {

struct MeasuredPoint {
  std::string category;
  std::string name;
  Work work;
  PointSize size;
  double time_ns = 0;  // of a call: the median of those that count, with the skew of all points
  double host_ns = 0;  // of the host, to start a call that a GPU does; median
};

struct Measurement {
  std::vector<MeasuredPoint> points;  // in the order of the suite
  Speed speed;                        // median of the probes
  double discarded_share = 0;         // of samples: the device was slower than its best around them
};

// Visits the usual groups once for a single sample of each point, then until each has a few, then all groups: next is
// always the one whose samples, for the time that they take, say most. In each visit a point's operands are made anew,
// a first call is not counted, and the operands are gone when the next group's turn comes. A point of whose median the
// standard error is a hundredth is done; all of them on a quiet machine before the budget has passed. A short budget
// costs repeats and the last groups.
//
// `probe` is asked first, last and every few seconds. A sample counts if neither probe around it took twice as long as
// most of them. Where none counts, all of a point's samples do.
//
// No call is started that would end after the budget, judged by its last duration or, the first time, by its work and
// the slowest rate seen in its category. Points that were never reached are left out. A sample is what `timer` makes of
// a point. Not thread-safe; uses the process's ATen threads.
Measurement Measure(const Suite& suite, Bench& bench, double budget_s, const Clock& clock, const Timer& timer,
                    const std::function<Speed()>& probe);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_CALIBRATE_MEASURE_H_
