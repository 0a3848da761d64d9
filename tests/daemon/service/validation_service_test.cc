// ValidationService over a socket, with the runner of tests/fake.
#include "daemon/service/validation_service.h"

#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "daemon/service/daemon.h"
#include "dsocr/v1/validation.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/calibrate/generated_table.h"
#include "tests/daemon/service/daemon_fixture.h"

namespace dsocr::service {
namespace {

using ::testing::HasSubstr;

class ValidationServiceTest : public DaemonFixture {
 protected:
  ValidationServiceTest() : DaemonFixture(DSOCR_FAKE_RUNNER) { stub_ = v1::ValidationService::NewStub(channel_); }

  struct Fitted {
    v1::CalibrationSummary summary;
    std::string calibration;
    std::string split;
  };
  grpc::Status Fit(v1::FitCalibrationRequest request, const std::vector<std::string>& pieces, Fitted* fitted) {
    grpc::ClientContext context;
    const auto stream = stub_->FitCalibration(&context);
    for (const std::string& piece : pieces) {
      request.set_table(piece);
      stream->Write(request);
      request.Clear();
    }
    stream->WritesDone();
    for (v1::FitCalibrationResponse part; stream->Read(&part);) {
      if (part.has_summary()) {
        fitted->summary = part.summary();
      }
      fitted->calibration += part.calibration();
      fitted->split += part.split();
    }
    return stream->Finish();
  }
  grpc::Status Eval(const v1::EvalCalibrationRequest& request, v1::EvalCalibrationResponse* response) {
    grpc::ClientContext context;
    const auto writer = stub_->EvalCalibration(&context, response);
    writer->Write(request);
    writer->WritesDone();
    return writer->Finish();
  }
  grpc::Status Calibrate(const v1::CalibrateRequest& request, std::vector<v1::CalibrateEvent>* events) {
    grpc::ClientContext context;
    const auto reader = stub_->Calibrate(&context, request);
    for (v1::CalibrateEvent event; reader->Read(&event);) {
      events->push_back(event);
    }
    return reader->Finish();
  }

  std::unique_ptr<v1::ValidationService::Stub> stub_;
};

TEST_F(ValidationServiceTest, ATableInPiecesIsFittedAndJudged) {
  const std::string table = calibrate::GemmTable(200);
  v1::FitCalibrationRequest request;
  request.set_points(50);
  request.set_wants_split(true);
  Fitted fitted;
  const grpc::Status status = Fit(request, {table.substr(0, 1000), table.substr(1000)}, &fitted);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(fitted.summary.rows(), 50);
  v1::EvalCalibrationRequest judge;
  judge.set_table(table);
  judge.set_calibration(fitted.calibration);
  judge.set_split(fitted.split);
  v1::EvalCalibrationResponse response;
  const grpc::Status judged = Eval(judge, &response);
  ASSERT_TRUE(judged.ok()) << judged.error_message();
  EXPECT_EQ(response.scored_rows(), 150);
  EXPECT_EQ(response.calibration_sha256(), fitted.summary.rows_sha256());
}

// 50,000 rows of 200 sizes: little to fit, and much to send both ways.
TEST_F(ValidationServiceTest, LargeFilesTravelInPieces) {
  const std::string few = calibrate::GemmTable(200);
  std::string table = few;
  for (int i = 1; i < 250; ++i) {
    table.append(few, few.find('\n') + 1);
  }
  std::vector<std::string> pieces;
  for (size_t begin = 0; begin < table.size(); begin += 1 << 20) {
    pieces.push_back(table.substr(begin, 1 << 20));
  }
  v1::FitCalibrationRequest request;
  request.set_points(50'000);
  request.set_wants_split(true);
  Fitted fitted;
  const grpc::Status status = Fit(request, pieces, &fitted);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_GT(fitted.split.size(), size_t{1} << 20);
  EXPECT_THAT(fitted.split, ::testing::EndsWith("\n]\n}\n"));
  EXPECT_EQ(fitted.summary.rows(), 50'000);
}

TEST_F(ValidationServiceTest, UploadsThatAreTooLargeAreRefused) {
  Fitted fitted;
  const grpc::Status chunk = Fit({}, {std::string((1 << 20) + 1, ',')}, &fitted);
  EXPECT_EQ(chunk.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const grpc::Status all = Fit({}, std::vector<std::string>(65, std::string(1 << 20, ',')), &fitted);
  EXPECT_EQ(all.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(all.error_message(), HasSubstr("table: more than"));
  v1::FitCalibrationRequest request;
  request.mutable_profile()->set_file_name("p.json");
  request.mutable_profile()->set_data(std::string(65 * 1024, ' '));
  EXPECT_THAT(Fit(request, {calibrate::GemmTable(20)}, &fitted).error_message(), HasSubstr("device profile 'p.json'"));
  EXPECT_EQ(Fit({}, {}, &fitted).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ValidationServiceTest, ADeviceIsMeasuredOnRequestAndKept) {
  v1::CalibrateRequest request;
  request.set_device("cpu");
  std::vector<v1::CalibrateEvent> events;
  const grpc::Status status = Calibrate(request, &events);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_FALSE(events.empty());
  const v1::DeviceCalibration result = events.back().result();
  EXPECT_EQ(result.points(), 2);
  EXPECT_EQ(result.dtype(), "bf16");
  EXPECT_FALSE(result.has_stale());
  EXPECT_EQ(result.torch_version(), "2.0.0-fake");
  EXPECT_EQ(result.discarded_share(), 0.25);
  ASSERT_EQ(result.categories_size(), 1);
  EXPECT_EQ(result.categories(0).held_out().n(), 2);
  request.set_allow_stale(true);
  events.clear();
  ASSERT_TRUE(Calibrate(request, &events).ok());
  EXPECT_EQ(events.back().result().calibration_id(), result.calibration_id());  // it is of today: nothing to keep
}

TEST_F(ValidationServiceTest, AStaleCalibrationIsKeptOnlyWhereThatIsAllowed) {
  {
    const auto store = *store::Store::Open(config_.store);
    const std::string device = calibrate::Machine::Probe().cpu_name;
    ASSERT_TRUE(store
                    ->PutCalibration({"c-old",
                                      {device, "bf16", "", "0.0.1"},
                                      R"({"dtype": "bf16", "points": [{"category": "gemm", "flops": 1,
                                          "vector_flops": 0, "bytes": 1, "launches": 1, "time_ns": 1}]})"})
                    .ok());
  }
  v1::CalibrateRequest request;
  request.set_device("cpu");
  request.set_allow_stale(true);
  std::vector<v1::CalibrateEvent> events;
  ASSERT_TRUE(Calibrate(request, &events).ok());
  EXPECT_EQ(events.back().result().stale(), "version 0.0.1");
  EXPECT_EQ(events.back().result().points(), 1);
  request.set_allow_stale(false);
  events.clear();
  ASSERT_TRUE(Calibrate(request, &events).ok());
  EXPECT_EQ(events.back().result().points(), 2);
}

TEST_F(ValidationServiceTest, BudgetsAndRunsThatCannotBeAreRefused) {
  std::vector<v1::CalibrateEvent> events;
  v1::CalibrateRequest request;
  request.set_device("cpu");
  request.set_budget_ms(3'600'001);
  EXPECT_EQ(Calibrate(request, &events).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.set_budget_ms(999);
  EXPECT_EQ(Calibrate(request, &events).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.set_budget_ms(0);
  request.set_report_id("latest");
  EXPECT_EQ(Calibrate(request, &events).error_code(), grpc::StatusCode::NOT_FOUND);
  request.set_allow_stale(true);
  EXPECT_EQ(Calibrate(request, &events).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(events.empty());
}

TEST_F(ValidationServiceTest, DevicesThatAreNotHereAreRefused) {
  std::vector<v1::CalibrateEvent> events;
  v1::CalibrateRequest request;
  request.set_device("l4");
  EXPECT_EQ(Calibrate(request, &events).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  request.set_device("cuda:99");
  EXPECT_EQ(Calibrate(request, &events).error_code(), grpc::StatusCode::NOT_FOUND);
  request.set_device("cpu");
  request.set_dtype("fp8");
  EXPECT_EQ(Calibrate(request, &events).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(events.empty());
}

}  // namespace
}  // namespace dsocr::service
