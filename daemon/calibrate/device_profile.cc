#include "daemon/calibrate/device_profile.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/status.h"
#include "base/suggest.h"
#include "daemon/calibrate/machine.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::calibrate {
namespace {

constexpr double kTera = 1e12;
constexpr double kGiga = 1e9;
constexpr double kMega = 1e6;
constexpr double kMebi = 1 << 20;
constexpr double kNsPerMicrosecond = 1000;
// Of a profile that does not say: as the catalogue's GPUs have it (analytic/device/catalogue.cc).
constexpr double kUsualVectorShare = 1.0 / 16;
constexpr double kUsualTf32Share = 0.5;
constexpr double kUsualLaunchUs = 5;
constexpr double kUsualKernelUs = 2.5;
constexpr double kLargestFigure = 1e9;  // of any unit here; nothing overflows below it

absl::Status CheckFigure(std::string_view field, double value, bool may_be_zero) {
  const bool is_fine = (value > 0 || (may_be_zero && value == 0)) && value <= kLargestFigure;
  return is_fine ? absl::OkStatus()
                 : absl::InvalidArgumentError(fmt::format("{}: {}: not a number {} 0 and up to {}", field, value,
                                                          may_be_zero ? "from" : "above", kLargestFigure));
}

absl::StatusOr<analytic::Device> DeviceOf(const v1::DeviceProfile& profile) {
  if (profile.name().empty()) {
    return absl::InvalidArgumentError("name: it is missing; give the device one");
  }
  if (profile.has_kind() && profile.kind() != "cuda" && profile.kind() != "cpu") {
    return absl::InvalidArgumentError(fmt::format("kind: '{}': not one of cuda, cpu", profile.kind()));
  }
  const double bf16 = profile.peak_bf16_tflops();
  const double fp32 = profile.has_peak_fp32_tflops() ? profile.peak_fp32_tflops() : bf16 * kUsualVectorShare;
  const double tf32 = profile.has_peak_tf32_tflops() ? profile.peak_tf32_tflops() : bf16 * kUsualTf32Share;
  const double vector = profile.has_peak_vector_tflops() ? profile.peak_vector_tflops() : fp32;
  const double launch_us = profile.has_launch_us() ? profile.launch_us() : kUsualLaunchUs;
  const double kernel_us = profile.has_min_kernel_us() ? profile.min_kernel_us() : kUsualKernelUs;
  DSOCR_RETURN_IF_ERROR(CheckFigure("peak_bf16_tflops", bf16, false));
  DSOCR_RETURN_IF_ERROR(CheckFigure("memory_bandwidth_gbs", profile.memory_bandwidth_gbs(), false));
  DSOCR_RETURN_IF_ERROR(CheckFigure("peak_fp32_tflops", fp32, false));
  DSOCR_RETURN_IF_ERROR(CheckFigure("peak_tf32_tflops", tf32, false));
  DSOCR_RETURN_IF_ERROR(CheckFigure("peak_vector_tflops", vector, false));
  DSOCR_RETURN_IF_ERROR(CheckFigure("memory_gb", profile.memory_gb(), true));
  DSOCR_RETURN_IF_ERROR(CheckFigure("launch_us", launch_us, true));
  DSOCR_RETURN_IF_ERROR(CheckFigure("min_kernel_us", kernel_us, true));
  DSOCR_RETURN_IF_ERROR(CheckFigure("compute_capability", static_cast<double>(profile.compute_capability()), true));
  DSOCR_RETURN_IF_ERROR(CheckFigure("sm_count", static_cast<double>(profile.sm_count()), true));
  DSOCR_RETURN_IF_ERROR(CheckFigure("tensor_clock_mhz", profile.tensor_clock_mhz(), true));
  DSOCR_RETURN_IF_ERROR(CheckFigure("boost_clock_mhz", profile.boost_clock_mhz(), true));
  DSOCR_RETURN_IF_ERROR(CheckFigure("l2_mib", profile.l2_mib(), true));
  analytic::Device device;
  device.name = profile.name();
  device.kind = profile.kind() == "cpu" ? analytic::DeviceKind::kCpu : analytic::DeviceKind::kCuda;
  device.matrix_bf16_flops_per_s = bf16 * kTera;
  device.matrix_fp32_flops_per_s = fp32 * kTera;
  device.matrix_tf32_flops_per_s = tf32 * kTera;
  device.vector_flops_per_s = vector * kTera;
  device.memory_bytes_per_s = profile.memory_bandwidth_gbs() * kGiga;
  device.memory_bytes = static_cast<int64_t>(profile.memory_gb() * kGiga);
  device.launch_ns = launch_us * kNsPerMicrosecond;
  device.min_kernel_ns = kernel_us * kNsPerMicrosecond;
  device.compute_capability = static_cast<int>(profile.compute_capability());
  device.sm_count = profile.sm_count();
  device.tensor_clock_hz = profile.tensor_clock_mhz() * kMega;
  device.boost_clock_hz = profile.boost_clock_mhz() * kMega;
  device.l2_bytes = static_cast<int64_t>(profile.l2_mib() * kMebi);
  if (device.sm_count > 0 && device.tensor_clock_hz > 0) {
    device.matrix_flops_per_clock =
        device.matrix_bf16_flops_per_s / (static_cast<double>(device.sm_count) * device.tensor_clock_hz);
  }
  device.source = profile.has_source() ? profile.source() : "a device profile";
  return device;
}

}  // namespace

std::string_view OriginName(ProfileOrigin origin) {
  switch (origin) {
    case ProfileOrigin::kCatalogue:
      return "catalogue";
    case ProfileOrigin::kFile:
      return "file";
    case ProfileOrigin::kEstimated:
      return "estimated";
  }
  return "";
}

std::optional<analytic::Device> FindByAnyName(std::string_view name) {
  v1::DeviceInfo info;
  info.set_kind("cuda");
  info.set_name(std::string(name));
  const absl::StatusOr<analytic::Device> device = DatasheetOf(info);
  return device.ok() ? std::optional(*device) : std::nullopt;
}

absl::StatusOr<std::optional<DeviceProfile>> ChosenProfile(const v1::ProfileChoice& choice) {
  if (!choice.file_name().empty() || !choice.data().empty()) {
    v1::DeviceProfile profile;
    absl::Status status =
        document::ParsePartial(choice.data(), document::FormatOfFileName(choice.file_name()), &profile);
    if (status.ok()) {
      const absl::StatusOr<analytic::Device> device = DeviceOf(profile);
      if (device.ok()) {
        return DeviceProfile{*device, ProfileOrigin::kFile};
      }
      status = device.status();
    }
    return absl::InvalidArgumentError(
        fmt::format("device profile '{}': {}", choice.file_name(), std::string(status.message())));
  }
  if (choice.name().empty()) {
    return std::nullopt;
  }
  if (std::optional<analytic::Device> device = FindByAnyName(choice.name())) {
    return DeviceProfile{*std::move(device), ProfileOrigin::kCatalogue};
  }
  return analytic::FindDevice(choice.name()).status();
}

}  // namespace dsocr::calibrate
