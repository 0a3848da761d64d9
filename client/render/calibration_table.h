// What calibrations say of themselves: what was fitted or measured, and how far off predictions are.
#ifndef DSOCR_CLIENT_RENDER_CALIBRATION_TABLE_H_
#define DSOCR_CLIENT_RENDER_CALIBRATION_TABLE_H_

#include <string>

#include "client/render/table.h"
#include "dsocr/v1/validation.pb.h"

namespace dsocr::client {

// A line on what was fitted, then HeldOutTable.
std::string FitText(const v1::CalibrationSummary& summary, bool has_color);
// A row a class: errors of rows that were held out of the fit.
Table HeldOutTable(const v1::CalibrationSummary& summary);

// A line on who predicts what, then ScoreTable.
std::string EvalText(const v1::EvalCalibrationResponse& response, bool has_color);
// A row a class, an op's kinds below it: errors, intervals, and the mean errors of the baselines. A mean error that is
// the smallest of its row is good, one that a baseline undercuts poor.
Table ScoreTable(const v1::EvalCalibrationResponse& response);

// DeviceCalibrationTable, then a row a category: its points, and the errors of each, predicted from the others.
std::string DeviceCalibrationText(const v1::DeviceCalibration& calibration, bool has_color);
Table DeviceCalibrationTable(const v1::DeviceCalibration& calibration);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_RENDER_CALIBRATION_TABLE_H_
