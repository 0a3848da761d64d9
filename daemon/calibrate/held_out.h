// How far a calibration can be trusted: each of its points, predicted as if it had not been measured.
#ifndef DSOCR_DAEMON_CALIBRATE_HELD_OUT_H_
#define DSOCR_DAEMON_CALIBRATE_HELD_OUT_H_

#include <vector>

#include "absl/status/statusor.h"
#include "analytic/device/device.h"
#include "analytic/precision.h"
#include "dsocr/v1/validation.pb.h"

namespace dsocr::calibrate {

// A row a category, in the order of the category list: of the law that knows operators by their work. A point that was
// measured twice, as an operator of the suite and of a run, is one, and does not predict itself. Errors as
// analytic::Calibrate's.
absl::StatusOr<std::vector<v1::CategoryFit>> HeldOutErrors(const analytic::Device& datasheet,
                                                           analytic::Precision precision,
                                                           const std::vector<analytic::CalibrationPoint>& points);

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_HELD_OUT_H_
