#include "daemon/report/report.h"

#include <algorithm>
#include <string>

#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "proto/document.h"
#include "tests/daemon/report/sample_join.h"

namespace dsocr::analytic {

void PrintTo(const Workload& workload, std::ostream* out) { *out << workload.profile_id; }

}  // namespace dsocr::analytic

namespace dsocr::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const v1::ModuleMetricsSnapshot& MetricsOf(const v1::AnalyticModelReport& report, const std::string& id) {
  for (const v1::ModuleMetricsSnapshot& metrics : report.module_metrics()) {
    if (metrics.module_id() == id) {
      return metrics;
    }
  }
  ADD_FAILURE() << "no metrics of " << id;
  return report.module_metrics(0);
}

TEST(BuildReport, PrintsBaseUnitsInTheContractsUnits) {
  const v1::AnalyticModelReport report = BuildReport(SampleInput(), SamplePrediction());
  const v1::ModuleMetricsSnapshot& root = report.module_metrics(0);
  EXPECT_DOUBLE_EQ(root.total_time_ms(), 3);
  EXPECT_DOUBLE_EQ(root.total_flops_tflops(), 0.004);
  EXPECT_DOUBLE_EQ(root.vector_flops_tflops(), 500e-12);
  EXPECT_DOUBLE_EQ(root.total_io_tb(), 1'001'000 * 8 / 1e12);
  EXPECT_DOUBLE_EQ(root.memory_weights_gb(), 2);
  EXPECT_DOUBLE_EQ(root.memory_activations_gb(), 0.003);
  EXPECT_DOUBLE_EQ(root.memory_kvcache_gb(), 4e-6);
  EXPECT_DOUBLE_EQ(root.share_of_model_time(), 1);
  EXPECT_DOUBLE_EQ(report.predicted_total_time_ms(), 3);
  EXPECT_EQ(root.profile_id(), "dsocr-tiny-v1");
}

TEST(BuildReport, GivesNodesTheirPlaceAndDefinition) {
  const v1::AnalyticModelReport report = BuildReport(SampleInput(), SamplePrediction());
  ASSERT_THAT(report.modules(), SizeIs(6));
  EXPECT_FALSE(report.modules(0).has_parent_id());
  EXPECT_THAT(report.modules(0).children(), ElementsAre("prefill", "decode"));
  const v1::AnalyticModuleNode& layer = report.modules(2);
  EXPECT_EQ(layer.parent_id(), "prefill");
  EXPECT_EQ(layer.repetition(), v1::REPETITION_FOR);
  EXPECT_EQ(layer.repetition_count(), 2);
  EXPECT_EQ(layer.stage(), v1::STAGE_PREFILL);
  EXPECT_THAT(layer.input_shapes(0).dims(), ElementsAre(1, 128, 64));
  EXPECT_EQ(layer.constructor_params().at("hidden_size").int_value(), 64);
  EXPECT_EQ(layer.constructor_params().at("eps").float_value(), 1e-6);
  EXPECT_EQ(layer.constructor_params().at("kind").string_value(), "a|b");
  EXPECT_TRUE(layer.constructor_params().at("bias").has_bool_value());
}

TEST(BuildReport, BreaksModulesDownByOperator) {
  const v1::AnalyticModelReport report = BuildReport(SampleInput(), SamplePrediction());
  const v1::ModuleMetricsSnapshot& prefill = MetricsOf(report, "prefill");
  ASSERT_THAT(prefill.operator_breakdown(), SizeIs(2));
  EXPECT_EQ(prefill.operator_breakdown(0).category_id(), "gemm");
  EXPECT_EQ(prefill.operator_breakdown(0).calls(), 2);
  EXPECT_DOUBLE_EQ(prefill.operator_breakdown(0).share_of_module_flops(), 1);
  EXPECT_DOUBLE_EQ(prefill.operator_breakdown(1).time_ms(), 2);
  const v1::ModuleMetricsSnapshot& sample = MetricsOf(report, "prefill/sample");
  EXPECT_DOUBLE_EQ(sample.operator_breakdown(0).share_of_module_flops(), 0);  // it has no FLOPs
  EXPECT_DOUBLE_EQ(sample.self_time_ms(), 2);
  EXPECT_DOUBLE_EQ(prefill.self_time_ms(), 0);
}

TEST(BuildReport, HasNoMeasuredHalf) {
  const v1::AnalyticModelReport report = BuildReport(SampleInput(), SamplePrediction());
  EXPECT_FALSE(report.has_measured_total_time_ms());
  EXPECT_FALSE(report.has_predicted_vs_measured_ratio());
  EXPECT_FALSE(report.has_attribution());
  EXPECT_FALSE(report.has_profile_run_id());
  EXPECT_TRUE(report.module_measurements().empty());
}

TEST(BuildReport, SaysWhereASharePassesTheWhole) {
  analytic::Prediction prediction = SamplePrediction();
  prediction.modules[1].figures.time_ns = 3.6e6;
  const v1::AnalyticModelReport report = BuildReport(SampleInput(), prediction);
  EXPECT_THAT(report.notes(), HasSubstr("estimator drift: prefill takes 1.2000"));
  EXPECT_TRUE(document::Validate(report).empty());
}

class EveryProfile : public ::testing::TestWithParam<analytic::Workload> {};

TEST_P(EveryProfile, GivesAValidReportThatReadsBackEqual) {
  ReportInput input = SampleInput();
  input.workload = GetParam();
  for (const analytic::Device& device : analytic::DeviceCatalogue()) {
    input.device = device;
    const auto report = BuildReport(input);
    ASSERT_TRUE(report.ok()) << report.status();
    for (const v1::CheckProblem& problem : document::Validate(*report)) {
      ADD_FAILURE() << device.name << ": " << problem.ShortDebugString();
    }
    EXPECT_GT(report->predicted_total_time_ms(), 0);
  }
  const auto report = BuildReport(input);
  for (const auto format : {document::Format::kJson, document::Format::kYaml}) {
    const auto write = [format](const v1::AnalyticModelReport& r) {
      return format == document::Format::kJson ? document::ToJson(r) : document::ToYaml(r);
    };
    v1::AnalyticModelReport read;
    const absl::Status parsed = document::Parse(write(*report), format, /*allow_unknown=*/false, &read);
    ASSERT_TRUE(parsed.ok()) << parsed;
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*report, read));
    EXPECT_EQ(write(read), write(*report));
  }
}

TEST_P(EveryProfile, LeavesCarryAllTimeAndFlops) {
  ReportInput input = SampleInput();
  input.workload = GetParam();
  const auto report = BuildReport(input);
  ASSERT_TRUE(report.ok()) << report.status();
  double time_ms = 0;
  double tflops = 0;
  for (int i = 0; i < report->modules_size(); ++i) {
    time_ms += report->module_metrics(i).self_time_ms();
    tflops += report->modules(i).children().empty() ? report->module_metrics(i).total_flops_tflops() : 0;
  }
  EXPECT_NEAR(time_ms, report->predicted_total_time_ms(), 1e-9 * time_ms);
  EXPECT_NEAR(tflops, report->module_metrics(0).total_flops_tflops(), 1e-12);
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryProfile, ::testing::ValuesIn(analytic::WorkloadCatalogue()),
                         [](const auto& info) {
                           std::string name = info.param.profile_id;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(BuildReport, DependsOnItsInputAlone) {
  ReportInput other = SampleInput();
  other.report_id = "r-2";
  other.layer_docs_dir = "/elsewhere";
  other.provenance.set_started_at("2027-01-01T00:00:00Z");
  other.profile_run_id = "p-1";
  const auto a = BuildReport(SampleInput());
  auto b = BuildReport(other);
  ASSERT_TRUE(a.ok() && b.ok());
  b->set_report_id(a->report_id());
  b->set_layer_docs_dir(a->layer_docs_dir());
  *b->mutable_provenance() = a->provenance();
  b->clear_profile_run_id();
  EXPECT_EQ(document::ToJson(*a), document::ToJson(*b));
}

TEST(BuildReport, RefusesWhatPredictRefuses) {
  ReportInput input = SampleInput();
  input.workload.seq_len = 1;
  EXPECT_EQ(BuildReport(input).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ModelOf, IsThePredictedHalf) {
  const v1::AnalyticModelReport report = BuildReport(SampleInput(), SamplePrediction());
  const v1::DeepSeekOCRAnalyticModel model = ModelOf(report);
  EXPECT_EQ(model.report_id(), report.report_id());
  EXPECT_EQ(model.workload().profile_id(), "dsocr-tiny-v1");
  EXPECT_THAT(model.modules(), SizeIs(report.modules_size()));
  EXPECT_THAT(model.operator_categories(), SizeIs(analytic::kCategoryCount));
  EXPECT_FALSE(model.has_profile_run_id());
}

}  // namespace
}  // namespace dsocr::report
