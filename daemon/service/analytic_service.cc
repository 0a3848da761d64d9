#include "daemon/service/analytic_service.h"

#include <string>
#include <string_view>
#include <utility>

#include "daemon/export/csv.h"
#include "daemon/export/markdown.h"
#include "daemon/service/call.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::service {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;  // contracts section 4

absl::StatusOr<std::string> Render(const v1::AnalyticModelReport& report, v1::ExportFormat format) {
  switch (format) {
    case v1::EXPORT_FORMAT_JSON:
      return document::ToJson(report);
    case v1::EXPORT_FORMAT_YAML:
      return document::ToYaml(report);
    case v1::EXPORT_FORMAT_MARKDOWN:
      return exporter::ToMarkdown(report);
    case v1::EXPORT_FORMAT_CSV:
      return exporter::ToCsv(report);
    default:
      return absl::InvalidArgumentError(fmt::format(
          "format {}: not one of json, yaml, markdown, csv; choose one with --format", static_cast<int>(format)));
  }
}

absl::Status Gone() { return absl::CancelledError("call: the caller has gone; call again"); }

v1::ReportState StateOfReport(v1::RunState state) {
  switch (state) {
    case v1::RUN_STATE_QUEUED:
      return v1::REPORT_STATE_QUEUED;
    case v1::RUN_STATE_DONE:
      return v1::REPORT_STATE_READY;
    case v1::RUN_STATE_FAILED:
    case v1::RUN_STATE_CANCELLED:
      return v1::REPORT_STATE_FAILED;
    default:
      return v1::REPORT_STATE_RUNNING;
  }
}

}  // namespace

grpc::Status AnalyticService::RunAnalytic(grpc::ServerContext* context, const v1::DeepSeekOCRAnalyticRequest* request,
                                          v1::DeepSeekOCRAnalyticAccepted* response) {
  return Answer(activity_, response, [&] { return planner_->RunAnalytic(*request, CallerOf(*context)); });
}

grpc::Status AnalyticService::GetReportSummary(grpc::ServerContext*, const v1::GetReportRequest* request,
                                               v1::DeepSeekOCRAnalyticReportSummary* response) {
  return Answer(activity_, response, [&] { return store_->GetSummary(request->report_id()); });
}

grpc::Status AnalyticService::GetReportModel(grpc::ServerContext*, const v1::GetReportRequest* request,
                                             v1::DeepSeekOCRAnalyticModel* response) {
  return Answer(activity_, response, [&]() -> absl::StatusOr<v1::DeepSeekOCRAnalyticModel> {
    DSOCR_ASSIGN_OR_RETURN(const v1::AnalyticModelReport report, store_->GetReport(request->report_id()));
    return report::ModelOf(report);
  });
}

grpc::Status AnalyticService::GetReport(grpc::ServerContext*, const v1::GetReportRequest* request,
                                        v1::AnalyticModelReport* response) {
  return Answer(activity_, response, [&] { return store_->GetReport(request->report_id()); });
}

grpc::Status AnalyticService::ListReports(grpc::ServerContext*, const v1::ListReportsRequest* request,
                                          v1::ListReportsResponse* response) {
  return Answer(activity_, response, [&] { return store_->ListReports(*request); });
}

grpc::Status AnalyticService::DeleteReport(grpc::ServerContext*, const v1::GetReportRequest* request,
                                           v1::DeleteReportResponse*) {
  return Call(activity_, [&]() -> absl::Status {
    if (runs_->IsActive(request->report_id())) {
      return absl::FailedPreconditionError(
          fmt::format("report '{}': its run is still going on; cancel the run first", request->report_id()));
    }
    return store_->DeleteReport(request->report_id());
  });
}

grpc::Status AnalyticService::WatchReport(grpc::ServerContext* context, const v1::GetReportRequest* request,
                                          grpc::ServerWriter<v1::ReportEvent>* writer) {
  return Call(activity_, [&]() -> absl::Status {
    std::string id = request->report_id();
    if (!runs_->IsActive(id)) {
      DSOCR_ASSIGN_OR_RETURN(const v1::AnalyticModelReport report, store_->GetReport(id));
      v1::ReportEvent event;
      event.set_report_id(report.report_id());
      event.set_state(v1::REPORT_STATE_READY);
      event.set_message("ready");
      event.set_artifacts_dir(run::ArtifactsDirOf(report));
      return writer->Write(event) ? absl::OkStatus() : Gone();
    }
    // The report of a run has the run's id, and is complete when the run is.
    return runs_->Watch(
        id, [context] { return context->IsCancelled(); },
        [&](const v1::RunEvent& run_event) {
          v1::ReportEvent event;
          event.set_report_id(id);
          event.set_state(StateOfReport(run_event.run().state()));
          event.set_message(run_event.run().error().empty() ? run_event.message() : run_event.run().error());
          event.set_artifacts_dir(run_event.run().artifacts_dir());
          return writer->Write(event);
        });
  });
}

grpc::Status AnalyticService::ExportReport(grpc::ServerContext* context, const v1::ExportReportRequest* request,
                                           grpc::ServerWriter<v1::Chunk>* writer) {
  return Call(activity_, [&]() -> absl::Status {
    DSOCR_ASSIGN_OR_RETURN(const v1::AnalyticModelReport report, store_->GetReport(request->report_id()));
    DSOCR_ASSIGN_OR_RETURN(const std::string text, Render(report, request->format()));
    for (size_t begin = 0; begin < text.size(); begin += kChunkBytes) {
      v1::Chunk chunk;
      chunk.set_data(text.substr(begin, kChunkBytes));
      if (context->IsCancelled() || !writer->Write(chunk)) {
        return Gone();
      }
    }
    return absl::OkStatus();
  });
}

grpc::Status AnalyticService::Analyze(grpc::ServerContext* context, const v1::AnalyzeRequest* request,
                                      v1::AnalyzeResponse* response) {
  return Answer(activity_, response, [&] { return planner_->Analyze(*request, CallerOf(*context)); });
}

grpc::Status AnalyticService::CheckReport(grpc::ServerContext*, grpc::ServerReader<v1::CheckReportRequest>* reader,
                                          v1::CheckReportResponse* response) {
  return Call(activity_, [&]() -> absl::Status {
    v1::CheckReportRequest message;
    std::string file_name;
    std::string text;
    bool allow_unknown = false;
    for (bool is_first = true; reader->Read(&message); is_first = false) {
      if (is_first) {
        file_name = message.file_name();
        allow_unknown = message.allow_unknown();
      }
      if (message.data().size() > kChunkBytes || text.size() + message.data().size() > document::kMaxBytes) {
        return absl::InvalidArgumentError(
            fmt::format("data: more than {} bytes in a chunk or {} in all; is '{}' a report?", kChunkBytes,
                        document::kMaxBytes, file_name));
      }
      text += message.data();
    }
    for (v1::CheckProblem& problem : document::Check(text, document::FormatOfFileName(file_name), allow_unknown)) {
      *response->add_problems() = std::move(problem);
    }
    return absl::OkStatus();
  });
}

}  // namespace dsocr::service
