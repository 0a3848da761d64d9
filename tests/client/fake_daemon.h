// A daemon in this process: answers from what the test has put into it, and remembers what it was asked.
#ifndef DSOCR_TESTS_CLIENT_FAKE_DAEMON_H_
#define DSOCR_TESTS_CLIENT_FAKE_DAEMON_H_

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/io.h"
#include "dsocr/v1/analytic.grpc.pb.h"
#include "dsocr/v1/catalog.grpc.pb.h"
#include "dsocr/v1/profile.grpc.pb.h"
#include "grpcpp/server.h"
#include "tests/scratch_directory.h"

namespace dsocr::client {

class FakeDaemon : private v1::AnalyticService::Service,
                   private v1::ProfileService::Service,
                   private v1::CatalogService::Service {
 public:
  FakeDaemon();  // serves on address() from now on
  ~FakeDaemon();

  const std::string& address() const { return address_; }
  void Stop();  // dies under whoever waits

  // What it has.
  std::map<std::string, v1::AnalyticModelReport> reports;
  std::vector<v1::RunEvent> run_events;  // of WatchRun; then it waits for CancelRun unless the last one is final
  std::vector<v1::CheckProblem> problems;
  std::vector<v1::WhatIfResponse> what_if_parts;
  v1::ListProcessesResponse processes;
  grpc::Status refusal;  // of RunAnalytic, StartRun, Attach and WhatIf, where not OK

  // What it was asked.
  v1::DeepSeekOCRAnalyticRequest analytic_request;
  v1::StartRunRequest run_request;
  v1::DescribeWorkloadRequest describe_request;
  v1::FinishLaunchRequest finish_request;
  v1::WhatIfRequest what_if_request;  // the first message, without its data
  std::vector<v1::ClassifyKernelsRequest> classify_requests;
  v1::AttachRequest attach_request;
  v1::DetachRequest detach_request;
  std::string uploaded;
  std::atomic<bool> was_cancelled = false;
  std::atomic<bool> is_watched = false;

 private:
  grpc::Status RunAnalytic(grpc::ServerContext*, const v1::DeepSeekOCRAnalyticRequest*,
                           v1::DeepSeekOCRAnalyticAccepted*) override;
  grpc::Status GetReportSummary(grpc::ServerContext*, const v1::GetReportRequest*,
                                v1::DeepSeekOCRAnalyticReportSummary*) override;
  grpc::Status GetReport(grpc::ServerContext*, const v1::GetReportRequest*, v1::AnalyticModelReport*) override;
  grpc::Status ListReports(grpc::ServerContext*, const v1::ListReportsRequest*, v1::ListReportsResponse*) override;
  grpc::Status WatchReport(grpc::ServerContext*, const v1::GetReportRequest*,
                           grpc::ServerWriter<v1::ReportEvent>*) override;
  grpc::Status ExportReport(grpc::ServerContext*, const v1::ExportReportRequest*,
                            grpc::ServerWriter<v1::Chunk>*) override;
  grpc::Status CheckReport(grpc::ServerContext*, grpc::ServerReader<v1::CheckReportRequest>*,
                           v1::CheckReportResponse*) override;
  grpc::Status WhatIf(grpc::ServerContext*, grpc::ServerReaderWriter<v1::WhatIfResponse, v1::WhatIfRequest>*) override;
  grpc::Status StartRun(grpc::ServerContext*, const v1::StartRunRequest*, v1::StartRunResponse*) override;
  grpc::Status WatchRun(grpc::ServerContext*, const v1::GetRunRequest*, grpc::ServerWriter<v1::RunEvent>*) override;
  grpc::Status CancelRun(grpc::ServerContext*, const v1::GetRunRequest*, v1::Run*) override;
  grpc::Status FinishLaunch(grpc::ServerContext*, const v1::FinishLaunchRequest*, v1::Run*) override;
  grpc::Status ListProcesses(grpc::ServerContext*, const v1::ListProcessesRequest*,
                             v1::ListProcessesResponse*) override;
  grpc::Status ExplainAttach(grpc::ServerContext*, const v1::AttachRequest*, v1::ExplainAttachResponse*) override;
  grpc::Status Attach(grpc::ServerContext*, const v1::AttachRequest*, v1::AttachResponse*) override;
  grpc::Status Detach(grpc::ServerContext*, const v1::DetachRequest*, v1::Run*) override;
  grpc::Status DescribeWorkload(grpc::ServerContext*, const v1::DescribeWorkloadRequest*,
                                v1::WorkloadDescription*) override;

  grpc::Status ClassifyKernels(grpc::ServerContext*, const v1::ClassifyKernelsRequest*,
                               v1::ClassifyKernelsResponse*) override;

  const v1::AnalyticModelReport* Find(const std::string& id) const;

  const ScratchDirectory directory_;
  const std::string address_ = "unix:" + (directory_ / "d.sock").string();
  std::unique_ptr<grpc::Server> server_;
};

// Streams and environment of a test.
class FakeIo : public Io {
 public:
  FakeIo();
  absl::StatusOr<std::string> In(size_t max_bytes) override;  // from the start of `in`
  void Out(std::string_view text) override { out += text; }
  void Err(std::string_view text) override { err += text; }
  absl::Status Flush() override { return absl::OkStatus(); }
  std::optional<std::string> Env(const std::string& name) const override;

  std::string in;
  std::string out;
  std::string err;
  std::map<std::string, std::string> environment;
};

// RunApp with --server of `daemon`.
int Run(FakeDaemon& daemon, FakeIo& io, std::vector<std::string> arguments);

}  // namespace dsocr::client

#endif  // DSOCR_TESTS_CLIENT_FAKE_DAEMON_H_
