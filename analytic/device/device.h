// A device as a value: what it can do in a second, and what a launch costs. Every number of the catalogue carries its source.
#ifndef DSOCR_ANALYTIC_DEVICE_DEVICE_H_
#define DSOCR_ANALYTIC_DEVICE_DEVICE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "analytic/workload.h"

namespace dsocr::analytic {

enum class DeviceKind { kCpu, kCuda };

// One measured operator: the work of a call and the time it took.
struct CalibrationPoint {
  std::string category_id;
  int64_t flops = 0;
  int64_t vector_flops = 0;
  int64_t io_bytes = 0;
  int64_t launches = 1;
  double time_ns = 0;
};

// Time of an operator category over its work, learnt from measured points; empty where a device is only known by its datasheet.
struct CategoryCurve {
  std::string category_id;
  std::vector<CalibrationPoint> points;  // sorted by work
};

struct Device {
  std::string name;
  DeviceKind kind = DeviceKind::kCuda;
  double matrix_bf16_flops_per_s = 0;
  double matrix_fp32_flops_per_s = 0;
  double vector_flops_per_s = 0;
  double memory_bytes_per_s = 0;
  int64_t memory_bytes = 0;
  double launch_ns = 0;      // host cost of one operator launch
  double min_kernel_ns = 0;  // no kernel is shorter
  std::string source;
  std::string calibration_id;  // empty: datasheet figures alone
  std::vector<CategoryCurve> curves;
};

// H200, H100, A100, L4, RTX 4090, RTX 5090 and a generic CPU.
const std::vector<Device>& DeviceCatalogue();
absl::StatusOr<Device> FindDevice(std::string_view name);  // NOT_FOUND suggests the nearest name

// A copy of `datasheet` with curves from measured points of one precision. INVALID_ARGUMENT if a point has no time or no category.
absl::StatusOr<Device> Calibrate(const Device& datasheet, const std::vector<CalibrationPoint>& points,
                                 std::string calibration_id);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_DEVICE_DEVICE_H_
