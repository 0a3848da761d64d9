#include "analytic/what_if/baseline.h"

#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>

#include "analytic/cost_model.h"
#include "analytic/what_if/pass_table.h"
#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

constexpr int64_t kMaxParallel = 4096;

absl::Status CheckReal(std::string_view knob, const std::optional<double>& value) {
  if (value && !(std::isfinite(*value) && *value > 0)) {
    return absl::InvalidArgumentError(fmt::format("{} {}: not a positive finite number; give one", knob, *value));
  }
  return absl::OkStatus();
}

absl::Status CheckDegree(std::string_view knob, const std::optional<int64_t>& value) {
  if (value && (*value < 1 || *value > kMaxParallel)) {
    return absl::InvalidArgumentError(
        fmt::format("{} {}: not between 1 and {}; give a number of devices", knob, *value, kMaxParallel));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> ScaledBatch(int64_t batch, double scale) {
  const double scaled = static_cast<double>(batch) * scale;
  if (scaled < 1 || scaled != std::floor(scaled) || scaled >= kExactLimit) {
    return absl::InvalidArgumentError(fmt::format(
        "batch_scale {}: {} x {} is no whole number of requests; give a scale that makes one", scale, batch, scale));
  }
  return static_cast<int64_t>(scaled);
}

double& MatrixPeak(Precision precision, Device& device) {
  switch (precision) {
    case Precision::kFp32:
      return device.matrix_fp32_flops_per_s;
    case Precision::kTf32:
      return device.matrix_tf32_flops_per_s;
    default:
      return device.matrix_bf16_flops_per_s;
  }
}

}  // namespace

absl::Status CheckKnobs(const Scenario& scenario) {
  DSOCR_RETURN_IF_ERROR(CheckReal("peak_tflops", scenario.peak_tflops));
  DSOCR_RETURN_IF_ERROR(CheckReal("memory_bandwidth_gbs", scenario.memory_bandwidth_gbs));
  DSOCR_RETURN_IF_ERROR(CheckReal("batch_scale", scenario.batch_scale));
  DSOCR_RETURN_IF_ERROR(CheckReal("link_gbs", scenario.link_gbs));
  DSOCR_RETURN_IF_ERROR(CheckDegree("data_parallel", scenario.data_parallel));
  DSOCR_RETURN_IF_ERROR(CheckDegree("tensor_parallel", scenario.tensor_parallel));
  return CheckDegree("expert_parallel", scenario.expert_parallel);
}

absl::Status SetSizes(const Workload& baseline, const Scenario& scenario, Workload* workload) {
  workload->seq_len = scenario.seq_len.value_or(baseline.seq_len);
  workload->page_width = scenario.page_width.value_or(baseline.page_width);
  workload->page_height = scenario.page_height.value_or(baseline.page_height);
  workload->base_size = scenario.base_size.value_or(baseline.base_size);
  workload->image_size = scenario.image_size.value_or(baseline.image_size);
  workload->crop_mode = scenario.crop_mode.value_or(baseline.crop_mode);
  workload->max_new_tokens = scenario.max_new_tokens.value_or(baseline.max_new_tokens);
  workload->precision = scenario.dtype.value_or(baseline.precision);
  workload->cuda_graphs = scenario.cuda_graphs.value_or(baseline.cuda_graphs);
  workload->batch = baseline.batch;
  if (scenario.batch_scale) {
    DSOCR_ASSIGN_OR_RETURN(workload->batch, ScaledBatch(baseline.batch, *scenario.batch_scale));
  }
  return absl::OkStatus();
}

absl::StatusOr<DeviceRates> RatesOf(const Device& device, const Workload& workload, const Scenario& scenario) {
  DSOCR_RETURN_IF_ERROR(CheckDevice(workload, device));
  const Precision precision = workload.precision;
  const double peak = scenario.peak_tflops ? *scenario.peak_tflops * 1e12 : device.matrix_flops_per_s(precision);
  if (!(peak > 0)) {
    return absl::InvalidArgumentError(fmt::format("dtype {}: device '{}' has no peak for it; give peak_tflops",
                                                  PrecisionName(precision), device.name));
  }
  DeviceRates rates;
  rates.time = RatesOf(precision, device);
  rates.time.ns_per_flop = 1e9 / peak;
  if (scenario.memory_bandwidth_gbs) {
    rates.time.ns_per_byte = 1e9 / (*scenario.memory_bandwidth_gbs * 1e9);
  }
  rates.peak_ns_per_flop = 1e9 / (device.measured_flops_per_s > peak ? device.measured_flops_per_s : peak);
  rates.host = HostOf(device);
  rates.device = &device;
  rates.laws = device.laws.get();
  return rates;
}

absl::StatusOr<Baseline> ChangedBaseline(const Baseline& baseline, const Scenario& scenario) {
  DSOCR_RETURN_IF_ERROR(CheckKnobs(scenario));
  Baseline changed = baseline;
  DSOCR_RETURN_IF_ERROR(SetSizes(baseline.workload, scenario, &changed.workload));
  DSOCR_RETURN_IF_ERROR(CheckWorkload(changed.model, changed.workload));
  if (scenario.device != nullptr) {
    changed.device = *scenario.device;
  }
  const Precision precision = changed.workload.precision;
  DSOCR_RETURN_IF_ERROR(RatesOf(changed.device, changed.workload, scenario).status());
  if (scenario.peak_tflops) {
    MatrixPeak(precision, changed.device) = *scenario.peak_tflops * 1e12;
  }
  if (scenario.memory_bandwidth_gbs) {
    changed.device.memory_bytes_per_s = *scenario.memory_bandwidth_gbs * 1e9;
  }
  return changed;
}

}  // namespace dsocr::analytic
