#include "tests/daemon/report/sample_join.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace dsocr::report {
namespace {

using analytic::PredictedModule;
using analytic::Prediction;
using attribution::ModuleSum;

int AddModule(std::string id, std::string name, int parent, double time_ns, Prediction* prediction) {
  PredictedModule module;
  module.module_id = std::move(id);
  module.name = std::move(name);
  module.qualified_class_name = "sample.Module";
  module.stage = parent < 0 ? analytic::Stage::kOther : analytic::Stage::kPrefill;
  module.parent = parent;
  module.figures.calls = time_ns > 0 ? 1 : 0;
  module.figures.time_ns = time_ns;
  const int index = static_cast<int>(prediction->modules.size());
  prediction->module_of_range[module.module_id] = index;
  prediction->modules.push_back(std::move(module));
  if (parent >= 0) {
    prediction->modules[parent].children.push_back(index);
  }
  return index;
}

ModuleSum Sum(std::string id, std::string parent, int64_t device_ns, int64_t self_ns,
              std::vector<attribution::CategorySum> categories) {
  ModuleSum sum;
  sum.module_id = std::move(id);
  sum.parent_id = std::move(parent);
  sum.calls = 1;
  sum.device_ns = sum.busy_ns = device_ns;
  sum.self_device_ns = self_ns;
  sum.gap_ns = 1000;
  sum.wall_ns = sum.busy_ns + sum.gap_ns;
  sum.p50_ns = sum.p95_ns = sum.wall_ns;
  for (const attribution::CategorySum& category : categories) {
    sum.launches += category.operations;
  }
  sum.categories = std::move(categories);
  return sum;
}

}  // namespace

ReportInput SampleInput() {
  ReportInput input;
  input.report_id = "r-000000000001";
  input.config_path = "/usr/share/dsocr/deepseek-ocr-v1-base.json";
  input.workload = *analytic::FindWorkload("dsocr-tiny-v1");
  input.device = analytic::DeviceCatalogue().front();
  input.device.matrix_bf16_flops_per_s = 1e12;
  input.device.matrix_fp32_flops_per_s = 1e12;
  input.layer_docs_dir = "/tmp/profile-output/r-000000000001/static_analysis/analytic_model/layers";
  input.provenance.set_tool_version("0.1.0");
  input.provenance.set_started_at("2026-01-02T03:04:05Z");
  input.provenance.mutable_device()->set_name(input.device.name);
  input.provenance.mutable_device()->set_kind("cuda");
  input.provenance.set_dtype("bf16");
  input.provenance.mutable_weights()->set_random_seed(0);
  return input;
}

Prediction SamplePrediction() {
  Prediction prediction;
  const int root = AddModule("deepseek_ocr", "deepseek_ocr", -1, 3e6, &prediction);
  const int prefill = AddModule("prefill", "prefill", root, 3e6, &prediction);
  const int layer = AddModule("prefill/layer[0,2]", "layer[0,2]", prefill, 1e6, &prediction);
  const int q_proj = AddModule("prefill/layer[0,2]/q_proj", "q_proj", layer, 1e6, &prediction);
  const int sample = AddModule("prefill/sample", "sample", prefill, 2e6, &prediction);
  const int decode = AddModule("decode", "decode", root, 0, &prediction);
  std::vector<PredictedModule>& modules = prediction.modules;
  modules[decode].stage = analytic::Stage::kDecode;
  modules[layer].repetition = analytic::Repetition::kFor;
  modules[layer].repetition_count = 2;
  modules[layer].constructor_params = {
      {"hidden_size", int64_t{64}}, {"eps", 1e-6}, {"kind", std::string("a|b")}, {"bias", false}};
  modules[layer].input_shapes = {{1, 128, 64}};
  modules[layer].output_shapes = {{1, 128, 64}};
  const analytic::CategoryFigures gemm = {.category_id = "gemm",
                                          .calls = 2,
                                          .flops = 4'000'000'000,
                                          .vector_flops = 0,
                                          .io_bytes = 1'000'000,
                                          .time_ns = 1e6};
  const analytic::CategoryFigures sampling = {
      .category_id = "sampling", .calls = 1, .flops = 0, .vector_flops = 500, .io_bytes = 1000, .time_ns = 2e6};
  for (const int index : {root, prefill, layer, q_proj}) {
    modules[index].figures.flops = gemm.flops;
    modules[index].figures.io_bytes += gemm.io_bytes;
    modules[index].figures.operators.push_back(gemm);
  }
  for (const int index : {root, prefill, sample}) {
    modules[index].figures.vector_flops = sampling.vector_flops;
    modules[index].figures.io_bytes += sampling.io_bytes;
    modules[index].figures.operators.push_back(sampling);
  }
  modules[decode].figures.operators = {{.category_id = "gemv"}};
  modules[q_proj].figures.self_time_ns = 1e6;
  modules[q_proj].figures.bound = analytic::Bound::kCompute;
  modules[sample].figures.self_time_ns = 2e6;
  modules[root].figures.weight_bytes = 2'000'000'000;
  modules[root].figures.peak_activation_bytes = 3'000'000;
  modules[root].figures.kv_cache_bytes = 4'000;
  for (const char* range : {"prefill/layer[0]", "prefill/layer[2]"}) {
    prediction.module_of_range[range] = layer;
    prediction.module_of_range[std::string(range) + "/q_proj"] = q_proj;
  }
  return prediction;
}

attribution::Result SampleMeasurement() {
  attribution::Result result;
  attribution::RequestSum& request = result.request;
  request.total_ns = 4'000'000;
  request.attributed_ns = 3'500'000;
  request.unattributed_ns = 250'000;
  request.operations = 5;
  request.operations_unattributed = 1;
  result.request_total_ns = {4'000'000};
  result.records_received = 42;
  const attribution::CategorySum gemm = {"gemm", 2, 2'000'000};
  const attribution::CategorySum sampling = {"sampling", 1, 1'000'000};
  const attribution::CategorySum copy = {"copy", 1, 500'000};
  request.modules = {Sum("deepseek_ocr", "", 3'500'000, 0, {gemm, sampling, copy}),
                     Sum("prefill", "deepseek_ocr", 3'500'000, 500'000, {gemm, sampling, copy}),
                     Sum("prefill/layer[0,2]", "prefill", 2'000'000, 0, {gemm}),
                     Sum("prefill/layer[0,2]/q_proj", "prefill/layer[0,2]", 2'000'000, 2'000'000, {gemm}),
                     Sum("prefill/sample", "prefill", 1'000'000, 1'000'000, {sampling})};
  return result;
}

v1::AnalyticModelReport JoinedReport(const attribution::Result& measured) {
  v1::AnalyticModelReport report = BuildReport(SampleInput(), SamplePrediction());
  const absl::Status status = JoinMeasurement(measured, SamplePrediction(), SampleInput(), {v1::ROUTE_LAUNCH}, &report);
  EXPECT_TRUE(status.ok()) << status;
  return report;
}

attribution::Result MeasurementOf(const Prediction& prediction, int64_t leaf_ns) {
  std::vector<ModuleSum> sums(prediction.modules.size());
  std::vector<std::vector<int64_t>> category_ns(sums.size(), std::vector<int64_t>(analytic::kCategoryCount));
  // Children stand after their parents: backwards, every sum is complete when it is added to its parent's.
  for (size_t i = sums.size(); i-- > 0;) {
    const PredictedModule& module = prediction.modules[i];
    ModuleSum& sum = sums[i];
    sum.module_id = module.module_id;
    sum.calls = module.figures.calls;
    if (module.children.empty() && sum.calls > 0) {
      sum.device_ns = sum.self_device_ns = leaf_ns;
      category_ns[i][static_cast<size_t>(*analytic::FindCategory(module.figures.operators[0].category_id))] = leaf_ns;
    }
    for (size_t c = 0; c < category_ns[i].size(); ++c) {
      if (category_ns[i][c] > 0) {
        const auto operations = category_ns[i][c] / leaf_ns;
        sum.launches += operations;
        sum.categories.push_back(
            {std::string(analytic::CategoryName(static_cast<analytic::CategoryId>(c))), operations, category_ns[i][c]});
      }
      if (module.parent >= 0) {
        category_ns[module.parent][c] += category_ns[i][c];
      }
    }
    if (module.parent >= 0) {
      sum.parent_id = prediction.modules[module.parent].module_id;
      sums[module.parent].device_ns += sum.device_ns;
    }
    sum.busy_ns = sum.wall_ns = sum.p50_ns = sum.p95_ns = sum.device_ns;
  }
  attribution::Result result;
  result.request.attributed_ns = result.request.total_ns = sums[0].device_ns;
  result.request.operations = sums[0].launches;
  result.request_total_ns = {result.request.total_ns};
  for (ModuleSum& sum : sums) {
    if (sum.calls > 0) {
      result.request.modules.push_back(std::move(sum));
    }
  }
  return result;
}

}  // namespace dsocr::report
