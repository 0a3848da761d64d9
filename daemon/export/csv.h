// Reports as CSV for spreadsheets: RFC 4180, UTF-8, one header row, one row a module in tree order; an empty field
// where nothing is known.
#ifndef DSOCR_DAEMON_EXPORT_CSV_H_
#define DSOCR_DAEMON_EXPORT_CSV_H_

#include <string>

#include "dsocr/v1/report.pb.h"

namespace dsocr::exporter {

// Rows end in "\r\n". Pure; safe from any thread.
std::string ToCsv(const v1::AnalyticModelReport& report);

}  // namespace dsocr::exporter

#endif  // DSOCR_DAEMON_EXPORT_CSV_H_
