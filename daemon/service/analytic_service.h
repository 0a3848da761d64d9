// AnalyticService: what the model must cost, and the reports that say so.
#ifndef DSOCR_DAEMON_SERVICE_ANALYTIC_SERVICE_H_
#define DSOCR_DAEMON_SERVICE_ANALYTIC_SERVICE_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "daemon/ops/activity.h"
#include "daemon/run/plan.h"
#include "daemon/run/run_manager.h"
#include "daemon/store/store.h"
#include "dsocr/v1/analytic.grpc.pb.h"

namespace dsocr::service {

// Thread-safe. Borrows what it is given.
class AnalyticService final : public v1::AnalyticService::Service {
 public:
  AnalyticService(run::Planner* planner, run::RunManager* runs, store::Store* store, ops::Activity* activity)
      : planner_(planner), runs_(runs), store_(store), activity_(activity) {}

  grpc::Status RunAnalytic(grpc::ServerContext* context, const v1::DeepSeekOCRAnalyticRequest* request,
                           v1::DeepSeekOCRAnalyticAccepted* response) override;
  grpc::Status GetReportSummary(grpc::ServerContext* context, const v1::GetReportRequest* request,
                                v1::DeepSeekOCRAnalyticReportSummary* response) override;
  grpc::Status GetReportModel(grpc::ServerContext* context, const v1::GetReportRequest* request,
                              v1::DeepSeekOCRAnalyticModel* response) override;
  grpc::Status GetReport(grpc::ServerContext* context, const v1::GetReportRequest* request,
                         v1::AnalyticModelReport* response) override;
  grpc::Status ListReports(grpc::ServerContext* context, const v1::ListReportsRequest* request,
                           v1::ListReportsResponse* response) override;
  grpc::Status DeleteReport(grpc::ServerContext* context, const v1::GetReportRequest* request,
                            v1::DeleteReportResponse* response) override;
  grpc::Status WatchReport(grpc::ServerContext* context, const v1::GetReportRequest* request,
                           grpc::ServerWriter<v1::ReportEvent>* writer) override;
  grpc::Status ExportReport(grpc::ServerContext* context, const v1::ExportReportRequest* request,
                            grpc::ServerWriter<v1::Chunk>* writer) override;
  grpc::Status Analyze(grpc::ServerContext* context, const v1::AnalyzeRequest* request,
                       v1::AnalyzeResponse* response) override;
  grpc::Status CheckReport(grpc::ServerContext* context, grpc::ServerReader<v1::CheckReportRequest>* reader,
                           v1::CheckReportResponse* response) override;
  grpc::Status WhatIf(grpc::ServerContext* context,
                      grpc::ServerReaderWriter<v1::WhatIfResponse, v1::WhatIfRequest>* stream) override;
  grpc::Status DiffReports(grpc::ServerContext* context, grpc::ServerReader<v1::DiffReportsRequest>* reader,
                           v1::DiffReportsResponse* response) override;

 private:
  // Of the store, or what was uploaded as a file of that name.
  absl::StatusOr<v1::AnalyticModelReport> ReportOf(const std::string& report_id, const std::string& file_name,
                                                   std::string_view upload) const;

  run::Planner* const planner_;
  run::RunManager* const runs_;
  store::Store* const store_;
  ops::Activity* const activity_;
};

}  // namespace dsocr::service

#endif  // DSOCR_DAEMON_SERVICE_ANALYTIC_SERVICE_H_
