#include "daemon/what_if/answer.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/status.h"
#include "daemon/calibrate/calibration.h"
#include "daemon/calibrate/run_points.h"
#include "daemon/report/report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/analytic/routings.h"
#include "tests/scratch_directory.h"

namespace dsocr::what_if {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kCalibration[] =
    R"({"device": {"name": "X", "kind": "cpu", "driver": "", "cores": 2}, "dtype": "bf16", "seconds": 1.5, "points": [
        {"category": "gemm", "name": "a", "flops": 1000000000, "vector_flops": 0, "bytes": 1000000, "launches": 1, "time_ns": 5000000}]})";

v1::AnalyticModelReport ReportOf(const analytic::ModelSpec& model, const analytic::Workload& workload,
                                 const analytic::Device& device) {
  report::ReportInput input;
  input.report_id = "r-1";
  input.model = model;
  input.config_path = "/of another machine/config.json";
  input.workload = workload;
  input.device = device;
  input.layer_docs_dir = "/layers";
  input.provenance.mutable_device()->set_name(device.name);
  input.provenance.mutable_device()->set_kind(device.kind == analytic::DeviceKind::kCpu ? "cpu" : "cuda");
  input.provenance.set_dtype(std::string(analytic::PrecisionName(workload.precision)));
  if (!device.calibration_id.empty()) {
    input.provenance.set_calibration_id(device.calibration_id);
  }
  return *report::BuildReport(input);
}

v1::AnalyticModelReport Report() {
  return ReportOf(analytic::ModelCatalogue().front(), analytic::WorkloadCatalogue().front(),
                  *analytic::FindDevice("h100-sxm"));
}

v1::WhatIfRequest Request(const std::vector<std::pair<std::string, std::string>>& parameters,
                          const std::vector<std::string>& sweeps = {}) {
  v1::WhatIfRequest request;
  for (const auto& [key, value] : parameters) {
    (*request.mutable_parameters())[key] = value;
  }
  request.mutable_sweeps()->Assign(sweeps.begin(), sweeps.end());
  return request;
}

class WhatIfAnswer : public ::testing::Test {
 protected:
  absl::StatusOr<v1::WhatIfResponse> Ask(const v1::AnalyticModelReport& report, const v1::WhatIfRequest& request) {
    v1::WhatIfResponse response;
    DSOCR_RETURN_IF_ERROR(Answer(report, request, store_.get(), [&](const v1::WhatIfResponse& part) {
      EXPECT_LT(part.ByteSizeLong(), size_t{1} << 20);
      response.MergeFrom(part);
      ++parts_;
      return true;
    }));
    return response;
  }

  void ExpectBaselineIs(const v1::AnalyticModelReport& report) {
    const absl::StatusOr<v1::WhatIfResponse> response = Ask(report, {});
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_THAT(response->notes(), IsEmpty());
    const v1::WhatIfScenario& baseline = response->baseline();
    EXPECT_EQ(baseline.total_time_ms(), report.predicted_total_time_ms());
    ASSERT_EQ(baseline.modules_size(), report.module_metrics_size());
    for (int i = 0; i < baseline.modules_size(); ++i) {
      EXPECT_EQ(baseline.modules(i).module_id(), report.module_metrics(i).module_id());
      EXPECT_EQ(baseline.modules(i).time_ms(), report.module_metrics(i).total_time_ms());
      EXPECT_EQ(baseline.modules(i).flops_tf(), report.module_metrics(i).total_flops_tflops());
    }
    EXPECT_EQ(baseline.memory_gb().weights(), report.module_metrics(0).memory_weights_gb());
    EXPECT_EQ(baseline.memory_gb().activations(), report.module_metrics(0).memory_activations_gb());
    EXPECT_EQ(baseline.memory_gb().kvcache(), report.module_metrics(0).memory_kvcache_gb());
    ASSERT_THAT(response->scenarios(), SizeIs(1));
    EXPECT_EQ(response->scenarios(0).SerializeAsString(), baseline.SerializeAsString());
  }

  const ScratchDirectory directory_;
  const std::unique_ptr<store::Store> store_ = *store::Store::Open("sqlite:" + (directory_ / "db").string());
  int parts_ = 0;
};

TEST_F(WhatIfAnswer, BaselineIsTheReport) {
  for (const analytic::Workload& workload : analytic::WorkloadCatalogue()) {
    for (const char* device : {"h200-sxm", "l4", "cpu"}) {
      ExpectBaselineIs(ReportOf(analytic::ModelCatalogue().front(), workload, *analytic::FindDevice(device)));
    }
  }
}

TEST_F(WhatIfAnswer, BaselineOfACalibratedReportNeedsItsCalibration) {
  const store::CalibrationKey key{.device_name = "X", .dtype = "bf16", .driver = "", .tool_version = "1"};
  const absl::StatusOr<std::string> id = calibrate::KeepCalibration(kCalibration, key, store_.get());
  ASSERT_TRUE(id.ok()) << id.status();
  const auto device = calibrate::ApplyCalibration(*analytic::FindDevice("cpu"), *id, key, store_.get());
  ASSERT_TRUE(device.ok()) << device.status();
  v1::AnalyticModelReport report =
      ReportOf(analytic::ModelCatalogue().front(), analytic::WorkloadCatalogue().front(), device->device);
  ExpectBaselineIs(report);

  report.mutable_provenance()->set_calibration_id("c-of-another-machine");
  const auto response = Ask(report, {});
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_FALSE(response->notes().empty());
  EXPECT_THAT(response->notes(0), HasSubstr("calibration 'c-of-another-machine' is not at hand"));
  EXPECT_NEAR(response->baseline().total_time_ms() / report.predicted_total_time_ms(), 1, 0.01);
  EXPECT_EQ(response->baseline().total_flops_tflops(), report.module_metrics(0).total_flops_tflops());
}

TEST_F(WhatIfAnswer, TheRoutingOfTheCalibrationIsThatOfTheReport) {
  const store::CalibrationKey key{.device_name = "X", .dtype = "bf16", .driver = "", .tool_version = "1"};
  analytic::ModelSpec model = analytic::ModelCatalogue().front();
  calibrate::RunPoints recorded = {.source = "run:r-1", .points = {}, .routing = calibrate::RecordedRouting()};
  recorded.routing->routing = analytic::UnevenRouting(model.decoder, 200, 20);
  recorded.routing->weights.set_path("/weights");
  const absl::StatusOr<std::string> document = calibrate::WithPoints(kCalibration, recorded);
  ASSERT_TRUE(document.ok()) << document.status();
  const absl::StatusOr<std::string> id = calibrate::KeepCalibration(*document, key, store_.get());
  ASSERT_TRUE(id.ok()) << id.status();
  const auto calibrated = calibrate::ApplyCalibration(*analytic::FindDevice("cpu"), *id, key, store_.get());
  ASSERT_TRUE(calibrated.ok()) << calibrated.status();
  const analytic::Workload& workload = analytic::WorkloadCatalogue().front();
  const v1::AnalyticModelReport even = ReportOf(model, workload, calibrated->device);
  EXPECT_EQ(calibrate::UseRouting(calibrated->routing, v1::Weights(), &model),
            "routed experts by the routing of run r-1");
  const v1::AnalyticModelReport report = ReportOf(model, workload, calibrated->device);
  EXPECT_NE(report.predicted_total_time_ms(), even.predicted_total_time_ms());
  ExpectBaselineIs(report);
}

TEST_F(WhatIfAnswer, FindsADeviceByItsDriversName) {
  v1::AnalyticModelReport report = Report();
  report.mutable_provenance()->mutable_device()->set_name("NVIDIA H100 80GB HBM3");
  ExpectBaselineIs(report);
}

// A module may wait for the host where it had not to: the operators before it are done sooner.
TEST_F(WhatIfAnswer, TwiceTheBandwidthIsFasterInAll) {
  const auto response = Ask(Report(), Request({{"memory-bandwidth-gbs", "6700"}}));
  ASSERT_TRUE(response.ok()) << response.status();
  const v1::WhatIfScenario& scenario = response->scenarios(0);
  EXPECT_EQ(scenario.parameters().at("memory_bandwidth_gbs").float_value(), 6700);
  EXPECT_LT(scenario.total_time_ms(), response->baseline().total_time_ms());
  for (int i = 0; i < scenario.modules_size(); ++i) {
    EXPECT_EQ(scenario.modules(i).flops_tf(), response->baseline().modules(i).flops_tf());
  }
}

TEST_F(WhatIfAnswer, SaysByHowMuchItFits) {
  const auto fits = Ask(Report(), Request({{"device_profile", "l4"}}));
  ASSERT_TRUE(fits.ok()) << fits.status();
  const v1::WhatIfScenario& small = fits->scenarios(0);
  EXPECT_TRUE(small.fits());
  EXPECT_NEAR(small.headroom_gb(), small.device_memory_gb() - small.memory_gb().total(), 1e-9);

  const auto misses = Ask(Report(), Request({{"device_profile", "l4"}, {"batch_scale", "4096"}}));
  ASSERT_TRUE(misses.ok()) << misses.status();
  EXPECT_FALSE(misses->scenarios(0).fits());
  EXPECT_LT(misses->scenarios(0).headroom_gb(), 0);
}

TEST_F(WhatIfAnswer, TwoSweepsAreAGridTheLastFastest) {
  const auto response = Ask(Report(), Request({{"dtype", "fp8w"}}, {"seq-len=512:1024:512", "batch_scale=1:3:1"}));
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_THAT(response->scenarios(), SizeIs(6));
  const auto at = [&](int i, const char* key) { return response->scenarios(i).parameters().at(key); };
  EXPECT_EQ(at(0, "seq_len").int_value(), 512);
  EXPECT_EQ(at(0, "batch_scale").float_value(), 1);
  EXPECT_EQ(at(1, "batch_scale").float_value(), 2);
  EXPECT_EQ(at(3, "seq_len").int_value(), 1024);
  EXPECT_EQ(at(5, "batch_scale").float_value(), 3);
  EXPECT_EQ(at(5, "dtype").string_value(), "fp8w");
}

TEST_F(WhatIfAnswer, LongAnswersComeInParts) {
  const auto full = Ask(Report(), Request({}, {"max_new_tokens=1:120:1"}));
  ASSERT_TRUE(full.ok()) << full.status();
  EXPECT_EQ(parts_, 3);
  EXPECT_THAT(full->scenarios(), SizeIs(120));

  v1::WhatIfRequest request = Request({}, {"memory_bandwidth_gbs=1:20000:1"});
  request.set_totals_only(true);
  const auto totals = Ask(Report(), request);
  ASSERT_TRUE(totals.ok()) << totals.status();
  EXPECT_THAT(totals->scenarios(), SizeIs(20000));
  EXPECT_THAT(totals->scenarios(0).modules(), IsEmpty());
}

TEST_F(WhatIfAnswer, EndsWhenNobodyListens) {
  int parts = 0;
  const absl::Status status =
      Answer(Report(), Request({}, {"max_new_tokens=1:120:1"}), store_.get(), [&](const v1::WhatIfResponse&) {
        ++parts;
        return false;
      });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(parts, 1);
}

TEST_F(WhatIfAnswer, TornadoHasTheLargestSwingFirst) {
  v1::WhatIfRequest request = Request({{"batch_scale", "2"}});
  request.set_tornado(true);
  const auto response = Ask(Report(), request);
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_GT(response->tornado_size(), 5);
  for (int i = 1; i < response->tornado_size(); ++i) {
    EXPECT_GE(response->tornado(i - 1).swing_ms(), response->tornado(i).swing_ms());
  }
  for (const v1::WhatIfTornadoBar& bar : response->tornado()) {
    if (bar.parameter() == "batch_scale") {
      EXPECT_EQ(bar.low().value(), 1);
      EXPECT_EQ(bar.low().total_time_ms(), response->baseline().total_time_ms());
    }
  }
}

TEST_F(WhatIfAnswer, RefusalsNameTheKnob) {
  struct Case {
    v1::WhatIfRequest request;
    absl::StatusCode code;
    std::string named;
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  const Case cases[] = {
      {Request({{"peak_tflop", "1"}}), kInvalid, "did you mean 'peak_tflops'?"},
      {Request({{"peak_tflops", "nan"}}), kInvalid, "peak_tflops nan"},
      {Request({{"peak_tflops", "0"}}), kInvalid, "peak_tflops 0"},
      {Request({{"peak_tflops", "1e-308"}, {"memory_bandwidth_gbs", "1e-308"}}), kInvalid, "peak_tflops"},
      {Request({{"memory_bandwidth_gbs", "inf"}}), kInvalid, "memory_bandwidth_gbs inf"},
      {Request({{"batch_scale", "0.5"}}), kInvalid, "batch_scale 0.5"},
      {Request({{"seq_len", "3"}}), kInvalid, "seq_len"},
      {Request({{"page", "0x1"}}), kInvalid, "page '0x1'"},
      {Request({{"dtype", "fp9"}}), kInvalid, "dtype 'fp9'"},
      {Request({{"tensor_parallel", "-1"}}), kInvalid, "tensor_parallel -1"},
      {Request({{"device_profile", "h10"}}), absl::StatusCode::kNotFound, "'h10'"},
      {Request({}, {"seq_len"}), kInvalid, "sweep 'seq_len'"},
      {Request({}, {"seq_len=512:1024:0"}), kInvalid, "a step of 0"},
      {Request({}, {"memory_bandwidth_gbs=1:1000000:1"}), kInvalid, "1000000 scenarios, at most 10000"},
      {Request({}, {"memory_bandwidth_gbs=1:10000000:1"}), kInvalid, "over 1000000"},
      {Request({}, {"seq_len=512:1024:512", "seq_len=512:1024:512"}), kInvalid, "twice"},
      {Request({}, {"seq_len=1:1024:1"}), kInvalid, "seq_len"},
  };
  for (const Case& refused : cases) {
    const absl::Status status = Ask(Report(), refused.request).status();
    EXPECT_EQ(status.code(), refused.code) << refused.named << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(refused.named));
  }
  v1::WhatIfRequest both = Request({}, {"seq_len=512:1024:512"});
  both.set_tornado(true);
  EXPECT_THAT(std::string(Ask(Report(), both).status().message()), HasSubstr("leave the sweeps out"));
}

TEST_F(WhatIfAnswer, RefusesAReportThatItsModelDidNotMake) {
  v1::AnalyticModelReport report = Report();
  report.mutable_module_metrics(0)->set_total_flops_tflops(1);
  EXPECT_THAT(std::string(Ask(report, {}).status().message()), HasSubstr("/of another machine/config.json"));

  report.clear_module_metrics();
  EXPECT_THAT(std::string(Ask(report, {}).status().message()), HasSubstr("predicts nothing"));
}

}  // namespace
}  // namespace dsocr::what_if
