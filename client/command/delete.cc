#include "base/status.h"
#include "client/command/commands.h"
#include "client/session.h"
#include "fmt/format.h"

namespace dsocr::client {
namespace {

absl::StatusOr<int> Delete(Session& session) {
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  v1::GetReportRequest request;
  request.set_report_id(session.line().arguments[0]);
  DSOCR_RETURN_IF_ERROR(daemon->Call(&v1::AnalyticService::Stub::DeleteReport, request).status());
  session.Say(fmt::format("dsocrctl: deleted report {}\n", request.report_id()));
  return kExitDone;
}

}  // namespace

Command DeleteCommand() {
  return {.name = "delete",
          .arguments = "ID",
          .summary = "delete a report from the store; its artifacts stay",
          .examples = "  dsocrctl delete r-1842\n",
          .min_arguments = 1,
          .max_arguments = 1,
          .run = Delete};
}

}  // namespace dsocr::client
