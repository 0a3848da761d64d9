#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/report/report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/document.h"
#include "tests/analytic/routings.h"
#include "tests/daemon/report/sample_join.h"

namespace dsocr::report {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

absl::Status JoinError(const attribution::Result& measured) {
  v1::AnalyticModelReport report = BuildReport(SampleInput(), SamplePrediction());
  const std::string before = report.SerializeAsString();
  const absl::Status status = JoinMeasurement(measured, SamplePrediction(), SampleInput(), {v1::ROUTE_LAUNCH}, &report);
  EXPECT_EQ(report.SerializeAsString(), before);
  return status;
}

TEST(JoinMeasurement, EveryNodeHasAMeasurementInTreeOrder) {
  const v1::AnalyticModelReport report = JoinedReport();
  ASSERT_THAT(report.module_measurements(), SizeIs(report.modules_size()));
  for (int i = 0; i < report.modules_size(); ++i) {
    EXPECT_EQ(report.module_measurements(i).module_id(), report.modules(i).module_id());
  }
  EXPECT_TRUE(document::Validate(report).empty());
}

TEST(JoinMeasurement, PrintsNanosecondsAsMilliseconds) {
  const v1::ModuleMeasurement q_proj = JoinedReport().module_measurements(3);
  EXPECT_DOUBLE_EQ(q_proj.device_time_ms(), 2);
  EXPECT_DOUBLE_EQ(q_proj.self_device_time_ms(), 2);
  EXPECT_DOUBLE_EQ(q_proj.busy_time_ms(), 2);
  EXPECT_DOUBLE_EQ(q_proj.gap_time_ms(), 0.001);
  EXPECT_DOUBLE_EQ(q_proj.wall_time_ms(), 2.001);
  EXPECT_DOUBLE_EQ(q_proj.p95_ms(), 2.001);
  EXPECT_EQ(q_proj.launches(), 2);
  EXPECT_DOUBLE_EQ(q_proj.predicted_time_ms(), 1);
  EXPECT_DOUBLE_EQ(q_proj.residual_ms(), 1.001);
  // 4e9 FLOPs in 2.001 ms of a device that does 1e12 a second.
  EXPECT_DOUBLE_EQ(q_proj.mfu(), 4e9 / 2.001e-3 / 1e12);
  EXPECT_EQ(q_proj.bound(), v1::BOUND_COMPUTE);
}

TEST(JoinMeasurement, TheRootIsComparedWithTheTotal) {
  const v1::AnalyticModelReport report = JoinedReport();
  EXPECT_DOUBLE_EQ(report.measured_total_time_ms(), 4);
  EXPECT_DOUBLE_EQ(report.predicted_vs_measured_ratio(), 0.75);
  EXPECT_DOUBLE_EQ(report.module_measurements(0).residual_ms(), 1);
}

TEST(JoinMeasurement, AttributedAndUnattributedAreWhatWasCounted) {
  const v1::Attribution attribution = JoinedReport().attribution();
  EXPECT_DOUBLE_EQ(attribution.attributed_device_time_ms(), 3.5);
  EXPECT_DOUBLE_EQ(attribution.unattributed_device_time_ms(), 0.25);
  EXPECT_DOUBLE_EQ(attribution.attributed_share(), 3.5 / 3.75);
  EXPECT_EQ(attribution.operations(), 5);
  EXPECT_EQ(attribution.operations_unattributed(), 1);
  EXPECT_EQ(attribution.records_received(), 42);
  EXPECT_EQ(attribution.route(), v1::ROUTE_LAUNCH);
}

TEST(JoinMeasurement, CategoriesArePredictedMeasuredOrBoth) {
  const v1::ModuleMeasurement prefill = JoinedReport().module_measurements(1);
  ASSERT_THAT(prefill.operator_breakdown(), SizeIs(3));
  const v1::MeasuredOperator& gemm = prefill.operator_breakdown(0);
  EXPECT_EQ(gemm.category_id(), "gemm");
  EXPECT_DOUBLE_EQ(gemm.predicted_time_ms(), 1);
  EXPECT_DOUBLE_EQ(gemm.device_time_ms(), 2);
  EXPECT_DOUBLE_EQ(gemm.share_of_module_time(), 2 / 3.5);
  const v1::MeasuredOperator& copy = prefill.operator_breakdown(1);
  EXPECT_EQ(copy.category_id(), "copy");
  EXPECT_FALSE(copy.has_predicted_time_ms());
}

TEST(JoinMeasurement, ANodeThatDidNotRunHasZeros) {
  const v1::ModuleMeasurement decode = JoinedReport().module_measurements(5);
  EXPECT_EQ(decode.module_id(), "decode");
  EXPECT_EQ(decode.calls(), 0);
  EXPECT_EQ(decode.device_time_ms(), 0);
  EXPECT_EQ(decode.residual_ms(), 0);
  EXPECT_FALSE(decode.has_mfu());
  ASSERT_THAT(decode.operator_breakdown(), SizeIs(1));
  EXPECT_EQ(decode.operator_breakdown(0).category_id(), "gemv");
  EXPECT_NE(decode.bound(), v1::BOUND_UNSPECIFIED);
}

TEST(JoinMeasurement, AModuleThatMostlyWaitsIsBoundByThat) {
  attribution::Result measured = SampleMeasurement();
  measured.request.modules[4].gap_ns = 5'000'000;
  EXPECT_EQ(JoinedReport(measured).module_measurements(4).bound(), v1::BOUND_IDLE);
  ReportInput on_cpu = SampleInput();
  on_cpu.device.kind = analytic::DeviceKind::kCpu;
  v1::AnalyticModelReport report = BuildReport(on_cpu, SamplePrediction());
  ASSERT_TRUE(JoinMeasurement(measured, SamplePrediction(), on_cpu, {v1::ROUTE_LAUNCH}, &report).ok());
  EXPECT_EQ(report.module_measurements(4).bound(), v1::BOUND_HOST);
}

TEST(JoinMeasurement, NotesSayWhatAReaderMustKnow) {
  attribution::Result measured = SampleMeasurement();
  measured.records_dropped = 7;
  measured.unknown_ranges = {"warm\nup", std::string("\xff", 1), "c", "d"};
  const std::string notes = JoinedReport(measured).notes();
  EXPECT_THAT(notes, HasSubstr("7 records were dropped"));
  EXPECT_THAT(notes, HasSubstr("4 range names are no modules"));
  EXPECT_THAT(notes, HasSubstr("'warm?up', '?', 'c', …"));
}

TEST(JoinMeasurement, FailsLoudlyWherePartsAreNotTheWhole) {
  attribution::Result measured = SampleMeasurement();
  measured.request.attributed_ns += 1;
  const absl::Status status = JoinError(measured);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("add up to 3500000 ns, not to 3500001 ns"));

  measured = SampleMeasurement();
  measured.request.modules[4].categories[0].device_ns -= 1;
  EXPECT_THAT(std::string(JoinError(measured).message()), HasSubstr("the categories of 'prefill/sample'"));
}

TEST(JoinMeasurement, RefusesWhatTheTreeDoesNotKnow) {
  attribution::Result measured = SampleMeasurement();
  measured.request.modules[4].module_id = "prefill/layer[7]";
  EXPECT_THAT(std::string(JoinError(measured).message()), HasSubstr("5 modules were measured, 4 of them are nodes"));

  measured = SampleMeasurement();
  measured.request.modules[4].categories[0].category_id = "magic";
  EXPECT_EQ(JoinError(measured).code(), absl::StatusCode::kInternal);

  measured = SampleMeasurement();
  measured.request.modules.push_back(measured.request.modules[4]);
  EXPECT_THAT(std::string(JoinError(measured).message()), HasSubstr("measured twice"));
}

TEST(JoinMeasurement, NothingMeasuredIsNotZero) {
  EXPECT_EQ(JoinError(attribution::Result()).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(JoinMeasurement, HoldsForEveryProfileOfTheCatalogue) {
  for (const analytic::Workload& workload : analytic::WorkloadCatalogue()) {
    ReportInput input = SampleInput();
    input.workload = workload;
    const auto prediction = analytic::Predict(input.model, input.workload, input.device);
    ASSERT_TRUE(prediction.ok()) << prediction.status();
    v1::AnalyticModelReport report = BuildReport(input, *prediction);
    const attribution::Result measured = MeasurementOf(*prediction, /*leaf_ns=*/1003);
    const absl::Status status = JoinMeasurement(measured, *prediction, input, {v1::ROUTE_LAUNCH}, &report);
    ASSERT_TRUE(status.ok()) << status;
    for (const v1::CheckProblem& problem : document::Validate(report)) {
      ADD_FAILURE() << workload.profile_id << ": " << problem.ShortDebugString();
    }
    double self_ms = 0;
    for (const v1::ModuleMeasurement& measurement : report.module_measurements()) {
      self_ms += measurement.self_device_time_ms();
    }
    EXPECT_NEAR(self_ms, report.attribution().attributed_device_time_ms(), 1e-9 * self_ms);
  }
}

TEST(AddExpertsHit, IsTheMeanOverTheCallsOfAModule) {
  ReportInput input = SampleInput();
  input.workload.max_new_tokens = 3;  // two steps
  const analytic::Prediction prediction = *analytic::Predict(input.model, input.workload, input.device);
  v1::AnalyticModelReport report = BuildReport(input, prediction);
  ASSERT_TRUE(JoinMeasurement(MeasurementOf(prediction, 10), prediction, input, {v1::ROUTE_LAUNCH}, &report).ok());
  std::vector<ExpertsHit> layers = {{.layer = 0, .prefill = 9, .decode = 9}, {.layer = 12, .prefill = 9, .decode = 9}};
  for (int64_t layer = 1; layer < 12; ++layer) {  // 0 is dense, 12 is beyond the last
    layers.push_back({.layer = layer, .prefill = 50 + layer, .decode = 12});
  }
  layers[2].prefill_picks = {5, 0, 1};
  AddExpertsHit(layers, prediction, &report);
  for (const v1::ModuleMeasurement& measurement : report.module_measurements()) {
    if (measurement.module_id() == "prefill/layer[1-11]/moe/experts") {
      EXPECT_EQ(measurement.distinct_experts(), 56);
      ASSERT_EQ(measurement.expert_picks_size(), 1);
      EXPECT_EQ(measurement.expert_picks(0).layer(), 1);
      EXPECT_THAT(measurement.expert_picks(0).picks(), testing::ElementsAre(5, 0, 1));
    } else if (measurement.module_id() == "decode/layer[1-11]/moe/experts") {
      EXPECT_EQ(measurement.distinct_experts(), 6);
    } else {
      EXPECT_FALSE(measurement.has_distinct_experts()) << measurement.module_id();
    }
  }
}

// As the runner counts: the picks of every layer, and the experts that have any.
std::vector<ExpertsHit> CountedIn(const ReportInput& input) {
  const analytic::DecoderSpec& decoder = input.model.decoder;
  std::vector<ExpertsHit> layers;
  for (analytic::LayerPicks& layer : analytic::UnevenPicks(decoder, input.workload.seq_len)) {
    ExpertsHit& hit = layers.emplace_back();
    hit.layer = layer.layer;
    hit.prefill = std::count_if(layer.picks.begin(), layer.picks.end(), [](int64_t picks) { return picks > 0; });
    hit.prefill_picks = std::move(layer.picks);
  }
  const int64_t steps = input.workload.max_new_tokens - 1;
  const std::vector<analytic::LayerPicks> decode = analytic::UnevenPicks(decoder, steps);
  for (size_t i = 0; i < layers.size(); ++i) {
    layers[i].decode = steps * decoder.experts_per_token;
    layers[i].decode_picks = steps > 0 ? decode[i].picks : std::vector<int64_t>();
  }
  return layers;
}

TEST(CheckExpertsHit, TakesWhatARequestOfTheModelCanHave) {
  ReportInput input = SampleInput();
  EXPECT_TRUE(CheckExpertsHit({}, input).ok());
  for (const int64_t new_tokens : {1, 2, 9}) {
    input.workload.max_new_tokens = new_tokens;
    EXPECT_TRUE(CheckExpertsHit(CountedIn(input), input).ok()) << CheckExpertsHit(CountedIn(input), input);
  }
}

TEST(CheckExpertsHit, RefusesAnythingElse) {
  const ReportInput input = SampleInput();
  const std::vector<ExpertsHit> good = CountedIn(input);
  const auto refused = [&](std::string_view why, const std::function<void(std::vector<ExpertsHit>&)>& change) {
    std::vector<ExpertsHit> layers = good;
    change(layers);
    const absl::Status status = CheckExpertsHit(layers, input);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << why;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(std::string(why)));
  };
  refused("routing of 10 layers", [](auto& layers) { layers.pop_back(); });
  refused("expected layers 1 to 11 of 64 experts", [](auto& layers) { layers[10].layer = 12; });
  refused("routing of layer 2: not above", [](auto& layers) { layers[2].layer = 2; });
  refused("routing of layer 4: picks of 63 experts", [](auto& layers) { layers[3].prefill_picks.pop_back(); });
  refused("routing of layer 4", [](auto& layers) { ++layers[3].prefill_picks[0]; });
  refused("routing of layer 4", [](auto& layers) { --layers[3].decode_picks[63]; });
  refused("0 tokens in prefill", [](auto& layers) {
    for (ExpertsHit& layer : layers) {
      layer.prefill_picks.clear();
    }
  });
  refused("routing of layer 1: 65 experts hit in prefill", [](auto& layers) { layers[0].prefill = 65; });
  refused("routing of layer 1: 0 experts hit in decode", [](auto& layers) { layers[0].decode = 0; });
}

TEST(AttributionOptions, MapsInstancesToNodesAndSingleLeavesToTheirCategory) {
  attribution::Options options;
  {
    const analytic::Prediction prediction = SamplePrediction();
    options = AttributionOptions(prediction, /*warmup=*/2);
  }
  EXPECT_EQ(options.request_range, "deepseek_ocr");
  EXPECT_EQ(options.skip_requests, 2);
  EXPECT_EQ(options.resolve_range("prefill/layer[2]").module_id, "prefill/layer[0,2]");
  EXPECT_EQ(options.resolve_range("prefill/layer[2]").category_id, "");
  EXPECT_EQ(options.resolve_range("prefill/layer[0]/q_proj").module_id, "prefill/layer[0,2]/q_proj");
  EXPECT_EQ(options.resolve_range("prefill/layer[0]/q_proj").category_id, "gemm");
  EXPECT_EQ(options.resolve_range("prefill/layer[1]").module_id, "");
}

TEST(AttributionOptions, TheRoutedExpertsGoByOperation) {
  const ReportInput input = SampleInput();
  const auto prediction = analytic::Predict(input.model, input.workload, input.device);
  ASSERT_TRUE(prediction.ok()) << prediction.status();
  const attribution::Options options = AttributionOptions(*prediction, /*warmup=*/1);
  const attribution::RangeMeaning experts = options.resolve_range("prefill/layer[7]/moe/experts");
  EXPECT_EQ(experts.module_id, "prefill/layer[1-11]/moe/experts");
  EXPECT_EQ(experts.category_id, "");
  EXPECT_EQ(options.resolve_range("prefill/layer[7]/moe/gate").category_id, "gemm");
}

}  // namespace
}  // namespace dsocr::report
