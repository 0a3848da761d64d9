#include <set>
#include <string>

#include "daemon/report/report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/document.h"
#include "tests/daemon/report/sample_join.h"

namespace dsocr::report {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

attribution::Result Job(std::vector<attribution::ModuleSum> modules) {
  attribution::Result result;
  for (attribution::ModuleSum& module : modules) {
    module.self_device_ns = 10;
    module.busy_ns = module.device_ns = 10;
    module.categories = {{"gemm", 1, 10}};
    result.request.attributed_ns += 10;
    ++result.request.operations;
  }
  result.request.total_ns = 1000;
  result.request.modules = std::move(modules);
  return result;
}

attribution::ModuleSum Path(std::string id, std::string parent) {
  attribution::ModuleSum sum;
  sum.module_id = std::move(id);
  sum.parent_id = std::move(parent);
  return sum;
}

v1::AnalyticModelReport ReportOf(const attribution::Result& measured) {
  v1::Provenance provenance;
  provenance.mutable_device()->set_kind("cpu");
  const auto report = BuildUnrecognisedReport(measured, {v1::ROUTE_LAUNCH}, "r-1", "p-1", "/layers", provenance);
  EXPECT_TRUE(report.ok()) << report.status();
  return *report;
}

TEST(BuildUnrecognisedReport, IsTheTreeOfPathsBelowOneRoot) {
  const v1::AnalyticModelReport report =
      ReportOf(Job({Path("model", ""), Path("head", ""), Path("model.fc", "model"), Path("model.act", "model")}));
  ASSERT_THAT(report.modules(), SizeIs(5));
  EXPECT_EQ(report.modules(0).module_id(), "(job)");
  EXPECT_THAT(report.modules(0).children(), ElementsAre("model", "head"));
  EXPECT_THAT(report.modules(1).children(), ElementsAre("model.fc", "model.act"));
  EXPECT_EQ(report.modules(2).module_id(), "model.fc");
  EXPECT_EQ(report.modules(2).name(), "fc");
  EXPECT_EQ(report.modules(2).parent_id(), "model");
  EXPECT_THAT(report.module_measurements(2).job_paths(), ElementsAre("model.fc"));
  EXPECT_TRUE(document::Validate(report).empty());
}

TEST(BuildUnrecognisedReport, PredictsNothing) {
  const v1::AnalyticModelReport report = ReportOf(Job({Path("model", "")}));
  EXPECT_FALSE(report.has_model());
  EXPECT_FALSE(report.has_workload());
  EXPECT_FALSE(report.has_predicted_total_time_ms());
  EXPECT_FALSE(report.has_predicted_vs_measured_ratio());
  EXPECT_TRUE(report.module_metrics().empty());
  EXPECT_EQ(report.profile_run_id(), "p-1");
  EXPECT_DOUBLE_EQ(report.measured_total_time_ms(), 0.001);
  EXPECT_EQ(report.module_measurements(0).bound(), v1::BOUND_HOST);
  EXPECT_EQ(report.module_measurements(1).bound(), v1::BOUND_COMPUTE);
}

TEST(BuildUnrecognisedReport, SelfTimesAreTheAttributedTime) {
  const v1::AnalyticModelReport report = ReportOf(SampleMeasurement());
  double self_ms = 0;
  for (const v1::ModuleMeasurement& measurement : report.module_measurements()) {
    self_ms += measurement.self_device_time_ms();
  }
  EXPECT_DOUBLE_EQ(self_ms, report.attribution().attributed_device_time_ms());
  EXPECT_DOUBLE_EQ(report.module_measurements(0).device_time_ms(), 3.5);
}

TEST(BuildUnrecognisedReport, AJobWithoutRangesIsTheRootAlone) {
  attribution::Result measured;
  measured.request.total_ns = 500;
  measured.request.unattributed_ns = 400;
  measured.request.operations = measured.request.operations_unattributed = 2;
  const v1::AnalyticModelReport report = ReportOf(measured);
  EXPECT_THAT(report.modules(), SizeIs(1));
  EXPECT_EQ(report.attribution().attributed_share(), 0);
  EXPECT_TRUE(document::Validate(report).empty());
}

TEST(BuildUnrecognisedReport, HostileNamesStayUniqueAndReadable) {
  const v1::AnalyticModelReport report =
      ReportOf(Job({Path("(job)", ""), Path("", ""), Path("a\nb", ""), Path("a\tb", ""), Path("\xc3(", ""),
                    Path(std::string(1 << 20, 'x'), ""), Path("../../etc", "a\nb"), Path("lost", "gone")}));
  ASSERT_THAT(report.modules(), SizeIs(9));
  std::set<std::string> ids;
  for (const v1::AnalyticModuleNode& node : report.modules()) {
    ids.insert(node.module_id());
  }
  EXPECT_THAT(ids, SizeIs(9));
  EXPECT_TRUE(ids.contains("a?b"));
  EXPECT_TRUE(ids.contains("a?b~2"));
  EXPECT_TRUE(document::Validate(report).empty());
  v1::AnalyticModelReport read;
  EXPECT_TRUE(read.ParseFromString(report.SerializeAsString()));
}

TEST(BuildUnrecognisedReport, RefusesPathsThatMakeNoTree) {
  const auto report =
      BuildUnrecognisedReport(Job({Path("a", "b"), Path("b", "a")}), {v1::ROUTE_LAUNCH}, "r-1", "p-1", "/d", {});
  EXPECT_EQ(report.status().code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace dsocr::report
