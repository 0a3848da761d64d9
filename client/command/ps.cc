#include <string>

#include "absl/strings/str_join.h"
#include "base/status.h"
#include "client/command/commands.h"
#include "client/render/print.h"
#include "client/session.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

constexpr size_t kShownCommandBytes = 60;

std::string RouteWords(const v1::JobProcess& process) {
  return absl::StrJoin(process.routes(), " ", [](std::string* out, int route) {
    if (const auto* value = v1::Route_descriptor()->FindValueByNumber(route)) {
      out->append(document::EnumWord(*value));
    }
  });
}

// The start of a long command; its bytes are somebody else's.
std::string Shortened(const std::string& command) {
  if (command.size() <= kShownCommandBytes) {
    return command;
  }
  size_t end = kShownCommandBytes;
  while (end > 0 && (static_cast<unsigned char>(command[end]) & 0xC0) == 0x80) {
    --end;
  }
  return command.substr(0, end) + "…";
}

Table ProcessTable(const v1::ListProcessesResponse& response) {
  Table table;
  table.columns = {{"PID", "pid", true}, {"USER", "user"},       {"FRAMEWORK", "framework"}, {"GPU", "gpu"},
                   {"ROUTES", "routes"}, {"COMMAND", "command"}, {"WHY NOT", "why"}};
  for (const v1::JobProcess& process : response.processes()) {
    table.rows.push_back({Cell(fmt::format("{}", process.pid())), Cell(process.user()),
                          Cell(process.framework().empty() ? "-" : process.framework(), process.framework()),
                          Cell(process.gpu().empty() ? "-" : process.gpu(), process.gpu()),
                          Cell(process.routes().empty() ? "-" : RouteWords(process), RouteWords(process)),
                          Cell(Shortened(process.command()), process.command()), Cell(process.why())});
  }
  return table;
}

absl::StatusOr<int> Ps(Session& session) {
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  v1::ListProcessesRequest request;
  request.set_all(session.line().Has("--all"));
  DSOCR_ASSIGN_OR_RETURN(const v1::ListProcessesResponse response,
                         daemon->Call(&v1::ProfileService::Stub::ListProcesses, request));
  Print(session, response, ProcessTable(response));
  if (response.processes().empty()) {
    session.Say("dsocrctl: no process here has libtorch in it; 'dsocrctl ps --all' shows every process\n");
  }
  return kExitDone;
}

}  // namespace

Command PsCommand() {
  return {.name = "ps",
          .arguments = "[FLAGS]",
          .summary = "the processes that can be attached to, and why others cannot",
          .examples =
              "  dsocrctl ps\n"
              "  dsocrctl ps -o json | jq '.processes[] | select(.attachable)'\n",
          .outputs = kAllOutputs,
          .flags = {{"--all", ValueKind::kSwitch, "", "also processes without a framework that we know"}},
          .run = Ps};
}

}  // namespace dsocr::client
