// Tornado order: which knob moves the total most when each alone is halved and doubled.
#ifndef DSOCR_ANALYTIC_WHAT_IF_TORNADO_H_
#define DSOCR_ANALYTIC_WHAT_IF_TORNADO_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/what_if/what_if.h"

namespace dsocr::analytic {

// Every knob is divided and multiplied by it. Two: the step in which devices, batches and contexts really come, and the
// smallest by which a batch of one can grow.
inline constexpr double kTornadoFactor = 2;

// One knob's value and the total time with it.
struct TornadoEnd {
  double value = 0;
  double total_time_ns = 0;
};

struct TornadoBar {
  KnobId knob = KnobId::kBatchScale;
  double value = 0;               // in the scenario
  std::optional<TornadoEnd> low;  // halved; absent where the model cannot take that (half a request)
  std::optional<TornadoEnd> high;
  double swing_ns = 0;  // the largest total less the smallest, the scenario's own included
};

// Bars of all knobs that have an order and a value in `scenario`, the largest swing first, equal ones in the order of
// the list. Sizes in pixels are rounded up to whole patches, a sequence is never cut below its image, and a page grows
// on both sides. Parallel degrees are doubled, and halved where they are even; with them, the link. Errors are Price's
// of `scenario` itself.
absl::StatusOr<std::vector<TornadoBar>> Tornado(WhatIf& what_if, const Scenario& scenario);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_WHAT_IF_TORNADO_H_
