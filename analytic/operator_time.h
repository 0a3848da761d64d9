// Time of one operator call on a device: the cost model proper. docs/cost-model.md has the formulas with their reasons.
#ifndef DSOCR_ANALYTIC_OPERATOR_TIME_H_
#define DSOCR_ANALYTIC_OPERATOR_TIME_H_

#include "analytic/category.h"
#include "analytic/device/device.h"
#include "analytic/op/cost.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

// What limits an operator: arithmetic, memory traffic, the shortest possible kernel, the host that starts it, the
// host's own work.
enum class Bound { kCompute, kMemory, kLatency, kLaunch, kHost };
inline constexpr int kBoundCount = 5;

struct OperatorTime {
  double ns = 0;
  Bound bound = Bound::kMemory;
};

// Roofline with launch cost and minimum kernel time, from the datasheet and flat efficiencies.
OperatorTime DatasheetTime(const Cost& cost, CategoryId category, Precision precision, const Device& device);

// DatasheetTime, corrected by the device's measured curve of the category where it has one. Deterministic; never faster
// than the device's peak.
OperatorTime TimeOf(const Cost& cost, CategoryId category, Precision precision, const Device& device);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_OPERATOR_TIME_H_
