#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "client/command/commands.h"
#include "client/command/request.h"
#include "client/command/upload.h"
#include "client/render/print.h"
#include "client/session.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

absl::StatusOr<v1::CheckReportResponse> Upload(Daemon& daemon, std::string file_name, std::string_view text,
                                               bool allow_unknown) {
  v1::CheckReportResponse response;
  const std::unique_ptr<grpc::ClientContext> context = daemon.NewContext();
  const auto writer = daemon.analytic().CheckReport(context.get(), &response);
  v1::CheckReportRequest request;
  request.set_file_name(std::move(file_name));
  request.set_allow_unknown(allow_unknown);
  SendInChunks(std::move(request), text, writer.get());
  DSOCR_RETURN_IF_ERROR(daemon.Translate(writer->Finish()));
  return response;
}

absl::StatusOr<int> Check(Session& session) {
  const std::string path = AbsolutePath(session.io(), session.line().arguments[0]);
  DSOCR_ASSIGN_OR_RETURN(const std::string text, ReadFile("report", path, document::kMaxBytes));
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  DSOCR_ASSIGN_OR_RETURN(
      const v1::CheckReportResponse response,
      Upload(*daemon, std::filesystem::path(path).filename().string(), text, session.line().Has("--allow-unknown")));
  if (session.output() == "table") {
    for (const v1::CheckProblem& problem : response.problems()) {
      session.Out(fmt::format("{}: {}: {}\n", problem.path(), problem.value(), problem.reason()));
    }
  } else {
    Table table;
    table.columns = {{"PATH", "path"}, {"VALUE", "value"}, {"REASON", "reason"}};
    for (const v1::CheckProblem& problem : response.problems()) {
      table.rows.push_back({Cell(problem.path()), Cell(problem.value()), Cell(problem.reason())});
    }
    Print(session, response, table);
  }
  return response.problems().empty() ? kExitDone : kExitUsage;
}

}  // namespace

Command CheckCommand() {
  return {.name = "check",
          .arguments = "FILE",
          .summary = "whether a report file is valid; prints every problem as 'path: value: reason', exit 2 if any",
          .examples =
              "  dsocrctl check report.json\n"
              "  dsocrctl check report.yaml --allow-unknown\n",
          .min_arguments = 1,
          .max_arguments = 1,
          .outputs = kAllOutputs,
          .flags = {{"--allow-unknown", ValueKind::kSwitch, "", "unknown keys are no problem"}},
          .run = Check};
}

}  // namespace dsocr::client
