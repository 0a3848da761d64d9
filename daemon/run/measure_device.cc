#include "daemon/run/measure_device.h"

#include <utility>

#include "base/status.h"
#include "daemon/calibrate/calibration.h"
#include "daemon/run/runner.h"
#include "fmt/format.h"

namespace dsocr::run {
namespace {

constexpr absl::Duration kLoadingLimit = absl::Seconds(75);  // of LibTorch, on a busy machine

}  // namespace

absl::StatusOr<std::string> MeasureDevice(const std::string& runner_path, const calibrate::Target& target,
                                          const store::CalibrationKey& key, absl::Duration budget,
                                          const StopSource& stop) {
  const Command command{.arguments = {runner_path, "calibrate", "--device", target.runner_device, "--dtype", key.dtype,
                                      "--budget", fmt::format("{}ms", absl::ToInt64Milliseconds(budget)), "-o", "json"},
                        .environment = {}};
  return Ask(command, budget + kLoadingLimit, stop);
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
