#include "daemon/calibrate/held_out.h"

#include <map>

#include "analytic/category.h"
#include "analytic/law/device_laws.h"
#include "base/status.h"

namespace dsocr::calibrate {

absl::StatusOr<std::vector<v1::CategoryFit>> HeldOutErrors(const analytic::Device& datasheet,
                                                           analytic::Precision precision,
                                                           const std::vector<analytic::CalibrationPoint>& points) {
  DSOCR_ASSIGN_OR_RETURN(const analytic::Device device, analytic::Calibrate(datasheet, precision, points, ""));
  std::map<analytic::CategoryId, int64_t> counts;
  for (const analytic::CalibrationPoint& point : points) {
    ++counts[*analytic::FindCategory(point.category_id)];
  }
  std::vector<v1::CategoryFit> fits;
  for (const auto& [category, count] : counts) {
    v1::CategoryFit& of_category = fits.emplace_back();
    of_category.set_category_id(std::string(analytic::CategoryName(category)));
    of_category.set_points(count);
    for (const analytic::LawFit& fit : device.laws->model.fits) {
      if (fit.law_class == analytic::WorkClass(category) && fit.scores[0] > 0) {
        of_category.mutable_held_out()->set_n(static_cast<int64_t>(fit.scores[0]));
        of_category.mutable_held_out()->set_mape(fit.scores[1]);
        of_category.mutable_held_out()->set_median_ape(fit.scores[2]);
      }
    }
  }
  return fits;
}

}  // namespace dsocr::calibrate
