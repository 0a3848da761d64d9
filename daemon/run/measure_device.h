// Measuring a device: dsocr-runner times the operators of the model on it.
#ifndef DSOCR_DAEMON_RUN_MEASURE_DEVICE_H_
#define DSOCR_DAEMON_RUN_MEASURE_DEVICE_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/calibrate/machine.h"
#include "daemon/run/stop_source.h"
#include "daemon/store/store.h"

namespace dsocr::run {

// "The first use of an uncalibrated device measures it for at most 15 s" (contracts section 5).
inline constexpr absl::Duration kFirstUseBudget = absl::Seconds(15);
// Of a measurement on request.
inline constexpr absl::Duration kCpuBudget = absl::Minutes(3);
inline constexpr absl::Duration kGpuBudget = absl::Minutes(10);
inline constexpr absl::Duration kMaxBudget = absl::Hours(1);

// The document of the runner, which ends within the budget. CANCELLED once stopped; else the runner's error. REQUIRES:
// a target that can be run on, alone: whoever else computes on it is measured, too.
absl::StatusOr<std::string> MeasureDevice(const std::string& runner_path, const calibrate::Target& target,
                                          const store::CalibrationKey& key, absl::Duration budget,
                                          const StopSource& stop);

struct KeptCalibration {
  std::string id;
  std::optional<store::CalibrationKey> made_for;  // where that is another key
};
// The newest calibration of the key's device and dtype; one that another driver or version made is kept anew, for
// `key`. nullopt if there is none.
absl::StatusOr<std::optional<KeptCalibration>> KeepStale(const store::CalibrationKey& key, store::Store* store);

}  // namespace dsocr::run

#endif  // DSOCR_DAEMON_RUN_MEASURE_DEVICE_H_
