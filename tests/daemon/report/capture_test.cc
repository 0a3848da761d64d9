#include "daemon/report/capture.h"

#include <string>
#include <vector>

#include "daemon/report/incident.h"
#include "daemon/report/measured.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/document.h"
#include "tests/daemon/report/sample_join.h"

namespace dsocr::report {
namespace {

using attribution::GpuSums;
using record::IncidentCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Two streams, and operations of which only the context is known.
attribution::Result GpuMeasurement() {
  attribution::Result measured = SampleMeasurement();
  GpuSums& gpu = measured.gpu.emplace();
  gpu.launches_counted = true;
  gpu.streams = {{.device = 0, .context = 1, .stream = 7, .launched = 900, .recorded = 890, .invalid = 4, .pending = 6},
                 {.device = 1, .context = 2, .stream = 13, .launched = 60, .recorded = 60},
                 {.device = 0, .context = 1, .stream = std::nullopt, .launched = 40, .recorded = 0, .dropped = 40}};
  return measured;
}

v1::Attribution AttributionOf(const attribution::Result& measured) {
  return report::AttributionOf(measured, {v1::ROUTE_LAUNCH, /*overhead_budget=*/0.01});
}

TEST(AddCapture, LeavesTheReportOfACpuAsItWas) {
  const v1::Attribution attribution = AttributionOf(SampleMeasurement());
  EXPECT_FALSE(attribution.has_ledger());
  EXPECT_FALSE(attribution.has_graphs());
  EXPECT_FALSE(attribution.has_sampling());
  EXPECT_FALSE(attribution.has_agent());
  EXPECT_FALSE(attribution.has_wait_time_ms());
  EXPECT_FALSE(attribution.has_sync_gap_time_ms());
  EXPECT_FALSE(attribution.has_tracing_overhead_time_ms());
  EXPECT_FALSE(attribution.has_memory_peak_gb());
  EXPECT_THAT(attribution.incidents(), IsEmpty());
  EXPECT_THAT(CaptureNotes(SampleMeasurement()), IsEmpty());
}

TEST(AddCapture, TheLedgerIsThatOfItsStreams) {
  const v1::Ledger ledger = AttributionOf(GpuMeasurement()).ledger();
  EXPECT_EQ(ledger.launched(), 1000);
  EXPECT_EQ(ledger.recorded(), 950);
  EXPECT_EQ(ledger.dropped(), 40);
  EXPECT_EQ(ledger.invalid(), 4);
  EXPECT_EQ(ledger.pending(), 6);
  ASSERT_THAT(ledger.streams(), SizeIs(3));
  EXPECT_EQ(ledger.streams(1).device(), 1);
  EXPECT_EQ(ledger.streams(1).context(), 2);
  EXPECT_EQ(ledger.streams(1).stream(), 13);
  EXPECT_FALSE(ledger.streams(2).has_stream());
  EXPECT_THAT(document::Validate(JoinedReport(GpuMeasurement())), IsEmpty());
}

TEST(AddCapture, LaunchesThatNobodyCountedAreNull) {
  attribution::Result measured = GpuMeasurement();
  measured.gpu->launches_counted = false;
  const v1::AnalyticModelReport report = JoinedReport(measured);
  const v1::Ledger& ledger = report.attribution().ledger();
  EXPECT_FALSE(ledger.has_launched());
  EXPECT_FALSE(ledger.has_pending());
  EXPECT_FALSE(ledger.streams(0).has_launched());
  EXPECT_EQ(ledger.recorded(), 950);
  EXPECT_THAT(document::Validate(report), IsEmpty());
}

TEST(AddCapture, GraphsSayHowTheirOperationsFoundAModule) {
  attribution::Result measured = GpuMeasurement();
  EXPECT_FALSE(AttributionOf(measured).has_graphs());
  measured.gpu->graphs = {.launches = 63, .graphs = 2, .operations_captured = 100, .operations_unknown = 5};
  EXPECT_FALSE(AttributionOf(measured).graphs().has_inferred_confidence());
  measured.gpu->graphs.operations_inferred = 40;
  measured.gpu->graphs.inferred_confidence = 0.75;
  const v1::GraphAttribution graphs = AttributionOf(measured).graphs();
  EXPECT_EQ(graphs.launches(), 63);
  EXPECT_EQ(graphs.graphs(), 2);
  EXPECT_EQ(graphs.operations_captured(), 100);
  EXPECT_EQ(graphs.operations_inferred(), 40);
  EXPECT_EQ(graphs.operations_unknown(), 5);
  EXPECT_EQ(graphs.inferred_confidence(), 0.75);
}

TEST(AddCapture, SamplingHasBudgetAndInterval) {
  attribution::Result measured = SampleMeasurement();
  measured.sampling = {.requests_seen = 1000,
                       .requests_recorded = 120,
                       .device_ns = 8e6,
                       .device_ns_low = 7.5e6,
                       .device_ns_high = 8.25e6};
  const v1::Sampling sampling = AttributionOf(measured).sampling();
  EXPECT_EQ(sampling.budget_share(), 0.01);
  EXPECT_EQ(sampling.requests_seen(), 1000);
  EXPECT_EQ(sampling.requests_recorded(), 120);
  EXPECT_EQ(sampling.device_time_ms(), 8);
  EXPECT_THAT(sampling.device_time_95_ms(), ElementsAre(7.5, 8.25));
}

TEST(AddCapture, CostsAndTimesHaveTheirUnits) {
  attribution::Result measured = GpuMeasurement();
  measured.gpu->wait_ns = 1'500'000;
  measured.request.sync_gap_ns = 750'000;
  measured.gpu->overhead_ns = 250'000;
  measured.agent = {.callback_ns = 200'000, .decode_ns = 180'000, .memory_bytes = 41'500'000};
  v1::Attribution attribution = AttributionOf(measured);
  EXPECT_EQ(attribution.wait_time_ms(), 1.5);
  EXPECT_EQ(attribution.sync_gap_time_ms(), 0.75);
  EXPECT_EQ(attribution.tracing_overhead_time_ms(), 0.25);
  EXPECT_FALSE(attribution.has_memory_peak_gb()) << "no allocation was seen";
  EXPECT_EQ(attribution.agent().callback_time_ms(), 0.2);
  EXPECT_EQ(attribution.agent().decode_time_ms(), 0.18);
  EXPECT_EQ(attribution.agent().time_per_record_ns(), 400) << "380 us over 950 records";
  EXPECT_EQ(attribution.agent().memory_mb(), 41.5);
  measured.gpu->memory_peak_bytes = 8'125'000'000;
  EXPECT_EQ(AttributionOf(measured).memory_peak_gb(), 8.125);
}

TEST(FiguresOf, SaysWhatOfAModuleWasInferred) {
  attribution::ModuleSum sum;
  EXPECT_FALSE(FiguresOf(sum).has_inferred_device_time_ms());
  EXPECT_FALSE(FiguresOf(sum).has_inferred_confidence());
  sum.inferred_ns = 3'000'000;
  sum.inferred_confidence = 0.875;
  EXPECT_EQ(FiguresOf(sum).inferred_device_time_ms(), 3);
  EXPECT_EQ(FiguresOf(sum).inferred_confidence(), 0.875);
}

TEST(CaptureNotes, SaysWhatMakesTimesLowerBounds) {
  EXPECT_THAT(CaptureNotes(GpuMeasurement()),
              ElementsAre("40 GPU operations were dropped: device times are lower bounds",
                          "6 launched GPU operations were not heard of: device times are lower bounds"));
}

TEST(CaptureNotes, SaysWhereTheLedgerDoesNotClose) {
  attribution::Result measured = GpuMeasurement();
  measured.gpu->streams[1].recorded = 59;
  const v1::AnalyticModelReport report = JoinedReport(measured);
  EXPECT_THAT(report.notes(), HasSubstr("the ledger does not close: on stream 13 of device 1 60 operations were "
                                        "launched, 59 recorded, 0 dropped, 0 invalid, 0 pending"));
  const std::vector<v1::CheckProblem> problems = document::Validate(report);
  ASSERT_THAT(problems, SizeIs(2));
  EXPECT_EQ(problems[0].path(), "attribution.ledger.launched");
  EXPECT_EQ(problems[1].path(), "attribution.ledger.streams[1].launched");

  measured.gpu->launches_counted = false;
  EXPECT_THAT(JoinedReport(measured).notes(), Not(HasSubstr("does not close")));
}

TEST(CaptureNotes, SaysThatRecordingStalledOrThatAnotherToolHoldsCupti) {
  attribution::Result measured = SampleMeasurement();
  measured.incidents = {{.code = IncidentCode::kStalled, .name = "", .value = 96, .count = 1}};
  EXPECT_THAT(CaptureNotes(measured), ElementsAre("recording stalled and did not recover"));
  measured.incidents.push_back({.code = IncidentCode::kRecovered, .name = "", .value = 12, .count = 1});
  EXPECT_THAT(CaptureNotes(measured), ElementsAre("recording stalled for a while"));
  measured.incidents = {{.code = IncidentCode::kSubscriberRefused, .name = "nsys", .value = 0, .count = 1}};
  EXPECT_THAT(CaptureNotes(measured), ElementsAre("another tool holds CUPTI: launches were not counted"));
}

TEST(IncidentOf, HasAWordAndALineForEveryCode) {
  for (uint32_t code = 1; code <= record::kLastIncidentCode; ++code) {
    const v1::Incident incident = IncidentOf({.code = IncidentCode{code}, .name = "", .value = 5, .count = 2});
    EXPECT_THAT(incident.code(), ::testing::MatchesRegex("[a-z_]+"));
    EXPECT_NE(incident.code(), "unknown");
    EXPECT_LE(incident.text().size(), 130u) << incident.text();
    EXPECT_THAT(incident.text(), Not(::testing::EndsWith(".")));
    EXPECT_EQ(incident.count(), 2);
  }
  EXPECT_EQ(IncidentOf({.code = IncidentCode{99}, .name = "", .value = 0, .count = 1}).code(), "unknown");
}

TEST(IncidentOf, ShowsValuesInTheirUnits) {
  const auto text = [](IncidentCode code, std::string name, int64_t value) {
    return IncidentOf({.code = code, .name = std::move(name), .value = value, .count = 1}).text();
  };
  EXPECT_THAT(text(IncidentCode::kClockJumped, "", -1'500'000), HasSubstr("was set by -1.500 ms"));
  EXPECT_THAT(text(IncidentCode::kFlushStuck, "", 2000), HasSubstr("after 2000 ms"));
  EXPECT_THAT(text(IncidentCode::kSubscriberRefused, "nsys\033[31m", 0), HasSubstr("'nsys?[31m' holds CUPTI's"));
  EXPECT_THAT(text(IncidentCode::kSubscriberRefused, "", 0), HasSubstr("another tool holds CUPTI's"));
  EXPECT_THAT(text(IncidentCode::kNoLibrary, "", 11), HasSubstr("libcupti is of CUDA 11"));
  EXPECT_THAT(text(IncidentCode::kNoLibrary, "", 0), HasSubstr("the job has no libcupti"));
}

}  // namespace
}  // namespace dsocr::report
