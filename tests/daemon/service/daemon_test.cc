// The daemon in this process, called over its own sockets.
#include "daemon/service/daemon.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "dsocr/v1/analytic.grpc.pb.h"
#include "dsocr/v1/catalog.grpc.pb.h"
#include "dsocr/v1/profile.grpc.pb.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "proto/document.h"
#include "tests/daemon/service/daemon_fixture.h"

namespace dsocr::service {
namespace {

using ::testing::HasSubstr;

class DaemonTest : public DaemonFixture {
 protected:
  DaemonTest() : DaemonFixture("/nonexistent/dsocr-runner") { analytic_ = v1::AnalyticService::NewStub(channel_); }

  v1::DeepSeekOCRAnalyticRequest Tiny() const {
    v1::DeepSeekOCRAnalyticRequest request;
    request.set_workload_profile_id("dsocr-tiny-v1");
    request.set_device("cpu");
    request.set_artifacts_root((directory_ / "callers-own").string());
    return request;
  }
  grpc::Status RunAnalytic(const v1::DeepSeekOCRAnalyticRequest& request, v1::DeepSeekOCRAnalyticAccepted* accepted) {
    grpc::ClientContext context;
    return analytic_->RunAnalytic(&context, request, accepted);
  }
  std::string MustRunAnalytic(const v1::DeepSeekOCRAnalyticRequest& request) {
    v1::DeepSeekOCRAnalyticAccepted accepted;
    const grpc::Status status = RunAnalytic(request, &accepted);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return accepted.report_id();
  }
  grpc::Status GetReport(const std::string& id, v1::AnalyticModelReport* report) {
    grpc::ClientContext context;
    v1::GetReportRequest request;
    request.set_report_id(id);
    return analytic_->GetReport(&context, request, report);
  }

  std::unique_ptr<v1::AnalyticService::Stub> analytic_;
};

TEST_F(DaemonTest, ReportIsBuiltStoredAndWrittenWhereTheCallerWants) {
  const std::string id = MustRunAnalytic(Tiny());
  v1::AnalyticModelReport report;
  ASSERT_TRUE(GetReport("latest", &report).ok());
  EXPECT_EQ(report.report_id(), id);
  EXPECT_THAT(document::Validate(report), ::testing::IsEmpty());
  EXPECT_TRUE(std::filesystem::exists(directory_ / "callers-own" / id / "static_analysis/analytic_model/report.json"));
}

TEST_F(DaemonTest, EqualRequestReusesTheReportAndWritesMissingArtifactsAgain) {
  const std::string id = MustRunAnalytic(Tiny());
  std::filesystem::remove_all(directory_ / "callers-own");
  v1::DeepSeekOCRAnalyticAccepted accepted;
  ASSERT_TRUE(RunAnalytic(Tiny(), &accepted).ok());
  EXPECT_TRUE(accepted.reused());
  EXPECT_EQ(accepted.report_id(), id);
  EXPECT_EQ(accepted.status(), v1::REPORT_STATUS_RUNNING);
  EXPECT_TRUE(std::filesystem::exists(directory_ / "callers-own" / id / "static_analysis/analytic_model/report.json"));
}

TEST_F(DaemonTest, ForceRebuildAndRunIdMakeNewReports) {
  const std::string id = MustRunAnalytic(Tiny());
  v1::DeepSeekOCRAnalyticRequest forced = Tiny();
  forced.set_force_rebuild(true);
  EXPECT_NE(MustRunAnalytic(forced), id);
  v1::DeepSeekOCRAnalyticRequest named = Tiny();
  named.set_run_id("mine");
  EXPECT_EQ(MustRunAnalytic(named), "mine");
  v1::DeepSeekOCRAnalyticAccepted accepted;
  EXPECT_EQ(RunAnalytic(named, &accepted).error_code(), grpc::StatusCode::ALREADY_EXISTS);
}

TEST_F(DaemonTest, CallerOverTcpDoesNotChooseWhereArtifactsGo) {
  const auto tcp =
      v1::AnalyticService::NewStub(grpc::CreateChannel(daemon_->addresses()[1], grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::DeepSeekOCRAnalyticAccepted accepted;
  const grpc::Status status = tcp->RunAnalytic(&context, Tiny(), &accepted);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_FALSE(std::filesystem::exists(directory_ / "callers-own"));
  EXPECT_TRUE(std::filesystem::exists(directory_ / "daemons-own" / accepted.report_id()));
}

TEST_F(DaemonTest, ErrorsCarryCodeOneLineAndErrorInfo) {
  struct Case {
    void (*change)(v1::DeepSeekOCRAnalyticRequest*);
    grpc::StatusCode code;
    std::string text;
  };
  const Case cases[] = {
      {[](auto* r) { r->set_workload_profile_id("dsocr-tiny-v2"); }, grpc::StatusCode::NOT_FOUND, "dsocr-tiny-v1"},
      {[](auto* r) { r->set_model_id("deepseek-ai/DeepSeek-OCX"); }, grpc::StatusCode::NOT_FOUND,
       "deepseek-ai/DeepSeek-OCR"},
      {[](auto* r) { r->set_model_variant("deepseek-ocr-v3"); }, grpc::StatusCode::NOT_FOUND, "deepseek-ocr-v2"},
      {[](auto* r) { r->set_device("cuda:99"); }, grpc::StatusCode::NOT_FOUND, "cuda:99"},
      {[](auto* r) { r->set_device("h2OO"); }, grpc::StatusCode::NOT_FOUND, "h2OO"},
      {[](auto* r) { r->set_dtype("fp8"); }, grpc::StatusCode::INVALID_ARGUMENT, "fp8"},
      {[](auto* r) { r->mutable_workload()->set_crop_mode(2); }, grpc::StatusCode::INVALID_ARGUMENT, "crop_mode"},
      {[](auto* r) { r->mutable_workload()->set_base_size(-16); }, grpc::StatusCode::INVALID_ARGUMENT, "base_size"},
      {[](auto* r) { r->mutable_workload()->set_seq_len(10); }, grpc::StatusCode::INVALID_ARGUMENT, "seq_len"},
      {[](auto* r) { r->set_model_dir("relative"); }, grpc::StatusCode::INVALID_ARGUMENT, "model_dir"},
      {[](auto* r) { r->set_run_id("../escape"); }, grpc::StatusCode::INVALID_ARGUMENT, "run id"},
      {[](auto* r) { r->set_artifacts_root("relative"); }, grpc::StatusCode::INVALID_ARGUMENT, "artifacts_root"},
      {[](auto* r) { r->set_calibration("c-000000000000"); }, grpc::StatusCode::NOT_FOUND, "c-000000000000"},
      {[](auto* r) { r->set_operator_snapshot("/nowhere"); }, grpc::StatusCode::INVALID_ARGUMENT, "'/nowhere'"},
  };
  for (const Case& wrong : cases) {
    v1::DeepSeekOCRAnalyticRequest request = Tiny();
    wrong.change(&request);
    v1::DeepSeekOCRAnalyticAccepted accepted;
    const grpc::Status status = RunAnalytic(request, &accepted);
    EXPECT_EQ(status.error_code(), wrong.code) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(wrong.text));
    EXPECT_EQ(status.error_message().find('\n'), std::string::npos);
    google::rpc::Status details;
    google::rpc::ErrorInfo info;
    ASSERT_TRUE(details.ParseFromString(status.error_details()) && details.details_size() == 1);
    ASSERT_TRUE(details.details(0).UnpackTo(&info));
    EXPECT_EQ(info.domain(), "dsocr");
    EXPECT_EQ(info.reason(), wrong.code == grpc::StatusCode::NOT_FOUND ? "NOT_FOUND" : "INVALID_ARGUMENT");
  }
  EXPECT_FALSE(std::filesystem::exists(directory_ / "callers-own")) << "nothing half-written";
}

TEST_F(DaemonTest, ExportComesInChunksThatMakeTheStoredDocument) {
  const std::string id = MustRunAnalytic(Tiny());
  grpc::ClientContext context;
  v1::ExportReportRequest request;
  request.set_report_id(id);
  request.set_format(v1::EXPORT_FORMAT_JSON);
  const auto reader = analytic_->ExportReport(&context, request);
  std::string text;
  for (v1::Chunk chunk; reader->Read(&chunk);) {
    EXPECT_LE(chunk.data().size(), size_t{1} << 20);
    text += chunk.data();
  }
  ASSERT_TRUE(reader->Finish().ok());
  v1::AnalyticModelReport report;
  ASSERT_TRUE(GetReport(id, &report).ok());
  EXPECT_EQ(text, document::ToJson(report));
}

TEST_F(DaemonTest, UploadedReportIsChecked) {
  const std::string id = MustRunAnalytic(Tiny());
  v1::AnalyticModelReport report;
  ASSERT_TRUE(GetReport(id, &report).ok());
  report.mutable_modules(1)->set_parent_id("nowhere");
  const std::string text = document::ToJson(report);
  grpc::ClientContext context;
  v1::CheckReportResponse response;
  const auto writer = analytic_->CheckReport(&context, &response);
  v1::CheckReportRequest chunk;
  chunk.set_file_name("report.json");
  for (size_t begin = 0; begin < text.size(); begin += 100'000) {
    chunk.set_data(text.substr(begin, 100'000));
    writer->Write(chunk);
  }
  writer->WritesDone();
  ASSERT_TRUE(writer->Finish().ok());
  ASSERT_GT(response.problems_size(), 0);
  EXPECT_THAT(response.problems(0).path(), HasSubstr("modules["));
}

TEST_F(DaemonTest, WatchOfAReadyReportEndsAtOnce) {
  const std::string id = MustRunAnalytic(Tiny());
  grpc::ClientContext context;
  v1::GetReportRequest request;
  request.set_report_id(id);
  const auto reader = analytic_->WatchReport(&context, request);
  v1::ReportEvent event;
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.state(), v1::REPORT_STATE_READY);
  EXPECT_THAT(event.artifacts_dir(), HasSubstr("/static_analysis/analytic_model"));
  EXPECT_FALSE(reader->Read(&event));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(DaemonTest, DeletedReportIsGone) {
  const std::string id = MustRunAnalytic(Tiny());
  grpc::ClientContext context;
  v1::GetReportRequest request;
  request.set_report_id(id);
  v1::DeleteReportResponse response;
  ASSERT_TRUE(analytic_->DeleteReport(&context, request, &response).ok());
  v1::AnalyticModelReport report;
  EXPECT_EQ(GetReport(id, &report).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(DaemonTest, AnalyzeCountsTheParametersOfThePublishedModel) {
  grpc::ClientContext context;
  v1::AnalyzeRequest request;
  *request.mutable_request() = Tiny();
  v1::AnalyzeResponse response;
  ASSERT_TRUE(analytic_->Analyze(&context, request, &response).ok());
  EXPECT_THAT(response.json(), HasSubstr("3336106240"));
}

TEST_F(DaemonTest, CatalogueAndStatusAnswer) {
  const auto catalog = v1::CatalogService::NewStub(channel_);
  v1::ListWorkloadsResponse workloads;
  v1::ListModelsResponse models;
  v1::ListDevicesResponse devices;
  v1::DaemonStatus status;
  grpc::ClientContext contexts[4];
  ASSERT_TRUE(catalog->ListWorkloads(&contexts[0], {}, &workloads).ok());
  ASSERT_TRUE(catalog->ListModels(&contexts[1], {}, &models).ok());
  ASSERT_TRUE(catalog->ListDevices(&contexts[2], {}, &devices).ok());
  ASSERT_TRUE(catalog->GetStatus(&contexts[3], {}, &status).ok());
  EXPECT_EQ(workloads.workloads_size(), 6);
  EXPECT_EQ(models.models(0).hidden_size(), 1280);
  EXPECT_EQ(devices.devices(0).name(), "cpu");
  EXPECT_TRUE(devices.devices(0).present());
  EXPECT_EQ(status.pid(), ::getpid());
}

TEST_F(DaemonTest, KernelsAreClassifiedInOrder) {
  const auto catalog = v1::CatalogService::NewStub(channel_);
  v1::ClassifyKernelsRequest request;
  request.add_kernel_names("nvjet_tst_128x256_64x4_1x2_h_bz_coopA_TNT");
  request.add_kernel_names("void vllm::rms_norm_kernel<c10::BFloat16>(c10::BFloat16*)");
  request.add_kernel_names("");
  v1::ClassifyKernelsResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(catalog->ClassifyKernels(&context, request, &response).ok());
  EXPECT_THAT(response.category_ids(), ::testing::ElementsAre("gemm", "norm", "other"));
}

TEST_F(DaemonTest, KernelNamesHaveLimits) {
  const auto catalog = v1::CatalogService::NewStub(channel_);
  v1::ClassifyKernelsResponse response;
  v1::ClassifyKernelsRequest long_name;
  long_name.add_kernel_names(std::string(4096, 'x'));
  long_name.add_kernel_names(std::string(4097, 'x'));
  grpc::ClientContext contexts[2];
  grpc::Status status = catalog->ClassifyKernels(&contexts[0], long_name, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("kernel_names[1]: 4097 bytes"));
  v1::ClassifyKernelsRequest many;
  for (int i = 0; i < 100'001; ++i) {
    many.add_kernel_names("k");
  }
  status = catalog->ClassifyKernels(&contexts[1], many, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("kernel_names: 100001 of them"));
}

TEST_F(DaemonTest, RunWithoutARunnerFailsAndSaysWhichProgramIsMissing) {
  const auto profile = v1::ProfileService::NewStub(channel_);
  v1::StartRunRequest request;
  *request.mutable_model()->mutable_request() = Tiny();
  request.mutable_model()->mutable_request()->set_calibration("none");
  v1::StartRunResponse started;
  grpc::ClientContext start_context;
  ASSERT_TRUE(profile->StartRun(&start_context, request, &started).ok());
  grpc::ClientContext watch_context;
  v1::GetRunRequest watch;
  watch.set_run_id(started.run_id());
  const auto reader = profile->WatchRun(&watch_context, watch);
  v1::RunEvent event;
  while (reader->Read(&event)) {
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(event.run().state(), v1::RUN_STATE_FAILED);
  EXPECT_THAT(event.run().error(), HasSubstr("/nonexistent/dsocr-runner"));
}

TEST_F(DaemonTest, SecondDaemonOnTheSameSocketIsRefused) {
  EXPECT_EQ(Daemon::Start(config_, surroundings_, &log_).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(DaemonTest, ReportsSurviveARestart) {
  const std::string id = MustRunAnalytic(Tiny());
  daemon_.reset();
  auto again = Daemon::Start(config_, surroundings_, &log_);
  ASSERT_TRUE(again.ok()) << again.status();
  daemon_ = *std::move(again);
  const auto fresh =
      v1::AnalyticService::NewStub(grpc::CreateCustomChannel(config_.listen[0], grpc::InsecureChannelCredentials(), [] {
        grpc::ChannelArguments arguments;
        arguments.SetInt("test.fresh_channel", 1);
        return arguments;
      }()));
  grpc::ClientContext context;
  v1::GetReportRequest request;
  request.set_report_id(id);
  v1::AnalyticModelReport report;
  const grpc::Status status = fresh->GetReport(&context, request, &report);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

// --- Hostile peers of gRPC's socket

class HostilePeerTest : public DaemonTest {
 protected:
  UniqueFd Connect() const {
    UniqueFd peer(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (directory_ / "s").string().copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::connect(peer.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return peer;
  }
  static void Send(const UniqueFd& peer, const std::string& bytes) {  // as far as it is taken
    [[maybe_unused]] const ssize_t sent = ::send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  // The daemon has closed the connection.
  static bool IsDropped(const UniqueFd& peer) {
    char bytes[4096];
    pollfd event{peer.get(), POLLIN, 0};
    constexpr int kPatienceMs = 60'000;
    while (::poll(&event, 1, kPatienceMs) > 0) {
      if (::recv(peer.get(), bytes, sizeof(bytes), 0) <= 0) {
        return true;
      }
    }
    return false;
  }

  const std::string preface_ = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
};

TEST_F(HostilePeerTest, WhatIsNoHttp2CostsOnlyItsOwnConnection) {
  const std::string giant_settings("\xff\xff\xff\x04\0\0\0\0\0", 9);  // a frame of 16 MiB
  for (const std::string& attack : {std::string(100'000, '\xff'), std::string("GET / HTTP/1.1\r\n\r\n"),
                                    preface_ + std::string(100'000, '\xff'), preface_ + giant_settings}) {
    const UniqueFd peer = Connect();
    Send(peer, attack);
    EXPECT_TRUE(IsDropped(peer)) << attack.substr(0, 40);
  }
  EXPECT_FALSE(MustRunAnalytic(Tiny()).empty());
}

TEST_F(HostilePeerTest, SilentConnectionsKeepNobodyOut) {
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 300; ++i) {
    silent.push_back(Connect());
    Send(silent.back(), preface_.substr(0, static_cast<size_t>(i) % (preface_.size() + 1)));
  }
  EXPECT_FALSE(MustRunAnalytic(Tiny()).empty());
}

TEST_F(HostilePeerTest, AMessageOverTheLimitIsRefused) {
  v1::DeepSeekOCRAnalyticRequest request = Tiny();
  request.set_artifacts_root(std::string(5 << 20, 'x'));
  v1::DeepSeekOCRAnalyticAccepted accepted;
  EXPECT_EQ(RunAnalytic(request, &accepted).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_FALSE(MustRunAnalytic(Tiny()).empty());
}

}  // namespace
}  // namespace dsocr::service
