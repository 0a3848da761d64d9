// The face of the product: where the time of a request goes, predicted beside measured.
#ifndef DSOCR_CLIENT_RENDER_REPORT_TABLE_H_
#define DSOCR_CLIENT_RENDER_REPORT_TABLE_H_

#include <string>

#include "client/render/table.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::client {

// What was run, then three tables whose rows add up to their last one (stages, top modules, operator categories), then
// why measured and predicted differ and how much of the measured time has an owner. At most 100 columns. A report
// without a measurement shows predictions alone.
std::string ReportText(const v1::AnalyticModelReport& report, bool has_color);

std::string ReportMarkdown(const v1::AnalyticModelReport& report);

// A row a module in the order of modules[], with predicted and measured figures.
Table ModuleTable(const v1::AnalyticModelReport& report);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_RENDER_REPORT_TABLE_H_
