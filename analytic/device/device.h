// A device as a value: what it can do in a second, and what a launch costs. Every number of the catalogue carries its
// source.
#ifndef DSOCR_ANALYTIC_DEVICE_DEVICE_H_
#define DSOCR_ANALYTIC_DEVICE_DEVICE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/category.h"
#include "analytic/law/size.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

enum class DeviceKind { kCpu, kCuda };

// One measured operator: the work of a call, in the definitions of docs/cost-model.md, and the time it took.
struct CalibrationPoint {
  std::string category_id;
  int64_t flops = 0;
  int64_t vector_flops = 0;
  int64_t io_bytes = 0;
  int64_t launches = 1;
  int64_t contiguous = 0;  // of WorkSize
  double time_ns = 0;
  std::optional<OperatorSize> size;  // where the work does not say it all: of a matrix product, of attention
};

// From the return of a launch to the start of its kernel on an idle GPU. Of the driver and the bus: eager traces show
// 1.5 to 4 us, whatever the GPU.
inline constexpr double kQueueLatencyNs = 2000;

struct DeviceLaws;  // law/device_laws.h

struct Device {
  std::string name;
  DeviceKind kind = DeviceKind::kCuda;
  // Peaks, dense (no structured sparsity), with fp32 accumulation.
  double matrix_bf16_flops_per_s = 0;
  double matrix_fp32_flops_per_s = 0;
  double matrix_tf32_flops_per_s = 0;
  double vector_flops_per_s = 0;
  double memory_bytes_per_s = 0;
  int64_t memory_bytes = 0;
  double link_bytes_per_s = 0;  // to devices of its kind, each way
  double link_latency_ns = 0;   // of one step of a collective
  double launch_ns = 0;         // host cost of one operator
  double sync_ns = 0;           // of a GPU: from its last kernel's end to the next call of the host that waited for it
  double min_kernel_ns = 0;     // no operation on the device is shorter
  // Of a GPU, 0 where unknown: compute capability, 90 for 9.0, which stands for its generation; multiprocessors; bf16
  // FLOP that one does in a clock, and the clock at which the product of the three is the peak; the highest clock; the
  // cache that all of them share.
  int compute_capability = 0;
  int64_t sm_count = 0;
  double matrix_flops_per_clock = 0;
  double tensor_clock_hz = 0;
  double boost_clock_hz = 0;
  int64_t l2_bytes = 0;
  std::string source;
  // Learnt from measured operators; null where the device is known by its datasheet alone.
  std::shared_ptr<const DeviceLaws> laws;
  double measured_flops_per_s = 0;  // the fastest matrix product or convolution among those
  std::string calibration_id;       // empty: datasheet figures alone

  double matrix_flops_per_s(Precision precision) const {
    switch (precision) {
      case Precision::kFp32:
        return matrix_fp32_flops_per_s;
      case Precision::kTf32:
        return matrix_tf32_flops_per_s;
      default:
        return matrix_bf16_flops_per_s;  // weight-only formats compute in bf16
    }
  }
  // No prediction is faster: the peak, or what was measured above it (a catalogue CPU stands for a class of machines).
  double fastest_flops_per_s(Precision precision) const {
    return measured_flops_per_s > matrix_flops_per_s(precision) ? measured_flops_per_s : matrix_flops_per_s(precision);
  }
};

// H200, H100 (SXM, PCIe), A100 (40 and 80 GB), B200, L40S, L4, T4, RTX 4090, RTX 5090 and a generic CPU.
const std::vector<Device>& DeviceCatalogue();
absl::StatusOr<Device> FindDevice(std::string_view name);  // NOT_FOUND suggests the nearest name

// A copy of `datasheet` with laws from points measured in `precision`; predictions in another precision use the same
// laws. INVALID_ARGUMENT, naming the point, for a category that does not exist, a time that is not positive or work
// that is negative.
absl::StatusOr<Device> Calibrate(const Device& datasheet, Precision precision,
                                 const std::vector<CalibrationPoint>& points, std::string calibration_id);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_DEVICE_DEVICE_H_
