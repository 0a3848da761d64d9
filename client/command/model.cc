#include "base/status.h"
#include "client/command/commands.h"
#include "client/render/print.h"
#include "client/session.h"

namespace dsocr::client {
namespace {

absl::StatusOr<int> Model(Session& session) {
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  v1::GetReportRequest request;
  request.set_report_id(session.line().arguments[0]);
  DSOCR_ASSIGN_OR_RETURN(const v1::AnalyticModelReport report,
                         daemon->Call(&v1::AnalyticService::Stub::GetReport, request));
  PrintReport(session, report);
  return kExitDone;
}

}  // namespace

Command ModelCommand() {
  return {.name = "model",
          .arguments = "ID|latest",
          .summary = "the full report: every module, predicted and measured",
          .examples =
              "  dsocrctl model latest\n"
              "  dsocrctl model r-1842 -o json > report.json\n"
              "  dsocrctl model r-1842 -o csv                 a row a module\n",
          .min_arguments = 1,
          .max_arguments = 1,
          .outputs = kAllOutputs,
          .run = Model};
}

}  // namespace dsocr::client
