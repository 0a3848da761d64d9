// What the files of this folder share.
#ifndef DSOCR_DAEMON_REPORT_PARTS_H_
#define DSOCR_DAEMON_REPORT_PARTS_H_

#include "analytic/prediction.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::report {

v1::Bound BoundOf(analytic::Bound bound);

// The one list of categories, for every report.
void AddOperatorCategories(v1::AnalyticModelReport* report);

}  // namespace dsocr::report

#endif  // DSOCR_DAEMON_REPORT_PARTS_H_
