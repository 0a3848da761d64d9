#include <string>

#include "base/status.h"
#include "client/command/commands.h"
#include "client/render/print.h"
#include "client/render/units.h"
#include "client/session.h"
#include "client/version.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

absl::StatusOr<v1::DaemonStatus> GetStatus(Session& session) {
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.ConnectWithoutStarting());
  return daemon->Call(&v1::CatalogService::Stub::GetStatus, v1::GetStatusRequest());
}

std::string HumanUptime(double seconds) {
  const auto whole = static_cast<int64_t>(seconds);
  return whole >= 3600 ? fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60)
         : whole >= 60 ? fmt::format("{} min {} s", whole / 60, whole % 60)
                       : fmt::format("{} s", whole);
}

absl::StatusOr<int> Status(Session& session) {
  DSOCR_ASSIGN_OR_RETURN(const v1::DaemonStatus status, GetStatus(session));
  Table table;
  table.columns = {{"KEY", "key"}, {"VALUE", "value"}};
  table.rows = {{Cell("version"), Cell(status.version())},
                {Cell("pid"), Cell(fmt::format("{}", status.pid()))},
                {Cell("uptime"), Cell(HumanUptime(status.uptime_s()), document::FormatDouble(status.uptime_s()))},
                {Cell("store"), Cell(status.store())},
                {Cell("reports"), Cell(HumanCount(status.reports()), fmt::format("{}", status.reports()))},
                {Cell("active runs"), Cell(fmt::format("{}", status.runs_active()))},
                {Cell("listening on"), Cell(fmt::format("{}", fmt::join(status.listen(), ", ")))}};
  Print(session, status, table);
  return kExitDone;
}

// A daemon that is not there is no failure here: its line says so.
absl::StatusOr<int> Version(Session& session) {
  session.Out(fmt::format("dsocrctl {}\n", kVersion));
  const absl::StatusOr<v1::DaemonStatus> status = GetStatus(session);
  if (status.ok()) {
    session.Out(fmt::format("dsocrd {}\n", status->version()));
  } else if (absl::IsUnavailable(status.status())) {
    session.Out("dsocrd is not running\n");
  } else {
    return status.status();
  }
  return kExitDone;
}

}  // namespace

Command StatusCommand() {
  return {.name = "status",
          .summary = "the daemon: version, store, uptime, runs; never starts one",
          .examples = "  dsocrctl status\n",
          .outputs = kAllOutputs,
          .run = Status};
}

Command VersionCommand() {
  return {.name = "version",
          .summary = "the versions of dsocrctl and of the daemon, if it runs",
          .examples = "  dsocrctl version\n",
          .run = Version};
}

}  // namespace dsocr::client
