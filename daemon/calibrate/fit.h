// `dsocrctl calibrate fit` and `eval`: a measured table in, a calibration or its errors out.
//
// Pure functions but for the time that they take; safe from any thread.
#ifndef DSOCR_DAEMON_CALIBRATE_FIT_H_
#define DSOCR_DAEMON_CALIBRATE_FIT_H_

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "dsocr/v1/validation.pb.h"

namespace dsocr::calibrate {

struct FittedTable {
  v1::CalibrationSummary summary;
  std::string calibration;  // WriteLawFile
  std::string split;        // WriteSplit; empty unless it was asked for
};

// `table`: the uploaded file; request.table is not looked at. Errors are INVALID_ARGUMENT, naming the file and what is
// wrong in it, NOT_FOUND for a profile that the catalogue does not have, and CANCELLED.
absl::StatusOr<FittedTable> FitTable(const v1::FitCalibrationRequest& request, std::string_view table,
                                     std::string_view tool_version, const std::function<bool()>& is_cancelled);

struct UploadedFiles {
  std::string table;
  std::string calibration;
  std::string split;
};

// As FitTable; FAILED_PRECONDITION for a calibration of other laws than today's, unless request.allow_stale: then its
// rows are fitted anew.
absl::StatusOr<v1::EvalCalibrationResponse> EvalTable(const v1::EvalCalibrationRequest& request,
                                                      const UploadedFiles& files,
                                                      const std::function<bool()>& is_cancelled);

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_FIT_H_
