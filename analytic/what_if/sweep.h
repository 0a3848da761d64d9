// Sweeps: KEY=A:B:STEP, and the grid of scenarios that one or more of them span.
#ifndef DSOCR_ANALYTIC_WHAT_IF_SWEEP_H_
#define DSOCR_ANALYTIC_WHAT_IF_SWEEP_H_

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/what_if/scenario.h"

namespace dsocr::analytic {

// Scenarios of a grid: what a screen, a file or a patient user can take; under four seconds to price.
inline constexpr int64_t kMaxScenarios = 1'000'000;

// The values first, first + step, … of one knob, up to the end that the text named, that one included.
struct Sweep {
  KnobId knob = KnobId::kBatchScale;
  double first = 0;
  double step = 0;
  int64_t count = 0;

  double At(int64_t i) const { return first + static_cast<double>(i) * step; }
};

// "seq_len=512:4096:512", also with dashes in the key; a STEP below zero counts down. INVALID_ARGUMENT names what is
// wrong: no such knob (suggests the nearest), a knob without an order (dtype, device_profile, page), a number that is
// none, a step that is zero or leads away from the end, over kMaxScenarios values.
absl::StatusOr<Sweep> ParseSweep(std::string_view text);

// The product of sweeps over one scenario, the last sweep running fastest. Values; At() is safe from any thread.
class SweepGrid {
 public:
  // INVALID_ARGUMENT for a knob that is swept twice, a first or last value that SetKnob refuses, and over kMaxScenarios
  // scenarios. No sweeps: `base` alone.
  static absl::StatusOr<SweepGrid> Make(const Scenario& base, std::vector<Sweep> sweeps);

  int64_t count() const { return count_; }
  // REQUIRES: 0 <= i < count(). Errors are SetKnob's: a fraction where whole numbers are wanted.
  absl::StatusOr<Scenario> At(int64_t i) const;

 private:
  SweepGrid(const Scenario& base, std::vector<Sweep> sweeps, int64_t count)
      : base_(base), sweeps_(std::move(sweeps)), count_(count) {}

  Scenario base_;
  std::vector<Sweep> sweeps_;
  int64_t count_;
};

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_WHAT_IF_SWEEP_H_
