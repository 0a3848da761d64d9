#include "tests/client/fake_daemon.h"

#include <unistd.h>

#include <chrono>

#include "client/app.h"
#include "fmt/format.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"

namespace dsocr::client {
namespace {

bool IsFinal(v1::RunState state) { return state >= v1::RUN_STATE_DONE; }

}  // namespace

FakeDaemon::FakeDaemon() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
  builder.RegisterService(static_cast<v1::AnalyticService::Service*>(this));
  builder.RegisterService(static_cast<v1::ProfileService::Service*>(this));
  builder.RegisterService(static_cast<v1::CatalogService::Service*>(this));
  server_ = builder.BuildAndStart();
}

FakeDaemon::~FakeDaemon() { Stop(); }

void FakeDaemon::Stop() { server_->Shutdown(std::chrono::system_clock::now()); }

const v1::AnalyticModelReport* FakeDaemon::Find(const std::string& id) const {
  const auto found = id == "latest" && !reports.empty() ? reports.begin() : reports.find(id);
  return found == reports.end() ? nullptr : &found->second;
}

grpc::Status FakeDaemon::RunAnalytic(grpc::ServerContext*, const v1::DeepSeekOCRAnalyticRequest* request,
                                     v1::DeepSeekOCRAnalyticAccepted* accepted) {
  analytic_request = *request;
  accepted->set_report_id(reports.empty() ? "" : reports.begin()->first);
  return refusal;
}

grpc::Status FakeDaemon::GetReport(grpc::ServerContext*, const v1::GetReportRequest* request,
                                   v1::AnalyticModelReport* report) {
  const v1::AnalyticModelReport* found = Find(request->report_id());
  if (found == nullptr) {
    return {grpc::StatusCode::NOT_FOUND,
            fmt::format("no report '{}': not in the store; 'dsocrctl list' shows all", request->report_id()), "info"};
  }
  *report = *found;
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::GetReportSummary(grpc::ServerContext* context, const v1::GetReportRequest* request,
                                          v1::DeepSeekOCRAnalyticReportSummary* summary) {
  v1::AnalyticModelReport report;
  const grpc::Status status = GetReport(context, request, &report);
  summary->set_report_id(report.report_id());
  summary->set_model_variant(report.model().model_variant());
  summary->set_workload_profile_id(report.workload().profile_id());
  summary->set_predicted_total_time_ms(report.predicted_total_time_ms());
  v1::AnalyticModuleSummary* top = summary->add_top_modules();
  top->set_module_id("vision/sam");
  top->set_stage(v1::STAGE_VISION);
  top->set_share_of_model_time(0.375);
  top->set_total_time_ms(4500);
  return status;
}

grpc::Status FakeDaemon::ListReports(grpc::ServerContext*, const v1::ListReportsRequest*,
                                     v1::ListReportsResponse* response) {
  for (const auto& [id, report] : reports) {
    v1::ReportListItem* item = response->add_reports();
    item->set_report_id(id);
    item->set_created_at("2026-01-01T12:00:00Z");
    item->set_workload_profile_id(report.workload().profile_id());
    item->set_device("cpu");
    item->set_predicted_total_time_ms(report.predicted_total_time_ms());
  }
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::WatchReport(grpc::ServerContext*, const v1::GetReportRequest* request,
                                     grpc::ServerWriter<v1::ReportEvent>* writer) {
  v1::ReportEvent event;
  event.set_report_id(request->report_id());
  event.set_state(v1::REPORT_STATE_RUNNING);
  writer->Write(event);
  event.set_state(v1::REPORT_STATE_READY);
  event.set_artifacts_dir("/a/r1/static_analysis/analytic_model");
  writer->Write(event);
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::ExportReport(grpc::ServerContext*, const v1::ExportReportRequest* request,
                                      grpc::ServerWriter<v1::Chunk>* writer) {
  if (Find(request->report_id()) == nullptr) {
    return {grpc::StatusCode::NOT_FOUND, "no report 'x': not in the store; 'dsocrctl list' shows all", "info"};
  }
  for (const char* piece : {"module_id,", "calls\n"}) {
    v1::Chunk chunk;
    chunk.set_data(piece);
    writer->Write(chunk);
  }
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::CheckReport(grpc::ServerContext*, grpc::ServerReader<v1::CheckReportRequest>* reader,
                                     v1::CheckReportResponse* response) {
  v1::CheckReportRequest request;
  while (reader->Read(&request)) {
    uploaded += request.file_name() + request.data();
  }
  response->mutable_problems()->Assign(problems.begin(), problems.end());
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::WhatIf(grpc::ServerContext*,
                                grpc::ServerReaderWriter<v1::WhatIfResponse, v1::WhatIfRequest>* stream) {
  v1::WhatIfRequest request;
  for (bool is_first = true; stream->Read(&request); is_first = false) {
    uploaded += request.data();
    if (is_first) {
      what_if_request = request;
      what_if_request.clear_data();
    }
  }
  for (const v1::WhatIfResponse& part : what_if_parts) {
    stream->Write(part);
  }
  return refusal;
}

grpc::Status FakeDaemon::StartRun(grpc::ServerContext*, const v1::StartRunRequest* request,
                                  v1::StartRunResponse* response) {
  run_request = *request;
  response->set_run_id("r1");
  response->set_report_id("r1");
  (*response->mutable_environment())["DSOCR_TEST_VARIABLE"] = "from the daemon";
  return refusal;
}

grpc::Status FakeDaemon::WatchRun(grpc::ServerContext* context, const v1::GetRunRequest*,
                                  grpc::ServerWriter<v1::RunEvent>* writer) {
  for (const v1::RunEvent& event : run_events) {
    writer->Write(event);
  }
  if (!run_events.empty() && IsFinal(run_events.back().run().state())) {
    return grpc::Status::OK;
  }
  is_watched = true;
  while (!context->IsCancelled() && !was_cancelled) {
    ::usleep(1000);
  }
  v1::RunEvent event;
  event.mutable_run()->set_state(v1::RUN_STATE_CANCELLED);
  writer->Write(event);
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::CancelRun(grpc::ServerContext*, const v1::GetRunRequest* request, v1::Run* run) {
  was_cancelled = true;
  run->set_run_id(request->run_id());
  run->set_state(v1::RUN_STATE_CANCELLED);
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::FinishLaunch(grpc::ServerContext*, const v1::FinishLaunchRequest* request, v1::Run* run) {
  finish_request = *request;
  run->set_run_id(request->run_id());
  run->set_report_id("r1");
  run->set_state(v1::RUN_STATE_DONE);
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::ListProcesses(grpc::ServerContext*, const v1::ListProcessesRequest*,
                                       v1::ListProcessesResponse* response) {
  *response = processes;
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::ExplainAttach(grpc::ServerContext*, const v1::AttachRequest* request,
                                       v1::ExplainAttachResponse* response) {
  v1::RouteVerdict* verdict = response->add_verdicts();
  verdict->set_pid(request->pid());
  verdict->set_route(v1::ROUTE_AGENT);
  verdict->set_why("no agent listens in it");
  verdict = response->add_verdicts();
  verdict->set_pid(request->pid());
  verdict->set_route(v1::ROUTE_INJECT);
  verdict->set_is_possible(true);
  verdict->set_why("a thread at rest is there");
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Attach(grpc::ServerContext*, const v1::AttachRequest* request, v1::AttachResponse* response) {
  attach_request = *request;
  response->set_run_id("r1");
  response->set_report_id("r1");
  response->set_route(v1::ROUTE_INJECT);
  response->add_pids(request->pid());
  return refusal;
}

grpc::Status FakeDaemon::Detach(grpc::ServerContext*, const v1::DetachRequest* request, v1::Run* run) {
  detach_request = *request;
  run->set_run_id("r1");
  run->set_report_id("r1");
  run->set_artifacts_dir("/a/r1/static_analysis/analytic_model");
  run->set_state(v1::RUN_STATE_DONE);
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::DescribeWorkload(grpc::ServerContext*, const v1::DescribeWorkloadRequest* request,
                                          v1::WorkloadDescription* layout) {
  describe_request = *request;
  layout->add_crop_grid(2);
  layout->add_crop_grid(3);
  layout->set_num_crops(6);
  layout->set_image_tokens(903);
  layout->set_local_rows_tokens(630);
  layout->set_global_rows_tokens(272);
  layout->set_view_separator_tokens(1);
  layout->set_seq_len_min(904);
  return grpc::Status::OK;
}

// The category of a name is its first word.
grpc::Status FakeDaemon::ClassifyKernels(grpc::ServerContext*, const v1::ClassifyKernelsRequest* request,
                                         v1::ClassifyKernelsResponse* response) {
  classify_requests.push_back(*request);
  for (const std::string& name : request->kernel_names()) {
    response->add_category_ids(name.substr(0, name.find(' ')));
  }
  return refusal;
}

absl::StatusOr<std::string> FakeIo::In(size_t max_bytes) {
  const std::string piece = in.substr(0, max_bytes);
  in.erase(0, piece.size());
  return piece;
}

FakeIo::FakeIo() {
  uid = ::getuid();
  working_dir = "/work dir";
  executable_dir = "/nonexistent";
}

std::optional<std::string> FakeIo::Env(const std::string& name) const {
  const auto found = environment.find(name);
  return found == environment.end() ? std::nullopt : std::optional(found->second);
}

int Run(FakeDaemon& daemon, FakeIo& io, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--server", daemon.address()});
  return RunApp(arguments, io);
}

}  // namespace dsocr::client
