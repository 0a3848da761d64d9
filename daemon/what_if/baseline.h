// From a report to what a what-if starts from: the model, workload and device that it was made with.
#ifndef DSOCR_DAEMON_WHAT_IF_BASELINE_H_
#define DSOCR_DAEMON_WHAT_IF_BASELINE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/what_if/what_if.h"
#include "daemon/store/store.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::what_if {

struct ReportBaseline {
  analytic::WhatIf what_if;
  analytic::ScenarioPrice price;   // of the report's own request
  std::vector<std::string> notes;  // in what the baseline is not the report, and why
};

// `report` holds a summary of its model: the configuration is read from model.config_path where that is there, and is
// else the published one. The calibration comes from `store`; without it, the report's own leaves correct the datasheet
// and a note says how far that leads from the report's total. FLOPs are the report's, always.
//
// INVALID_ARGUMENT for a report without a prediction and for one whose FLOPs another configuration must have made,
// NOT_FOUND for a model or a device that is not in the catalogue. Thread-safe.
absl::StatusOr<ReportBaseline> BaselineOf(const v1::AnalyticModelReport& report, store::Store* store);

}  // namespace dsocr::what_if

#endif  // DSOCR_DAEMON_WHAT_IF_BASELINE_H_
