// `dsocrctl calibrate` against a ValidationService that answers from what the test has put into it.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/app.h"
#include "client/exit_code.h"
#include "dsocr/v1/validation.grpc.pb.h"
#include "gmock/gmock.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/client/fake_daemon.h"
#include "tests/scratch_directory.h"

namespace dsocr::client {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class FakeValidation : public v1::ValidationService::Service {
 public:
  grpc::Status Calibrate(grpc::ServerContext*, const v1::CalibrateRequest* request,
                         grpc::ServerWriter<v1::CalibrateEvent>* writer) override {
    calibrate_request = *request;
    v1::CalibrateEvent event;
    event.set_message("measuring");
    writer->Write(event);
    *event.mutable_result() = calibrated;
    writer->Write(event);
    return refusal;
  }
  grpc::Status FitCalibration(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::FitCalibrationResponse, v1::FitCalibrationRequest>* stream) override {
    v1::FitCalibrationRequest message;
    for (bool is_first = true; stream->Read(&message); is_first = false) {
      table += message.table();
      largest_piece = std::max(largest_piece, message.table().size());
      if (is_first) {
        fit_request = message;
        fit_request.clear_table();
      }
    }
    v1::FitCalibrationResponse part;
    *part.mutable_summary() = summary;
    stream->Write(part);
    part.Clear();
    for (const char* piece : {"calib", "ration"}) {
      part.set_calibration(piece);
      stream->Write(part);
    }
    part.Clear();
    part.set_split("split");
    stream->Write(part);
    return refusal;
  }
  grpc::Status EvalCalibration(grpc::ServerContext*, grpc::ServerReader<v1::EvalCalibrationRequest>* reader,
                               v1::EvalCalibrationResponse* response) override {
    v1::EvalCalibrationRequest message;
    for (bool is_first = true; reader->Read(&message); is_first = false) {
      table += message.table();
      calibration += message.calibration();
      split += message.split();
      if (is_first) {
        eval_request = message;
      }
    }
    *response = scores;
    return refusal;
  }

  v1::DeviceCalibration calibrated;
  v1::CalibrationSummary summary;
  v1::EvalCalibrationResponse scores;
  grpc::Status refusal;

  v1::CalibrateRequest calibrate_request;
  v1::FitCalibrationRequest fit_request;
  v1::EvalCalibrationRequest eval_request;
  std::string table;
  std::string calibration;
  std::string split;
  size_t largest_piece = 0;
};

class Calibrate : public ::testing::Test {
 protected:
  Calibrate() {
    io.working_dir = directory_.path();
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
    builder.RegisterService(&service);
    server_ = builder.BuildAndStart();
    v1::OperatorScore& score = (*service.scores.mutable_classes())["gemm"];
    score.set_n(1200);
    score.set_mape(0.0625);
    score.set_bias(-0.01);
    score.set_coverage_90(0.9);
    score.mutable_baselines()->mutable_nearest()->set_mape(0.25);
    service.scores.set_calibration_device("h100-sxm");
    service.scores.add_notes("a note");
    service.summary.set_device("h100-sxm");
    service.summary.set_rows(60);
    service.calibrated.set_calibration_id("c-1");
    directory_.Write("t.csv", "op\n");
    directory_.Write("c.json", "{}");
  }
  ~Calibrate() override { server_->Shutdown(); }

  int Run(std::vector<std::string> arguments) {
    io.out.clear();
    io.err.clear();
    arguments.insert(arguments.begin(), "calibrate");
    arguments.insert(arguments.end(), {"--server", address_});
    return RunApp(arguments, io);
  }

  std::string Text(const std::string& name) const {
    std::ifstream stream(directory_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  const ScratchDirectory directory_;
  const std::string address_ = "unix:" + (directory_ / "d.sock").string();
  FakeValidation service;
  std::unique_ptr<grpc::Server> server_;
  FakeIo io;
};

TEST_F(Calibrate, FitSendsTheTableInPiecesAndWritesBothFiles) {
  const std::string table(2'500'000, 'x');
  directory_.Write("large.csv.gz", table);
  EXPECT_EQ(Run({"fit", "--table", "large.csv.gz", "--points", "60", "--seed=7", "--op", "gemm", "--split", "s.json",
                 "--device-profile", "h100-sxm", "--out", "new.json"}),
            kExitDone)
      << io.err;
  EXPECT_EQ(service.table, table);
  EXPECT_LE(service.largest_piece, size_t{1} << 20);
  EXPECT_EQ(service.fit_request.table_file_name(), "large.csv.gz");
  EXPECT_EQ(service.fit_request.points(), 60);
  EXPECT_EQ(service.fit_request.seed(), 7);
  EXPECT_EQ(service.fit_request.op(), "gemm");
  EXPECT_TRUE(service.fit_request.wants_split());
  EXPECT_EQ(service.fit_request.profile().name(), "h100-sxm");
  EXPECT_EQ(Text("new.json"), "calibration");
  EXPECT_EQ(Text("s.json"), "split");
  EXPECT_THAT(io.out, HasSubstr("laws of h100-sxm"));
}

TEST_F(Calibrate, AProfileThatIsAFileIsSent) {
  directory_.Write("p.yaml", "name: X\n");
  EXPECT_EQ(Run({"fit", "--table", "t.csv", "--device-profile", "p.yaml", "--out", "new.json"}), kExitDone) << io.err;
  EXPECT_EQ(service.fit_request.profile().file_name(), "p.yaml");
  EXPECT_EQ(service.fit_request.profile().data(), "name: X\n");
  EXPECT_EQ(service.fit_request.points(), 0);
}

TEST_F(Calibrate, EvalSendsAllFilesAndShowsScores) {
  directory_.Write("s.json", "split");
  EXPECT_EQ(Run({"eval", "--table", "t.csv", "--calibration", "c.json", "--split", "s.json", "--allow-stale"}),
            kExitDone)
      << io.err;
  EXPECT_EQ(service.table, "op\n");
  EXPECT_EQ(service.calibration, "{}");
  EXPECT_EQ(service.split, "split");
  EXPECT_TRUE(service.eval_request.allow_stale());
  EXPECT_EQ(service.eval_request.calibration_file_name(), "c.json");
  EXPECT_THAT(io.out, HasSubstr("CLASS   ROWS   MAPE"));
  EXPECT_THAT(io.out, HasSubstr("gemm   1,200  6.2 %"));
  EXPECT_THAT(io.out, HasSubstr("25.0 %"));
  EXPECT_THAT(io.err, HasSubstr("note: a note"));
}

TEST_F(Calibrate, EvalAsADocumentHasFractions) {
  ASSERT_EQ(Run({"eval", "--table", "t.csv", "--calibration", "c.json", "-o", "json"}), kExitDone) << io.err;
  const nlohmann::json document = nlohmann::json::parse(io.out);
  EXPECT_EQ(document["classes"]["gemm"]["mape"], 0.0625);
  EXPECT_EQ(document["classes"]["gemm"]["baselines"]["nearest"]["mape"], 0.25);
  EXPECT_TRUE(document["classes"]["gemm"]["baselines"]["roofline"].is_null());
  ASSERT_EQ(Run({"eval", "--table", "t.csv", "--calibration", "c.json", "-o", "csv"}), kExitDone) << io.err;
  EXPECT_THAT(io.out, HasSubstr("gemm,1200,0.0625,"));
}

TEST_F(Calibrate, WhatIsMissingOrThereAlreadyIsWrongUsage) {
  EXPECT_EQ(Run({"fit", "--out", "new.json"}), kExitUsage);
  EXPECT_THAT(io.err, HasSubstr("--table: it is missing"));
  EXPECT_EQ(Run({"fit", "--table", "t.csv"}), kExitUsage);
  EXPECT_THAT(io.err, HasSubstr("--out: it is missing"));
  EXPECT_EQ(Run({"eval", "--table", "t.csv"}), kExitUsage);
  EXPECT_THAT(io.err, HasSubstr("--calibration: it is missing"));
  EXPECT_EQ(Run({"fit", "--table", "none.csv", "--out", "new.json"}), kExitUsage);
  EXPECT_THAT(io.err, HasSubstr("none.csv"));
  EXPECT_EQ(Run({"fit", "--table", "t.csv", "--out", "c.json"}), kExitUsage);
  EXPECT_THAT(io.err, HasSubstr("give --force"));
  EXPECT_EQ(Run({"fit", "--table", "t.csv", "--out", "c.json", "--force"}), kExitDone) << io.err;
  EXPECT_EQ(Text("c.json"), "calibration");
  EXPECT_EQ(Run({"fit", "--table", "t.csv", "--points", "0", "--out", "new.json"}), kExitUsage);
  EXPECT_EQ(Run({"fit", "--table", "t.csv", "--op", "conv", "--out", "new.json"}), kExitUsage);
  EXPECT_EQ(Run({"fti"}), kExitUsage);
}

TEST_F(Calibrate, ARefusedFitLeavesNoFile) {
  service.refusal = {grpc::StatusCode::INVALID_ARGUMENT, "table 't.csv': line 2: m: \"0\": no size", "info"};
  EXPECT_EQ(Run({"fit", "--table", "t.csv", "--out", "new.json", "--points", "3", "--split", "s.json"}), kExitUsage);
  EXPECT_THAT(io.out, IsEmpty());
  EXPECT_EQ(io.err, "dsocrctl: error: table 't.csv': line 2: m: \"0\": no size\n");
  EXPECT_FALSE(std::filesystem::exists(directory_ / "new.json"));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "s.json"));
}

TEST_F(Calibrate, ADeviceIsMeasuredAndSaysSo) {
  EXPECT_EQ(Run({"--device", "cpu", "--dtype", "fp32"}), kExitDone) << io.err;
  EXPECT_EQ(service.calibrate_request.device(), "cpu");
  EXPECT_EQ(service.calibrate_request.dtype(), "fp32");
  EXPECT_THAT(io.err, HasSubstr("measuring"));
  EXPECT_THAT(io.out, HasSubstr("c-1"));
  EXPECT_EQ(service.calibrate_request.budget_ms(), 0);
  service.calibrated.set_stale("version 0.0.1");
  EXPECT_EQ(Run({"--allow-stale", "-o", "json"}), kExitDone) << io.err;
  EXPECT_TRUE(service.calibrate_request.allow_stale());
  EXPECT_EQ(nlohmann::json::parse(io.out)["calibration_id"], "c-1");
  EXPECT_THAT(io.err, HasSubstr("version 0.0.1 is kept"));
}

TEST_F(Calibrate, BudgetAndRunAreSentAndErrorsShown) {
  v1::CategoryFit& fit = *service.calibrated.add_categories();
  fit.set_category_id("attention");
  fit.set_points(12);
  fit.mutable_held_out()->set_n(12);
  fit.mutable_held_out()->set_mape(0.125);
  service.calibrated.set_discarded_share(0.5);
  EXPECT_EQ(Run({"--device", "cpu", "--budget", "90s", "--run", "latest"}), kExitDone) << io.err;
  EXPECT_EQ(service.calibrate_request.budget_ms(), 90'000);
  EXPECT_EQ(service.calibrate_request.report_id(), "latest");
  EXPECT_THAT(io.out, ContainsRegex("attention +12 +12.5 %"));
  EXPECT_THAT(io.out, HasSubstr("50.0 %"));
}

}  // namespace
}  // namespace dsocr::client
