// What a measured report says about its device: points of a calibration, as those of the micro-suite are.
#ifndef DSOCR_DAEMON_CALIBRATE_RUN_POINTS_H_
#define DSOCR_DAEMON_CALIBRATE_RUN_POINTS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/device/device.h"
#include "daemon/calibrate/routing.h"
#include "daemon/store/store.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::calibrate {

struct RunPoint {
  std::string module_id;
  analytic::CalibrationPoint point;
};

// Operators of a recorded run.
struct RunPoints {
  std::string source;  // "run:r-1842"
  std::vector<RunPoint> points;
  std::optional<RecordedRouting> routing;
};

// A point for each leaf of the model and category of its operators: the work of a mean call, as the cost model counts
// it, or of one of its equal pieces where it has several (an expert's products), and the device time of the category
// over as many. Left out are leaves that were not measured, or were entered another number of times than predicted, and
// leaves whose calls differ by more than a tenth of their work (crops beside the whole page): their mean is no
// operator. Experts have as many pieces as were hit, where the report has their picks.
//
// FAILED_PRECONDITION, saying which, for a report without a measurement and for one of another device, dtype, driver or
// version than `key`, LibTorch's included where the store knows it; INVALID_ARGUMENT where its model is not known, or
// has not those experts.
absl::StatusOr<RunPoints> PointsOfRun(const v1::AnalyticModelReport& report, const store::CalibrationKey& key,
                                      store::Store* store);

// A calibration's document with the points behind its own, in place of those that it has of the same source, and with
// the routing, in place of any. It may have no points: a short budget on a busy machine. INVALID_ARGUMENT where there
// is no list of points; ParseCalibration checks the rest.
absl::StatusOr<std::string> WithPoints(const std::string& json, const RunPoints& recorded);

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_RUN_POINTS_H_
