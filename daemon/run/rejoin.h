// `--profile-run-id`: the measurement of an earlier run, joined to a new prediction of the same request.
#ifndef DSOCR_DAEMON_RUN_REJOIN_H_
#define DSOCR_DAEMON_RUN_REJOIN_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/report/report.h"
#include "daemon/store/store.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::run {

// The report of a run, with its measurement. NOT_FOUND: no such run; FAILED_PRECONDITION: it measured nothing.
absl::StatusOr<v1::AnalyticModelReport> MeasuredReportOf(const std::string& run_id, store::Store* store);

// INVALID_ARGUMENT, naming both, unless the measured request is the predicted one: same model and workload.
absl::Status CheckComparable(const report::ReportInput& input, const v1::AnalyticModelReport& measured);

// Moves what was measured over, and sets it against `report`'s own prediction.
// REQUIRES: both have the same modules (CheckComparable).
void JoinStored(const v1::AnalyticModelReport& measured, const std::string& run_id, v1::AnalyticModelReport* report);

}  // namespace dsocr::run

#endif  // DSOCR_DAEMON_RUN_REJOIN_H_
