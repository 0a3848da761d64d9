#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "analytic/device/device.h"
#include "analytic/law/device_laws.h"
#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

// Nothing for a batch of products, which laws know by its work.
std::optional<OperatorSize> SizeOf(const PointSize& size) {
  const std::vector<int64_t>& v = size.values;
  if (size.kind == "gemm" && v.size() == 4 && v[3] == 1) {
    return GemmSize{v[0], v[1], v[2]};
  }
  if (size.kind == "attention" && v.size() == 7) {
    return AttentionSize{v[0], v[1], v[2], v[3], v[4], v[5], v[6] != 0 || (v[1] == 1 && v[2] > 1)};
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<Device> Calibrate(const Device& datasheet, Precision precision,
                                 const std::vector<CalibrationPoint>& points, std::string calibration_id) {
  Device device = datasheet;
  std::vector<Sample> samples;
  for (size_t i = 0; i < points.size(); ++i) {
    const CalibrationPoint& point = points[i];
    const std::optional<CategoryId> category = FindCategory(point.category_id);
    if (!category) {
      return absl::InvalidArgumentError(
          fmt::format("points[{}].category '{}': no such category; calibrate again", i, point.category_id));
    }
    if (!(point.time_ns > 0) || !std::isfinite(point.time_ns)) {
      return absl::InvalidArgumentError(
          fmt::format("points[{}].time_ns {}: not a positive time; calibrate again", i, point.time_ns));
    }
    if (std::min({point.flops, point.vector_flops, point.io_bytes, point.launches}) < 0) {
      return absl::InvalidArgumentError(fmt::format("points[{}]: negative work; calibrate again", i));
    }
    samples.push_back({WorkSize{*category, static_cast<double>(point.flops), static_cast<double>(point.vector_flops),
                                static_cast<double>(point.io_bytes), static_cast<double>(point.launches)},
                       precision, point.time_ns});
    if (std::optional<OperatorSize> size = SizeOf(point.size)) {
      samples.push_back({*std::move(size), precision, point.time_ns});
    }
    device.measured_flops_per_s =
        std::max(device.measured_flops_per_s, static_cast<double>(point.flops) * 1e9 / point.time_ns);
  }
  DSOCR_ASSIGN_OR_RETURN(LawModel model, FitLaws(device, std::move(samples)));
  return WithLaws(device, std::move(model), std::move(calibration_id));
}

}  // namespace dsocr::analytic
