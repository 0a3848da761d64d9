#include "client/render/print.h"

#include "client/render/report_table.h"
#include "proto/document.h"

namespace dsocr::client {

void Print(Session& session, const google::protobuf::Message& message, const Table& table) {
  session.Out(session.output() == "json"       ? document::ToJson(message)
              : session.output() == "yaml"     ? document::ToYaml(message)
              : session.output() == "csv"      ? TableCsv(table)
              : session.output() == "markdown" ? TableMarkdown(table)
                                               : TableText(table, session.out_has_color()));
}

std::string RenderReport(const v1::AnalyticModelReport& report, std::string_view output, bool has_color) {
  return output == "json"       ? document::ToJson(report)
         : output == "yaml"     ? document::ToYaml(report)
         : output == "csv"      ? TableCsv(ModuleTable(report))
         : output == "markdown" ? ReportMarkdown(report)
                                : ReportText(report, has_color);
}

void PrintReport(Session& session, const v1::AnalyticModelReport& report) {
  session.Out(RenderReport(report, session.output(), session.out_has_color()));
}

}  // namespace dsocr::client
