#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "client/command/commands.h"
#include "client/render/print.h"
#include "client/render/units.h"
#include "client/session.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

constexpr int kPageSize = 1000;  // the most that the daemon gives at once
constexpr int64_t kDefaultLimit = 50;

Table ReportsTable(const v1::ListReportsResponse& response) {
  Table table;
  table.columns = {{"REPORT", "report_id"},
                   {"CREATED", "created_at"},
                   {"WORKLOAD", "workload_profile_id"},
                   {"DEVICE", "device"},
                   {"PREDICTED", "predicted_total_time_ms", true},
                   {"MEASURED", "measured_total_time_ms", true},
                   {"RATIO", "predicted_vs_measured_ratio", true}};
  const auto exact = [](bool has, double value) { return has ? document::FormatDouble(value) : std::string(); };
  for (const v1::ReportListItem& item : response.reports()) {
    table.rows.push_back(
        {Cell(item.report_id()), Cell(item.created_at()), Cell(item.workload_profile_id()), Cell(item.device()),
         Cell(item.has_predicted_total_time_ms() ? HumanMs(item.predicted_total_time_ms()) : "-",
              exact(item.has_predicted_total_time_ms(), item.predicted_total_time_ms())),
         Cell(item.has_measured_total_time_ms() ? HumanMs(item.measured_total_time_ms()) : "-",
              exact(item.has_measured_total_time_ms(), item.measured_total_time_ms())),
         Cell(HumanRatio(item.has_predicted_vs_measured_ratio() ? std::optional(item.predicted_vs_measured_ratio())
                                                                : std::nullopt),
              exact(item.has_predicted_vs_measured_ratio(), item.predicted_vs_measured_ratio()))});
  }
  return table;
}

absl::StatusOr<int> List(Session& session) {
  const int64_t limit = session.line().Integer("--limit").value_or(kDefaultLimit);
  if (limit <= 0) {
    return absl::InvalidArgumentError(
        fmt::format("--limit {}: not positive; give the number of reports to list", limit));
  }
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  v1::ListReportsResponse all;
  do {
    v1::ListReportsRequest request;
    request.set_page_size(static_cast<int32_t>(std::min<int64_t>(limit - all.reports_size(), kPageSize)));
    request.set_page_token(all.next_page_token());
    DSOCR_ASSIGN_OR_RETURN(v1::ListReportsResponse page,
                           daemon->Call(&v1::AnalyticService::Stub::ListReports, request));
    all.set_next_page_token(page.next_page_token());
    all.mutable_reports()->MergeFrom(page.reports());
  } while (!all.next_page_token().empty() && all.reports_size() < limit);
  Print(session, all, ReportsTable(all));
  if (!all.next_page_token().empty() && session.shows_progress()) {
    session.Say(fmt::format("dsocrctl: there are more; --limit {} shows twice as many\n", 2 * limit));
  }
  return kExitDone;
}

}  // namespace

Command ListCommand() {
  return {.name = "list",
          .arguments = "[FLAGS]",
          .summary = "the reports, newest first",
          .examples =
              "  dsocrctl list\n"
              "  dsocrctl list --limit 1000 -o csv > reports.csv\n",
          .outputs = kAllOutputs,
          .flags = {{"--limit", ValueKind::kInteger, "N", "the newest N reports (default 50)"}},
          .run = List};
}

}  // namespace dsocr::client
