#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "analytic/category.h"
#include "base/status.h"
#include "daemon/report/decode_step.h"
#include "daemon/report/measured.h"
#include "daemon/report/parts.h"
#include "daemon/report/report.h"
#include "daemon/report/residual.h"
#include "daemon/report/units.h"
#include "fmt/format.h"

namespace dsocr::report {
namespace {

using analytic::PredictedModule;
using analytic::Prediction;
using attribution::ModuleSum;

v1::Bound MeasuredBound(const ModuleSum& sum, const PredictedModule& module, analytic::DeviceKind device) {
  return sum.gap_ns > sum.busy_ns ? GapBound(device == analytic::DeviceKind::kCuda) : BoundOf(module.figures.bound);
}

// Categories that were predicted, measured or both, in the order of the list.
void AddOperators(const ModuleSum& sum, const PredictedModule& module, v1::ModuleMeasurement* measurement) {
  std::map<analytic::CategoryId, v1::MeasuredOperator> operators;
  for (const analytic::CategoryFigures& predicted : module.figures.operators) {
    operators[*analytic::FindCategory(predicted.category_id)].set_predicted_time_ms(Milliseconds(predicted.time_ns));
  }
  for (const attribution::CategorySum& measured : sum.categories) {
    v1::MeasuredOperator& op = operators[*analytic::FindCategory(measured.category_id)];
    op.set_calls(measured.operations);
    op.set_device_time_ms(Milliseconds(measured.device_ns));
    op.set_share_of_module_time(Share(static_cast<double>(measured.device_ns), static_cast<double>(sum.device_ns)));
  }
  for (auto& [category, op] : operators) {
    op.set_category_id(std::string(analytic::CategoryName(category)));
    *measurement->add_operator_breakdown() = std::move(op);
  }
}

// By module id: its time in every measured request, where there are some but not too many.
absl::flat_hash_map<std::string, const attribution::ModuleRepeats*> RepeatTimes(const attribution::Result& measured) {
  absl::flat_hash_map<std::string, const attribution::ModuleRepeats*> repeats;
  if (measured.request_total_ns.size() > 1 && measured.request_total_ns.size() <= kMostRepeats) {
    for (const attribution::ModuleRepeats& module : measured.repeats) {
      repeats[module.module_id] = &module;
    }
  }
  return repeats;
}

v1::ModuleMeasurement MeasurementOf(const ModuleSum& sum, const PredictedModule& module, const ReportInput& input) {
  v1::ModuleMeasurement measurement = FiguresOf(sum);
  measurement.set_module_id(module.module_id);
  const int64_t time_ns = sum.busy_ns + sum.gap_ns;
  measurement.set_predicted_time_ms(Milliseconds(module.figures.time_ns));
  measurement.set_residual_ms(Milliseconds(static_cast<double>(time_ns) - module.figures.time_ns));
  if (const double peak = input.device.fastest_flops_per_s(input.workload.precision);
      peak > 0 && time_ns > 0 && module.figures.flops > 0) {
    const double flops_per_s = static_cast<double>(module.figures.flops) / (static_cast<double>(time_ns) * 1e-9);
    measurement.set_mfu(flops_per_s / peak);
  }
  measurement.set_bound(MeasuredBound(sum, module, input.device.kind));
  AddOperators(sum, module, &measurement);
  return measurement;
}

}  // namespace

std::vector<const ModuleSum*> SumsInTreeOrder(const attribution::RequestSum& request, const Prediction& prediction) {
  absl::flat_hash_map<std::string, const ModuleSum*> by_id;
  for (const ModuleSum& sum : request.modules) {
    by_id[sum.module_id] = &sum;
  }
  std::vector<const ModuleSum*> sums;
  for (const PredictedModule& module : prediction.modules) {
    const auto found = by_id.find(module.module_id);
    sums.push_back(found != by_id.end() ? found->second : nullptr);
  }
  return sums;
}

absl::Status JoinMeasurement(const attribution::Result& measured, const Prediction& prediction,
                             const ReportInput& input, const Recording& recording, v1::AnalyticModelReport* report) {
  DSOCR_RETURN_IF_ERROR(CheckSums(measured));
  const std::vector<const ModuleSum*> sums = SumsInTreeOrder(measured.request, prediction);
  const auto joined = sums.size() - static_cast<size_t>(std::count(sums.begin(), sums.end(), nullptr));
  if (joined != measured.request.modules.size()) {
    return absl::InternalError(
        fmt::format("joining: {} modules were measured, {} of them are nodes of the tree; report this as a bug",
                    measured.request.modules.size(), joined));
  }

  const auto repeats = RepeatTimes(measured);
  google::protobuf::RepeatedPtrField<v1::ModuleMeasurement> measurements;
  measurements.Reserve(static_cast<int>(prediction.modules.size()));
  for (size_t i = 0; i < sums.size(); ++i) {
    static const ModuleSum never_ran;
    const PredictedModule& module = prediction.modules[i];
    v1::ModuleMeasurement measurement = MeasurementOf(sums[i] != nullptr ? *sums[i] : never_ran, module, input);
    if (const auto repeated = repeats.find(module.module_id); repeated != repeats.end()) {
      for (const int64_t time_ns : repeated->second->time_ns) {
        measurement.add_repeat_times_ms(Milliseconds(time_ns));
      }
    }
    measurements.Add(std::move(measurement));
  }

  const double measured_ms = Milliseconds(measured.request.total_ns);
  const double predicted_ms = report->predicted_total_time_ms();
  measurements.Mutable(0)->set_residual_ms(measured_ms - predicted_ms);
  *report->mutable_module_measurements() = std::move(measurements);
  *report->mutable_attribution() = AttributionOf(measured, recording);
  report->set_measured_total_time_ms(measured_ms);
  report->set_predicted_vs_measured_ratio(predicted_ms / measured_ms);
  *report->mutable_residual() = ExplainResidual(measured, prediction, recording.contention);
  AddMeasurementNotes(measured, report);
  return absl::OkStatus();
}

attribution::Options AttributionOptions(const Prediction& prediction, int warmup) {
  // By range name: the node, and the category of a leaf that has just one.
  auto meanings = std::make_shared<absl::flat_hash_map<std::string, attribution::RangeMeaning>>();
  for (const auto& [range, index] : prediction.module_of_range) {
    const PredictedModule& module = prediction.modules[static_cast<size_t>(index)];
    const std::vector<analytic::CategoryFigures>& operators = module.figures.operators;
    const auto has = [&](std::string_view id) {
      return std::any_of(operators.begin(), operators.end(), [&](const auto& op) { return op.category_id == id; });
    };
    const bool one_category = module.children.empty() && operators.size() == 1;
    (*meanings)[range] = {.module_id = module.module_id,
                          .category_id = one_category ? std::string(operators[0].category_id) : "",
                          .has_one_row = module.children.empty() && has("gemv") && !has("gemm")};
  }
  attribution::Options options;
  options.resolve_range = [meanings = std::move(meanings)](std::string_view range) {
    const auto found = meanings->find(std::string(range));
    return found != meanings->end() ? found->second : attribution::RangeMeaning();
  };
  options.request_range = prediction.modules.front().module_id;
  options.skip_requests = warmup;
  options.keeps_repeats = true;
  options.expected_step = DecodeStep(prediction);
  return options;
}

}  // namespace dsocr::report
