#include <algorithm>
#include <cmath>
#include <utility>

#include "analytic/device/device.h"
#include "analytic/operator_time.h"
#include "fmt/format.h"

namespace dsocr::analytic {

absl::StatusOr<Device> Calibrate(const Device& datasheet, Precision precision,
                                 const std::vector<CalibrationPoint>& points, std::string calibration_id) {
  Device device = datasheet;
  device.calibration_id = std::move(calibration_id);
  device.curves = {};
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
    const Cost cost = {.flops = point.flops,
                       .vector_flops = point.vector_flops,
                       .read_bytes = point.io_bytes,
                       .launches = point.launches};
    const double predicted_ns = DatasheetTime(cost, *category, precision, datasheet).ns;
    device.curves[static_cast<size_t>(*category)].push_back(CurvePoint{
        .log2_flops = std::log2(static_cast<double>(point.flops) + static_cast<double>(point.vector_flops) + 1),
        .log2_bytes = std::log2(static_cast<double>(point.io_bytes) + 1),
        .log2_ratio = std::log2(point.time_ns / predicted_ns)});
    device.measured_flops_per_s =
        std::max(device.measured_flops_per_s, static_cast<double>(point.flops) * 1e9 / point.time_ns);
  }
  return device;
}

}  // namespace dsocr::analytic
