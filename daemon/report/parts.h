// What the files of this folder share.
#ifndef DSOCR_DAEMON_REPORT_PARTS_H_
#define DSOCR_DAEMON_REPORT_PARTS_H_

#include <vector>

#include "analytic/prediction.h"
#include "cupti/attribution/attribution.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::report {

// What was measured of each module, in the order of the tree; null: it never ran. The sums stay `request`'s.
std::vector<const attribution::ModuleSum*> SumsInTreeOrder(const attribution::RequestSum& request,
                                                           const analytic::Prediction& prediction);

v1::Bound BoundOf(analytic::Bound bound);

// The one list of categories, for every report.
void AddOperatorCategories(v1::AnalyticModelReport* report);

}  // namespace dsocr::report

#endif  // DSOCR_DAEMON_REPORT_PARTS_H_
