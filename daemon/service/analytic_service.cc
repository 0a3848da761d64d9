#include "daemon/service/analytic_service.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/export/csv.h"
#include "daemon/export/markdown.h"
#include "daemon/report/diff.h"
#include "daemon/service/call.h"
#include "daemon/service/chunks.h"
#include "daemon/what_if/answer.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::service {
namespace {

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

// The first message of an upload, and the data of all.
template <typename Request, typename Reader>
absl::Status ReadUpload(Reader* reader, Request* first, std::string* text) {
  Request message;
  for (bool is_first = true; reader->Read(&message); is_first = false) {
    if (message.data().size() > kChunkBytes || text->size() + message.data().size() > document::kMaxBytes) {
      return absl::InvalidArgumentError(
          fmt::format("data: more than {} bytes in a chunk or {} in all; is '{}' a report?", kChunkBytes,
                      document::kMaxBytes, is_first ? message.file_name() : first->file_name()));
    }
    *text += message.data();
    if (is_first) {
      *first = std::move(message);
      first->clear_data();
    }
  }
  return absl::OkStatus();
}

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
    v1::CheckReportRequest request;
    std::string text;
    DSOCR_RETURN_IF_ERROR(ReadUpload(reader, &request, &text));
    for (v1::CheckProblem& problem :
         document::Check(text, document::FormatOfFileName(request.file_name()), request.allow_unknown())) {
      *response->add_problems() = std::move(problem);
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<v1::AnalyticModelReport> AnalyticService::ReportOf(const std::string& report_id,
                                                                  const std::string& file_name,
                                                                  std::string_view upload) const {
  if (!report_id.empty()) {
    if (!upload.empty()) {
      return absl::InvalidArgumentError("report_id: the request has data, too; give one of them");
    }
    return store_->GetReport(report_id);
  }
  const auto refuse = [&](std::string_view problem) {
    return absl::InvalidArgumentError(
        fmt::format("report '{}': {}; 'dsocrctl check' names every problem", file_name, problem));
  };
  v1::AnalyticModelReport report;
  const absl::Status status =
      document::Parse(upload, document::FormatOfFileName(file_name), /*allow_unknown=*/false, &report);
  if (!status.ok()) {
    return refuse(std::string(status.message()));
  }
  if (const std::vector<v1::CheckProblem> problems = document::Validate(report); !problems.empty()) {
    return refuse(fmt::format("{}: {}: {}", problems[0].path(), problems[0].value(), problems[0].reason()));
  }
  return report;
}

grpc::Status AnalyticService::WhatIf(grpc::ServerContext* context,
                                     grpc::ServerReaderWriter<v1::WhatIfResponse, v1::WhatIfRequest>* stream) {
  return Call(activity_, [&]() -> absl::Status {
    v1::WhatIfRequest request;
    std::string upload;
    DSOCR_RETURN_IF_ERROR(ReadUpload(stream, &request, &upload));
    DSOCR_ASSIGN_OR_RETURN(const v1::AnalyticModelReport report,
                           ReportOf(request.report_id(), request.file_name(), upload));
    return what_if::Answer(report, request, store_, [&](const v1::WhatIfResponse& part) {
      return !context->IsCancelled() && stream->Write(part);
    });
  });
}

grpc::Status AnalyticService::DiffReports(grpc::ServerContext*, grpc::ServerReader<v1::DiffReportsRequest>* reader,
                                          v1::DiffReportsResponse* response) {
  return Call(activity_, [&]() -> absl::Status {
    v1::DiffReportsRequest request;
    std::string a_upload;
    std::string b_upload;
    bool is_first = true;
    for (v1::DiffReportsRequest part; reader->Read(&part); is_first = false) {
      for (const auto& [data, upload] : {std::pair(&part.a_data(), &a_upload), std::pair(&part.b_data(), &b_upload)}) {
        if (upload->size() + data->size() > document::kMaxBytes) {
          return absl::InvalidArgumentError(
              fmt::format("data: larger than {} MiB; no report is", document::kMaxBytes >> 20));
        }
        upload->append(*data);
      }
      if (is_first) {
        request = std::move(part);
      }
    }
    DSOCR_ASSIGN_OR_RETURN(const v1::AnalyticModelReport a,
                           ReportOf(request.a().report_id(), request.a().file_name(), a_upload));
    DSOCR_ASSIGN_OR_RETURN(const v1::AnalyticModelReport b,
                           ReportOf(request.b().report_id(), request.b().file_name(), b_upload));
    *response = report::DiffReports(a, b);
    return absl::OkStatus();
  });
}

}  // namespace dsocr::service
