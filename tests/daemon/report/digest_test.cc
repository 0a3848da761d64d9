#include <functional>
#include <set>
#include <string>
#include <vector>

#include "daemon/report/report.h"
#include "gtest/gtest.h"
#include "tests/analytic/routings.h"
#include "tests/daemon/report/sample_join.h"

namespace dsocr::report {
namespace {

analytic::Device Measured(const analytic::Device& device, const std::vector<analytic::CalibrationPoint>& points) {
  return *analytic::Calibrate(device, analytic::Precision::kBf16, points, "c-2");
}

TEST(InputDigest, IsSixtyFourHexDigitsOfTheInputAlone) {
  const std::string digest = InputDigest(SampleInput());
  EXPECT_EQ(digest.size(), 64u);
  EXPECT_EQ(digest.find_first_not_of("0123456789abcdef"), std::string::npos);
  ReportInput other = SampleInput();
  other.report_id = "r-2";
  other.layer_docs_dir = "/elsewhere";
  other.profile_run_id = "p-1";
  other.provenance.set_started_at("2030-01-01T00:00:00Z");
  EXPECT_EQ(InputDigest(other), digest);
}

TEST(InputDigest, ChangesWithEverythingThatDecidesThePrediction) {
  const std::vector<std::function<void(ReportInput*)>> changes = {
      [](ReportInput* i) { i->model.variant = "other"; },
      [](ReportInput* i) { i->model.decoder.layers = 11; },
      [](ReportInput* i) {
        i->model.sam.global_attention_layers = {2, 5, 8};
      },
      [](ReportInput* i) { i->model.decoder.rope_theta = 5000; },
      [](ReportInput* i) { i->model.decoder.routing = analytic::UnevenRouting(i->model.decoder, 40, 4); },
      [](ReportInput* i) { i->model.decoder.routing = analytic::UnevenRouting(i->model.decoder, 40, 5); },
      [](ReportInput* i) { i->routing_note = "the routing of run r-1 is not used"; },
      [](ReportInput* i) { i->config_path = "/elsewhere/config.json"; },
      [](ReportInput* i) { i->hf_revision = "0123"; },
      [](ReportInput* i) { i->workload.profile_id = "mine"; },
      [](ReportInput* i) { i->workload.seq_len += 1; },
      [](ReportInput* i) { i->workload.page_width += 1; },
      [](ReportInput* i) { i->workload.crop_mode = !i->workload.crop_mode; },
      [](ReportInput* i) { i->workload.max_new_tokens += 1; },
      [](ReportInput* i) { i->workload.doc_kind = analytic::DocKind::kSynthetic; },
      [](ReportInput* i) { i->workload.precision = analytic::Precision::kFp32; },
      [](ReportInput* i) { i->device.name = "other"; },
      [](ReportInput* i) { i->device.memory_bytes_per_s *= 1 + 1e-15; },
      [](ReportInput* i) { i->device.calibration_id = "c-1"; },
      [](ReportInput* i) { i->device = Measured(i->device, {{.category_id = "gemm", .flops = 1000, .time_ns = 1e3}}); },
      [](ReportInput* i) { i->device = Measured(i->device, {{.category_id = "gemm", .flops = 1000, .time_ns = 2e3}}); },
      [](ReportInput* i) { i->device = Measured(i->device, {{.category_id = "conv", .flops = 1000, .time_ns = 1e3}}); },
      [](ReportInput* i) { i->provenance.mutable_weights()->set_random_seed(1); },
      [](ReportInput* i) { i->provenance.mutable_weights()->clear_random_seed(); },
      [](ReportInput* i) { i->provenance.mutable_weights()->set_path("/weights"); },
      [](ReportInput* i) { i->provenance.set_tool_version("0.2.0"); },
      [](ReportInput* i) { i->operators.emplace().set_snapshot_id("1"); },
      [](ReportInput* i) { i->operators.emplace().set_snapshot_id("2"); },
  };
  std::set<std::string> digests = {InputDigest(SampleInput())};
  for (const auto& change : changes) {
    ReportInput input = SampleInput();
    change(&input);
    digests.insert(InputDigest(input));
  }
  EXPECT_EQ(digests.size(), changes.size() + 1);
}

}  // namespace
}  // namespace dsocr::report
