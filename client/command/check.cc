#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

#include "base/status.h"
#include "base/unique_fd.h"
#include "client/command/commands.h"
#include "client/render/print.h"
#include "client/session.h"
#include "fmt/format.h"

namespace dsocr::client {
namespace {

constexpr size_t kChunkBytes = 1 << 20;  // contracts section 4: at most 1 MiB

absl::Status FileError(const std::string& path, int error) {
  return absl::InvalidArgumentError(fmt::format("'{}': {}; give a report in JSON or YAML", path, std::strerror(error)));
}

absl::StatusOr<v1::CheckReportResponse> Upload(Daemon& daemon, const std::string& path, int fd, bool allow_unknown) {
  v1::CheckReportResponse response;
  const std::unique_ptr<grpc::ClientContext> context = daemon.NewContext();
  const auto writer = daemon.analytic().CheckReport(context.get(), &response);
  v1::CheckReportRequest request;
  request.set_file_name(std::filesystem::path(path).filename().string());
  request.set_allow_unknown(allow_unknown);
  std::string buffer(kChunkBytes, '\0');
  int read_error = 0;
  bool is_first = true;
  while (true) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      read_error = errno;
      context->TryCancel();
    }
    if (count <= 0 && !is_first) {
      break;
    }
    is_first = false;
    request.set_data(buffer.data(), static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (!writer->Write(request) || count <= 0) {
      break;  // the daemon has seen enough: its status says why
    }
    request.clear_file_name();
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (read_error != 0) {
    return FileError(path, read_error);
  }
  DSOCR_RETURN_IF_ERROR(daemon.Translate(status));
  return response;
}

absl::StatusOr<int> Execute(Session& session) {
  const std::string path = AbsolutePath(session.io(), session.line().arguments[0]);
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    return FileError(path, errno);
  }
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  DSOCR_ASSIGN_OR_RETURN(const v1::CheckReportResponse response,
                         Upload(*daemon, path, fd.get(), session.line().Has("--allow-unknown")));
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
          .run = Execute};
}

}  // namespace dsocr::client
