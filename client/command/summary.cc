#include <optional>
#include <string>

#include "base/status.h"
#include "client/command/commands.h"
#include "client/render/print.h"
#include "client/render/residual_table.h"
#include "client/render/units.h"
#include "client/session.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

Table TopModules(const v1::DeepSeekOCRAnalyticReportSummary& summary) {
  Table table;
  table.columns = {{"MODULE", "module_id"},
                   {"STAGE", "stage"},
                   {"SHARE", "share_of_model_time", true},
                   {"PREDICTED", "total_time_ms", true},
                   {"FLOPS", "total_flops_tflops", true},
                   {"ACTIVATIONS", "memory_activations_gb", true}};
  for (const v1::AnalyticModuleSummary& module : summary.top_modules()) {
    const auto* stage = v1::Stage_descriptor()->FindValueByNumber(module.stage());
    const auto exact = [](bool has, double value) { return has ? document::FormatDouble(value) : std::string(); };
    table.rows.push_back(
        {Cell(module.module_id()), Cell(stage == nullptr ? "" : document::EnumWord(*stage)),
         Cell(HumanShare(module.share_of_model_time()), document::FormatDouble(module.share_of_model_time())),
         Cell(module.has_total_time_ms() ? HumanMs(module.total_time_ms()) : "-",
              exact(module.has_total_time_ms(), module.total_time_ms())),
         Cell(module.has_total_flops_tflops() ? HumanFlops(module.total_flops_tflops()) : "-",
              exact(module.has_total_flops_tflops(), module.total_flops_tflops())),
         Cell(module.has_memory_activations_gb() ? fmt::format("{:.3f} GB", module.memory_activations_gb()) : "-",
              exact(module.has_memory_activations_gb(), module.memory_activations_gb()))});
  }
  return table;
}

std::string SummaryText(const v1::DeepSeekOCRAnalyticReportSummary& summary) {
  const auto ms = [](bool has, double value) { return has ? HumanMs(value) : std::string("-"); };
  return fmt::format(
      "report     {}\nmodel      {}\nworkload   {}\npredicted  {}\nmeasured   {}\nratio      {}\n\n",
      summary.report_id(), summary.model_variant(), summary.workload_profile_id(),
      ms(summary.has_predicted_total_time_ms(), summary.predicted_total_time_ms()),
      ms(summary.has_measured_total_time_ms(), summary.measured_total_time_ms()),
      HumanRatio(summary.has_predicted_vs_measured_ratio() ? std::optional(summary.predicted_vs_measured_ratio())
                                                           : std::nullopt));
}

absl::StatusOr<int> Summary(Session& session) {
  DSOCR_ASSIGN_OR_RETURN(Daemon * daemon, session.Connect());
  v1::GetReportRequest request;
  request.set_report_id(session.line().arguments.empty() ? "latest" : session.line().arguments[0]);
  DSOCR_ASSIGN_OR_RETURN(const v1::DeepSeekOCRAnalyticReportSummary summary,
                         daemon->Call(&v1::AnalyticService::Stub::GetReportSummary, request));
  if (session.output() == "table") {
    session.Out(SummaryText(summary));
  }
  Print(session, summary, TopModules(summary));
  if (session.output() == "table" && summary.top_residual_parts_size() > 0) {
    session.Out("\nmeasured - predicted, the largest causes:\n");
    for (const v1::ResidualPart& part : summary.top_residual_parts()) {
      session.Out(fmt::format("{}\n", ResidualWords(part)));
    }
  }
  if (session.output() == "table" && !summary.notes().empty()) {
    session.Out(fmt::format("\n{}\n", summary.notes()));
  }
  return kExitDone;
}

}  // namespace

Command SummaryCommand() {
  return {.name = "summary",
          .arguments = "[ID|latest]",
          .summary = "the totals of a report and where most of its time goes",
          .examples =
              "  dsocrctl summary                    the newest report\n"
              "  dsocrctl summary r-1842 -o json\n",
          .max_arguments = 1,
          .outputs = kAllOutputs,
          .run = Summary};
}

}  // namespace dsocr::client
