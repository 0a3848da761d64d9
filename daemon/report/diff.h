// Two reports side by side: which modules and operators moved, and how much of the difference each of them is.
#ifndef DSOCR_DAEMON_REPORT_DIFF_H_
#define DSOCR_DAEMON_REPORT_DIFF_H_

#include "dsocr/v1/diff.pb.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::report {

// `b` against `a`, measured where both are, else predicted. Modules are joined by id; one that a report lacks took 0
// there. Each counts with its own time, so that modules, idle, unattributed and side-by-side time add up to the
// difference of the totals, and operators with the same three do, to the nanosecond. Pure function.
//
// REQUIRES: both reports are valid (proto/document.h, Validate).
v1::DiffReportsResponse DiffReports(const v1::AnalyticModelReport& a, const v1::AnalyticModelReport& b);

}  // namespace dsocr::report

#endif  // DSOCR_DAEMON_REPORT_DIFF_H_
