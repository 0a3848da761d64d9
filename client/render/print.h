// One result in the format that -o asks for.
#ifndef DSOCR_CLIENT_RENDER_PRINT_H_
#define DSOCR_CLIENT_RENDER_PRINT_H_

#include <string>
#include <string_view>

#include "client/render/table.h"
#include "client/session.h"
#include "dsocr/v1/report.pb.h"
#include "google/protobuf/message.h"

namespace dsocr::client {

// json and yaml: `message` as a document; table, csv and markdown: `table`.
void Print(Session& session, const google::protobuf::Message& message, const Table& table);

// The report as its document (json, yaml), as the tables of report_table.h (table, markdown), or as a row a module
// (csv).
std::string RenderReport(const v1::AnalyticModelReport& report, std::string_view output, bool has_color);
void PrintReport(Session& session, const v1::AnalyticModelReport& report);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_RENDER_PRINT_H_
