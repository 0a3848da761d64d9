#include "daemon/attach/job_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "proto/document.h"
#include "tests/daemon/attach/job_modules.h"
#include "tests/daemon/attach/published_job.h"

namespace dsocr::attach {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Reported {
  attribution::Result raw;
  v1::AnalyticModelReport report;
};

// As the daemon does: the job's own names first, then the same records once more.
Reported Report(const RecordedJob& job, const char* device = "cpu") {
  attribution::Attribution attribution{{}};
  attribution.Consume(job.records());
  Reported reported{.raw = attribution.Finish()};
  const absl::StatusOr<RecognisedModel> model = Recognise(reported.raw.job_modules, nullptr);
  EXPECT_TRUE(model.ok()) << model.status();
  const absl::StatusOr<std::unique_ptr<JobFold>> fold = JobFold::Create(*model);
  EXPECT_TRUE(fold.ok()) << fold.status();
  (*fold)->Consume(job.records());
  JobReportInput input;
  input.report_id = "r-1";
  input.profile_run_id = "p-1";
  input.layer_docs_dir = "/layers";
  input.device = *analytic::FindDevice(device);
  input.precision = analytic::Precision::kFp32;
  input.recording = {.route = v1::ROUTE_AGENT};
  input.provenance.mutable_device()->set_kind(input.device.kind == analytic::DeviceKind::kCuda ? "cuda" : "cpu");
  absl::StatusOr<v1::AnalyticModelReport> report = BuildJobReport(*model, (*fold)->Finish(reported.raw), input);
  EXPECT_TRUE(report.ok()) << report.status();
  reported.report = *std::move(report);
  return reported;
}

std::map<std::string, v1::ModuleMeasurement> MeasurementsOf(const v1::AnalyticModelReport& report) {
  std::map<std::string, v1::ModuleMeasurement> measurements;
  for (const v1::ModuleMeasurement& measurement : report.module_measurements()) {
    measurements[measurement.module_id()] = measurement;
  }
  return measurements;
}

TEST(JobReportTest, StandsMeasuredBesidePredicted) {
  RecordedJob job;
  job.Tell(GoldenModules("published_tiny_a.tsv"));
  for (int i = 0; i < 3; ++i) {
    Request(job, 128, 7);
  }
  const v1::AnalyticModelReport report = Report(job).report;
  EXPECT_EQ(report.model().model_variant(), "deepseek-ocr-v1-base");
  EXPECT_EQ(report.model().hidden_size(), 64);
  EXPECT_EQ(report.workload().seq_len(), 128);
  EXPECT_EQ(report.workload().image_size(), 256);
  EXPECT_EQ(report.workload().max_new_tokens(), 8);
  EXPECT_GT(report.predicted_total_time_ms(), 0);
  EXPECT_GT(report.measured_total_time_ms(), 0);
  EXPECT_GT(report.predicted_vs_measured_ratio(), 0);
  EXPECT_EQ(report.module_measurements_size(), report.modules_size());
  EXPECT_THAT(document::Validate(report), testing::IsEmpty());

  std::map<std::string, v1::ModuleMeasurement> measured = MeasurementsOf(report);
  for (const v1::ModuleMetricsSnapshot& metrics : report.module_metrics()) {
    const v1::ModuleMeasurement& measurement = measured[metrics.module_id()];
    EXPECT_NEAR(measurement.predicted_time_ms(), metrics.total_time_ms(), 1e-9);
    for (const char* stage : {"deepseek_ocr", "vision", "vision/sam", "vision/clip", "projector", "prefill", "decode",
                              "decode/layer[0]", "prefill/lm_head"}) {
      if (metrics.module_id() == stage) {
        EXPECT_EQ(measurement.calls(), metrics.calls()) << stage << ": every request was whole";
      }
    }
  }
  EXPECT_EQ(measured["decode"].calls(), 21);
  EXPECT_GT(measured["decode/layer[0]/mlp/down_proj"].predicted_time_ms(), 0);
  EXPECT_THAT(measured["vision/sam/block[0,2]/attn/qkv"].job_paths(), ElementsAre("model.sam_model.blocks.0.attn.qkv"));
  EXPECT_THAT(measured["vision/sam/block[1,3]/attn/qkv"].job_paths(), testing::IsEmpty());
  EXPECT_THAT(report.notes(), HasSubstr("experts a token are assumed"));
}

// One graph fewer than steps: then it is something else that is replayed.
TEST(JobReportTest, DecodeThatIsReplayedIsPredictedSo) {
  double predicted_ms[2];
  for (const bool is_replayed : {false, true}) {
    RecordedJob job;
    job.Tell(GoldenModules("published_tiny_a.tsv"));
    Request(job, 128, 7, /*crops=*/0, /*graphs=*/is_replayed ? 7 : 6);
    const v1::AnalyticModelReport report = Report(job, "h100-sxm").report;
    EXPECT_EQ(report.provenance().cuda_graphs(), is_replayed);
    EXPECT_EQ(report.notes().find("replays of CUDA graphs") != std::string::npos, is_replayed);
    predicted_ms[is_replayed] = MeasurementsOf(report)["decode"].predicted_time_ms();
  }
  EXPECT_LT(predicted_ms[1], 0.5 * predicted_ms[0]);

  RecordedJob job;
  job.Tell(GoldenModules("published_tiny_a.tsv"));
  Request(job, 128, 7, /*crops=*/0, /*graphs=*/7);
  EXPECT_FALSE(Report(job).report.provenance().cuda_graphs()) << "a CPU has none";
}

TEST(JobReportTest, TotalsAreThoseOfTheJobsOwnNames) {
  RecordedJob job;
  job.Tell(GoldenModules("published_tiny_a.tsv"));
  Request(job, 128, 2, 4);
  Request(job, 99, 1);
  Request(job, 128, 2, 4);
  const Reported reported = Report(job);
  int64_t self_ns = 0;
  for (const v1::ModuleMeasurement& measurement : reported.report.module_measurements()) {
    self_ns += std::llround(measurement.self_device_time_ms() * 1e6);
  }
  const attribution::RequestSum& raw = reported.raw.request;
  const v1::Attribution& attribution = reported.report.attribution();
  EXPECT_EQ(self_ns, raw.attributed_ns);
  EXPECT_EQ(std::llround(attribution.unattributed_device_time_ms() * 1e6), raw.unattributed_ns);
  EXPECT_EQ(std::llround(reported.report.measured_total_time_ms() * 1e6), raw.total_ns);
  EXPECT_EQ(attribution.operations(), raw.operations);
  EXPECT_EQ(attribution.records_received(), static_cast<int64_t>(job.records().size()));
  EXPECT_EQ(attribution.records_invalid(), 0);
  EXPECT_EQ(reported.report.workload().page_width(), 320) << "two by two crops of 160 pixels";
}

}  // namespace
}  // namespace dsocr::attach
