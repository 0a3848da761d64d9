#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "client/command/commands.h"
#include "client/command/request.h"
#include "client/command/upload.h"
#include "client/render/diff_table.h"
#include "client/render/print.h"
#include "client/session.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

// A report of the store by its id, or the text of a file.
absl::StatusOr<std::string> ReadSource(Session& session, const std::string& argument, v1::DiffSource* source) {
  if (!NamesFile(session.io(), argument)) {
    source->set_report_id(argument);
    return std::string();
  }
  const std::string path = AbsolutePath(session.io(), argument);
  source->set_file_name(std::filesystem::path(path).filename().string());
  return ReadFile("report", path, document::kMaxBytes);
}

absl::StatusOr<int> Diff(Session& session) {
  v1::DiffReportsRequest request;
  const std::vector<std::string>& arguments = session.line().arguments;
  DSOCR_ASSIGN_OR_RETURN(const std::string a, ReadSource(session, arguments[0], request.mutable_a()));
  DSOCR_ASSIGN_OR_RETURN(const std::string b, ReadSource(session, arguments[1], request.mutable_b()));
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  v1::DiffReportsResponse diff;
  const std::unique_ptr<grpc::ClientContext> context = daemon->NewContext();
  const auto writer = daemon->analytic().DiffReports(context.get(), &diff);
  using Request = v1::DiffReportsRequest;
  [[maybe_unused]] const bool is_taken =  // where it is not, the status says why
      SendPieces(std::move(request), a, writer.get(),
                 [](Request* message, std::string piece) { message->set_a_data(std::move(piece)); }) &&
      SendPieces(Request(), b, writer.get(),
                 [](Request* message, std::string piece) { message->set_b_data(std::move(piece)); });
  writer->WritesDone();
  DSOCR_RETURN_IF_ERROR(daemon->Translate(writer->Finish()));
  if (session.output() == "table") {
    session.Out(DiffText(diff, session.out_has_color()));
  } else if (session.output() == "markdown") {
    session.Out(DiffMarkdown(diff));
  } else {
    Print(session, diff, DiffTable(diff));
  }
  return kExitDone;
}

}  // namespace

Command DiffCommand() {
  return {.name = "diff",
          .arguments = "A B",
          .summary = "which modules and operators moved between two reports, and how much of the total each is",
          .examples =
              "  dsocrctl diff r-1842 latest             measured times where both have them, else predicted\n"
              "  dsocrctl diff before.json after.json    reports as files\n",
          .min_arguments = 2,
          .max_arguments = 2,
          .outputs = kAllOutputs,
          .run = Diff};
}

}  // namespace dsocr::client
