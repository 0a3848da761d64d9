#include "daemon/run/measure_device.h"

#include <utility>

#include "base/status.h"
#include "daemon/calibrate/calibration.h"
#include "daemon/run/runner.h"

namespace dsocr::run {
namespace {

constexpr absl::Duration kMeasuringLimit = absl::Seconds(90);  // leaves room for loading LibTorch

}  // namespace

absl::StatusOr<std::string> MeasureDevice(const std::string& runner_path, const calibrate::Target& target,
                                          const store::CalibrationKey& key, store::Store* store,
                                          const StopSource& stop) {
  const Command command{.arguments = {runner_path, "calibrate", "--device", target.runner_device, "--dtype", key.dtype,
                                      "--budget", std::string(kMeasuringBudget), "-o", "json"},
                        .environment = {}};
  DSOCR_ASSIGN_OR_RETURN(const std::string document, Ask(command, kMeasuringLimit, stop));
  return calibrate::KeepCalibration(document, key, store);
}

absl::StatusOr<std::optional<KeptCalibration>> KeepStale(const store::CalibrationKey& key, store::Store* store) {
  DSOCR_ASSIGN_OR_RETURN(const std::optional<store::StoredCalibration> current, store->FindCalibration(key));
  if (current) {
    return KeptCalibration{current->id, std::nullopt};
  }
  DSOCR_ASSIGN_OR_RETURN(const std::optional<store::StoredCalibration> stale, store->FindCalibrationOfAnyVersion(key));
  if (!stale) {
    return std::nullopt;
  }
  DSOCR_ASSIGN_OR_RETURN(std::string id, calibrate::KeepCalibration(stale->json, key, store));
  return KeptCalibration{std::move(id), stale->key};
}

}  // namespace dsocr::run
