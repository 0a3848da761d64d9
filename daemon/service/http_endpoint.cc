#include "daemon/service/http_endpoint.h"

#include <utility>

#include "analytic/device/device.h"
#include "analytic/model_spec.h"
#include "analytic/precision.h"
#include "analytic/workload.h"
#include "base/status.h"
#include "daemon/config/version.h"
#include "daemon/report/incident.h"
#include "daemon/report/report.h"
#include "proto/document.h"

namespace dsocr::service {
namespace {

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

// What the catalogue lists. Its calls look at no context.
absl::StatusOr<http::Vocabulary> VocabularyOf(CatalogService* catalog) {
  v1::ListModelsResponse models;
  v1::ListWorkloadsResponse workloads;
  v1::ListDevicesResponse devices;
  DSOCR_RETURN_IF_ERROR(FromGrpc(catalog->ListModels(nullptr, nullptr, &models)));
  DSOCR_RETURN_IF_ERROR(FromGrpc(catalog->ListWorkloads(nullptr, nullptr, &workloads)));
  DSOCR_RETURN_IF_ERROR(FromGrpc(catalog->ListDevices(nullptr, nullptr, &devices)));
  http::Vocabulary vocabulary{.devices = {"auto"}};
  for (const v1::DeepSeekOCRModelSpec& model : models.models()) {
    vocabulary.model_ids.push_back(model.model_id());
    vocabulary.model_variants.push_back(model.model_variant());
  }
  for (const v1::OCRWorkloadProfile& workload : workloads.workloads()) {
    vocabulary.workloads.push_back(workload.profile_id());
  }
  for (const v1::Device& device : devices.devices()) {
    vocabulary.devices.push_back(device.name());
  }
  for (const analytic::Precision precision : {analytic::Precision::kFp32, analytic::Precision::kBf16}) {
    vocabulary.dtypes.emplace_back(analytic::PrecisionName(precision));
  }
  return vocabulary;
}

}  // namespace

absl::Status HttpEndpoint::Start(const std::string& address) {
  DSOCR_ASSIGN_OR_RETURN(http::Vocabulary vocabulary, VocabularyOf(parts_.catalog));
  api_ = std::make_unique<http::Api>(MakeServices(), std::move(vocabulary), std::string(config::kVersion), &calls_);
  DSOCR_ASSIGN_OR_RETURN(server_, http::Server::Listen(address, [this](const http::Request& request) {
                           const ops::Activity::Scope scope(parts_.activity);
                           return api_->Handle(request);
                         }));
  server_->Serve();
  return absl::OkStatus();
}

void HttpEndpoint::Stop() {
  if (server_ != nullptr) {
    server_->Stop();
  }
}

http::Services HttpEndpoint::MakeServices() {
  return {
      .run_analytic =
          [this](const v1::DeepSeekOCRAnalyticRequest& request) {
            return parts_.planner->RunAnalytic(request, run::Caller::kRemote);
          },
      .summary = [this](const std::string& report_id) { return parts_.store->GetSummary(report_id); },
      .model = [this](const std::string& report_id) -> absl::StatusOr<v1::DeepSeekOCRAnalyticModel> {
        DSOCR_ASSIGN_OR_RETURN(const v1::AnalyticModelReport report, parts_.store->GetReport(report_id));
        return report::ModelOf(report);
      },
      .health = [this] { return Health(); },
      .figures = [this] { return TakeFigures(); },
  };
}

absl::Status HttpEndpoint::Health() const {
  if (is_draining_) {
    return absl::UnavailableError("dsocrd: it is shutting down; ask again in a moment");
  }
  return parts_.store->CountReports().status();
}

http::Figures HttpEndpoint::TakeFigures() const {
  const collect::RecordTotals records = parts_.collector->Totals();
  http::Figures figures{.version = std::string(config::kVersion),
                        .uptime_s = absl::ToDoubleSeconds(absl::Now() - started_),
                        .reports = parts_.store->CountReports().value_or(0),
                        .runs_active = parts_.runs->CountActive(),
                        .runs_finished = {},
                        .records_received = records.received,
                        .records_dropped = records.dropped,
                        .records_invalid = records.invalid,
                        .operations_launched = records.operations_launched,
                        .operations_recorded = records.operations_recorded,
                        .operations_dropped = records.operations_dropped,
                        .operations_invalid = records.operations_invalid,
                        .operations_pending = records.operations_pending,
                        .incidents = {},
                        .http_connections = server_->CountConnections(),
                        .http_connections_refused = server_->CountRefusedConnections()};
  for (const v1::RunState state : {v1::RUN_STATE_DONE, v1::RUN_STATE_FAILED, v1::RUN_STATE_CANCELLED}) {
    figures.runs_finished[document::EnumWord(*v1::RunState_descriptor()->FindValueByNumber(state))] = 0;
  }
  for (const auto& [state, count] : parts_.runs->CountFinished()) {
    figures.runs_finished[document::EnumWord(*v1::RunState_descriptor()->FindValueByNumber(state))] = count;
  }
  for (uint32_t number = 1; number <= record::kLastIncidentCode; ++number) {
    figures.incidents[std::string(report::IncidentWord(record::IncidentCode{number}))] = 0;
  }
  for (const auto& [code, count] : records.incidents) {
    figures.incidents[std::string(report::IncidentWord(code))] += count;
  }
  return figures;
}

}  // namespace dsocr::service
