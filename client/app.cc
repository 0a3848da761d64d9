#include "client/app.h"

#include "absl/status/statusor.h"
#include "base/status.h"
#include "client/command_line.h"
#include "client/exit_code.h"
#include "client/help.h"
#include "client/session.h"
#include "client/version.h"
#include "fmt/format.h"

namespace dsocr::client {
namespace {

absl::StatusOr<int> Dispatch(const std::vector<std::string>& arguments, Io& io) {
  DSOCR_ASSIGN_OR_RETURN(const CommandLine line, ParseCommandLine(arguments));
  if (line.wants_version) {
    io.Out(fmt::format("dsocrctl {}\n", kVersion));
    return kExitDone;
  }
  if (line.wants_help || line.command == nullptr) {
    io.Out(line.command == nullptr ? GeneralHelp() : CommandHelp(*line.command));
    return kExitDone;
  }
  Session session(line, io);
  return line.command->run(session);
}

}  // namespace

int RunApp(const std::vector<std::string>& arguments, Io& io) {
  const absl::StatusOr<int> code = Dispatch(arguments, io);
  const absl::Status flushed = io.Flush();
  if (!code.ok()) {
    io.Err(ErrorLine(code.status()));
    return ExitCodeOf(code.status());
  }
  if (!flushed.ok()) {
    io.Err(ErrorLine(flushed));
    return ExitCodeOf(flushed);
  }
  return *code;
}

}  // namespace dsocr::client
