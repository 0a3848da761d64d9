#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "analytic/device/device.h"
#include "analytic/law/device_laws.h"
#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::analytic {
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
    if (std::min({point.flops, point.vector_flops, point.io_bytes, point.launches, point.contiguous}) < 0) {
      return absl::InvalidArgumentError(fmt::format("points[{}]: negative work; calibrate again", i));
    }
    const WorkSize work = {.category = *category,
                           .flops = static_cast<double>(point.flops),
                           .vector_flops = static_cast<double>(point.vector_flops),
                           .bytes = static_cast<double>(point.io_bytes),
                           .launches = static_cast<double>(point.launches),
                           .contiguous = static_cast<double>(point.contiguous)};
    samples.push_back({work, precision, point.time_ns});
    if (point.size) {
      samples.push_back({*point.size, precision, point.time_ns});
    }
    device.measured_flops_per_s =
        std::max(device.measured_flops_per_s, static_cast<double>(point.flops) * 1e9 / point.time_ns);
  }
  DSOCR_ASSIGN_OR_RETURN(LawModel model, FitLaws(device, std::move(samples)));
  return WithLaws(device, std::move(model), std::move(calibration_id));
}

}  // namespace dsocr::analytic
