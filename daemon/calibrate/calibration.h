// A calibration: what operators cost on this very device, as `dsocr-runner calibrate` measured it
// (docs/runner-protocol.md).
#ifndef DSOCR_DAEMON_CALIBRATE_CALIBRATION_H_
#define DSOCR_DAEMON_CALIBRATE_CALIBRATION_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/device/device.h"
#include "daemon/calibrate/routing.h"
#include "daemon/store/store.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::calibrate {

// What the runner's probes of a device took: a matrix product and a copy, always the same ones.
struct ProbeTimes {
  double gemm_ns = 0;
  double copy_ns = 0;
};

// What a GPU's host took: to launch an operator, and from a kernel's end that it waited for to the next one's start,
// less that launch.
struct HostTimes {
  double launch_ns = 0;
  double wait_ns = 0;
};

struct Calibration {
  v1::DeviceInfo device;
  std::string dtype;                      // fp32, bf16
  std::string torch_version;              // empty in older documents
  std::optional<double> discarded_share;  // of samples: another took part of the device; nullopt in older documents
  std::optional<ProbeTimes> probe;        // medians; nullopt in older documents
  std::optional<HostTimes> host;          // of a GPU; nullopt in older documents
  std::vector<analytic::CalibrationPoint> points;
  std::optional<RecordedRouting> routing;  // of the newest run that was added and had one
};

// A device as it was measured, what probes took meanwhile, and how tokens picked experts there, which is for the model
// (UseRouting).
struct Calibrated {
  analytic::Device device;
  std::optional<RecordedRouting> routing = {};
  std::optional<ProbeTimes> probe = {};
};

inline constexpr size_t kMaxCalibrationBytes = 4 << 20;  // some 20'000 points; the runner writes a few hundred

// INVALID_ARGUMENT, naming path and value, for anything but the document of the protocol: the runner is another
// process, a file is another person's.
absl::StatusOr<Calibration> ParseCalibration(std::string_view json);

// The device as `request` wants it: "none" is the datasheet; an id or an absolute file is that calibration; empty is
// the newest in the store for `key`, else the datasheet. NOT_FOUND for an unknown id or file; INVALID_ARGUMENT for a
// calibration of another dtype. `calibration_id` of the device is empty where none was applied.
absl::StatusOr<Calibrated> ApplyCalibration(const analytic::Device& datasheet, const std::string& request,
                                            const store::CalibrationKey& key, store::Store* store);

// What `dsocr-runner calibrate` printed, checked and kept. Returns its id.
absl::StatusOr<std::string> KeepCalibration(const std::string& json, const store::CalibrationKey& key,
                                            store::Store* store);

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_CALIBRATION_H_
