// What a what-if starts from, and what a scenario makes of it.
#ifndef DSOCR_ANALYTIC_WHAT_IF_BASELINE_H_
#define DSOCR_ANALYTIC_WHAT_IF_BASELINE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "analytic/device/device.h"
#include "analytic/model_spec.h"
#include "analytic/operator_time.h"
#include "analytic/step.h"
#include "analytic/what_if/scenario.h"
#include "analytic/workload.h"

namespace dsocr::analytic {

struct Baseline {
  ModelSpec model;
  Workload workload;  // the dtype is workload.precision
  Device device;
};

// The baseline with a scenario's changes, its devices apart: the inputs of a fresh report. INVALID_ARGUMENT, naming the
// knob, for a value that is not finite or not positive, a batch that is no whole number, and what CheckWorkload
// and CheckDevice refuse.
absl::StatusOr<Baseline> ChangedBaseline(const Baseline& baseline, const Scenario& scenario);

// --- The parts of it, for whoever prices many scenarios and copies no baseline. Errors as above.

// Everything about a scenario that is not its workload's sizes.
absl::Status CheckKnobs(const Scenario& scenario);

// Sets the workload's sizes to the scenario's, or back to the baseline's; its names and notes stay.
absl::Status SetSizes(const Workload& baseline, const Scenario& scenario, Workload* workload);

// What a device gives in one scenario.
struct DeviceRates {
  TimeRates time;
  HostCosts host;               // of a GPU
  double peak_ns_per_flop = 0;  // of the fastest matrix product that a law may predict
  const Device* device = nullptr;
  const DeviceLaws* laws = nullptr;
};

// Borrows the device.
absl::StatusOr<DeviceRates> RatesOf(const Device& device, const Workload& workload, const Scenario& scenario);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_WHAT_IF_BASELINE_H_
