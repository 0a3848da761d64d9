// What if the device, the request or the number format were another? The price of a scenario from a baseline, every
// module included, without a fresh report.
//
// A scenario's figures are those that Predict would give for the changed inputs, to the last bit: ChangedBaseline() is
// what to hand it. Only a scenario on several devices has no such report; docs/what-if.md has its model.
//
//   auto what_if = WhatIf::Create({model, workload, device});
//   Scenario scenario;
//   scenario.memory_bandwidth_gbs = 8000;
//   auto priced = what_if->Price(scenario);   // priced->total_time_ns, priced->modules[i].time_ns
//
// From a stored report: `model` is the configuration behind model.config_path (a report holds a summary of it alone),
// `workload` its OCRWorkloadProfile, `device` FindDevice(provenance.device.name) with the laws of
// provenance.calibration_id, if any (Calibrate). A report whose device or calibration is not at hand cannot be priced
// again exactly; the caller says so.
#ifndef DSOCR_ANALYTIC_WHAT_IF_WHAT_IF_H_
#define DSOCR_ANALYTIC_WHAT_IF_WHAT_IF_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "analytic/cost_model.h"
#include "analytic/device/device.h"
#include "analytic/model_spec.h"
#include "analytic/what_if/baseline.h"
#include "analytic/what_if/scenario.h"
#include "analytic/workload.h"

namespace dsocr::analytic {

// Totals over one request, all instances and calls, children included.
struct ModulePrice {
  double time_ns = 0;
  int64_t flops = 0;  // matmul and convolution
};

// Of one device.
struct MemoryPrice {
  int64_t weight_bytes = 0;
  int64_t activation_bytes = 0;  // the largest moment
  int64_t kv_cache_bytes = 0;    // as the runner allocates it

  int64_t total_bytes() const { return weight_bytes + activation_bytes + kv_cache_bytes; }
};

struct ScenarioPrice {
  double total_time_ns = 0;     // of the slowest device
  int64_t total_flops = 0;      // of the request, however many devices share it
  double communication_ns = 0;  // part of the total: waiting for other devices
  int64_t devices = 1;
  MemoryPrice memory;
  int64_t device_memory_bytes = 0;
  std::vector<ModulePrice> modules;  // index by index WhatIf::module_ids(); the root is first

  bool fits() const { return headroom_bytes() >= 0; }
  int64_t headroom_bytes() const { return device_memory_bytes - memory.total_bytes(); }  // negative: what is missing
};

// Prices scenarios of one baseline. It remembers the work of passes that it met, so an object belongs to one thread at
// a time; any number of objects may work side by side.
class WhatIf {
 public:
  // INVALID_ARGUMENT for what CheckModel or CheckWorkload refuses.
  static absl::StatusOr<WhatIf> Create(Baseline baseline);

  WhatIf(WhatIf&&) noexcept;
  WhatIf& operator=(WhatIf&&) noexcept;
  ~WhatIf();

  const Baseline& baseline() const;
  // Of the module tree, depth-first, root first: as Prediction::modules.
  const std::vector<std::string>& module_ids() const;

  // Overwrites `price`, whose vector is reused: no allocation after the first call. Errors as ChangedBaseline; `price`
  // is then unspecified.
  absl::Status Price(const Scenario& scenario, ScenarioPrice* price);
  absl::StatusOr<ScenarioPrice> Price(const Scenario& scenario);

  // How far the intervals of the total reach, of the scenario that was priced last; communication is taken as certain.
  // REQUIRES: Price gave OK.
  TimeSpread TotalSpread() const;

 private:
  struct Impl;
  explicit WhatIf(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_WHAT_IF_WHAT_IF_H_
