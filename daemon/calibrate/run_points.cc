#include "daemon/calibrate/run_points.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "analytic/law/device_laws.h"
#include "analytic/module/tree.h"
#include "base/status.h"
#include "daemon/calibrate/routing_json.h"
#include "daemon/catalog/models.h"
#include "daemon/catalog/workload_file.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace dsocr::calibrate {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr double kMostSpread = 1.1;  // of the work of calls that one mean may stand for
constexpr double kNsPerMs = 1e6;

absl::Status RefuseRun(const v1::AnalyticModelReport& report, std::string_view why) {
  return absl::FailedPreconditionError(
      fmt::format("report '{}': {}; name a report that 'dsocrctl run' measured here", report.report_id(), why));
}

absl::Status RequireSame(const v1::AnalyticModelReport& report, std::string_view what, std::string_view is,
                         std::string_view expected) {
  return is == expected ? absl::OkStatus()
                        : RefuseRun(report, fmt::format("its {} is '{}', the calibration's '{}'", what, is, expected));
}

absl::Status CheckRun(const v1::AnalyticModelReport& report, const store::CalibrationKey& key, store::Store* store) {
  const v1::Provenance& provenance = report.provenance();
  if (!report.has_measured_total_time_ms() || !report.has_model() || !report.has_workload()) {
    return RefuseRun(report, "it has no measurement of a model that is known");
  }
  DSOCR_RETURN_IF_ERROR(RequireSame(report, "device", provenance.device().name(), key.device_name));
  DSOCR_RETURN_IF_ERROR(RequireSame(report, "dtype", provenance.dtype(), key.dtype));
  DSOCR_RETURN_IF_ERROR(RequireSame(report, "driver", provenance.device().driver(), key.driver));
  DSOCR_RETURN_IF_ERROR(RequireSame(report, "version", provenance.tool_version(), key.tool_version));
  if (const auto used = store->GetCalibration(provenance.calibration_id()); used.ok()) {
    return RequireSame(report, "LibTorch", used->key.torch_version, key.torch_version);
  }
  return absl::OkStatus();
}

// The work of a category in a leaf, over all calls.
struct LeafWork {
  double pieces = 0;
  double flops = 0;
  double vector_flops = 0;
  double bytes = 0;
  double launches = 0;
  double least_bytes = 0;  // of one call
  double most_bytes = 0;
  int operators = 0;
  analytic::OperatorSize size;  // of the last operator, as the laws will be asked for it
};

int64_t CallsOf(const analytic::Node& leaf, const std::vector<analytic::Frame>& frames) {
  int64_t calls = 0;
  for (const analytic::Frame& frame : frames) {
    calls += leaf.RunsIn(frame) ? frame.passes * leaf.instances : 0;
  }
  return calls;
}

LeafWork WorkOf(const analytic::Node& leaf, analytic::CategoryId category, const std::vector<analytic::Frame>& frames,
                analytic::Precision precision) {
  LeafWork work;
  for (const analytic::LeafOperator& op : leaf.spec.operators) {
    if (op.category != category) {
      continue;
    }
    ++work.operators;
    for (const analytic::Frame& frame : frames) {
      if (frame.passes == 0 || !leaf.RunsIn(frame)) {
        continue;
      }
      const analytic::Operator at = op.at(frame);
      const analytic::Cost cost = CostOf(at, precision);
      const auto calls = static_cast<double>(frame.passes * leaf.instances);
      const auto bytes = static_cast<double>(cost.bytes());
      work.least_bytes = work.pieces == 0 ? bytes : std::min(work.least_bytes, bytes);
      work.most_bytes = std::max(work.most_bytes, bytes);
      work.pieces += calls * cost.pieces;
      work.flops += calls * static_cast<double>(cost.flops);
      work.vector_flops += calls * static_cast<double>(cost.vector_flops);
      work.bytes += calls * bytes;
      work.launches += calls * static_cast<double>(cost.launches);
      work.size = SizeOf(at, cost, category);
    }
  }
  return work;
}

std::optional<analytic::CalibrationPoint> PointOf(const LeafWork& work, const v1::MeasuredOperator& measured) {
  if (!(work.pieces > 0) || !(measured.device_time_ms() > 0) || work.most_bytes > kMostSpread * work.least_bytes) {
    return std::nullopt;
  }
  const auto each = [&work](double total) { return std::llround(total / work.pieces); };
  const bool is_one = work.operators == 1;
  const auto* by_work = std::get_if<analytic::WorkSize>(&work.size);
  return analytic::CalibrationPoint{.category_id = measured.category_id(),
                                    .flops = each(work.flops),
                                    .vector_flops = each(work.vector_flops),
                                    .io_bytes = each(work.bytes),
                                    .launches = std::max<int64_t>(1, each(work.launches)),
                                    .contiguous = is_one && by_work != nullptr ? std::llround(by_work->contiguous) : 0,
                                    .time_ns = measured.device_time_ms() * kNsPerMs / work.pieces,
                                    .size = is_one && by_work == nullptr ? std::optional(work.size) : std::nullopt};
}

OrderedJson ToJson(const analytic::OperatorSize& size) {
  if (const auto* gemm = std::get_if<analytic::GemmSize>(&size)) {
    return {{"m", gemm->m}, {"n", gemm->n}, {"k", gemm->k}, {"count", 1}};
  }
  const auto& core = std::get<analytic::AttentionSize>(size);
  return {{"batch", core.batch},       {"seq_q", core.seq_q},       {"seq_kv", core.seq_kv},   {"heads", core.heads},
          {"kv_heads", core.kv_heads}, {"head_dim", core.head_dim}, {"causal", core.is_causal}};
}

OrderedJson ToJson(const RunPoint& run_point, const std::string& source) {
  const analytic::CalibrationPoint& point = run_point.point;
  OrderedJson json = {{"category", point.category_id}, {"name", run_point.module_id},
                      {"flops", point.flops},          {"vector_flops", point.vector_flops},
                      {"bytes", point.io_bytes},       {"launches", point.launches},
                      {"time_ns", point.time_ns},      {"source", source}};
  if (point.contiguous > 0) {
    json["contiguous"] = point.contiguous;
  }
  if (point.size) {
    json["size"] = ToJson(*point.size);
  }
  return json;
}

}  // namespace

absl::StatusOr<RunPoints> PointsOfRun(const v1::AnalyticModelReport& report, const store::CalibrationKey& key,
                                      store::Store* store) {
  DSOCR_RETURN_IF_ERROR(CheckRun(report, key, store));
  DSOCR_ASSIGN_OR_RETURN(analytic::ModelSpec model, catalog::ModelOf(report.model()));
  RunPoints recorded = {.source = "run:" + report.report_id(), .points = {}, .routing = {}};
  DSOCR_ASSIGN_OR_RETURN(recorded.routing, RoutingOf(report, model));
  if (recorded.routing) {
    model.decoder.routing = recorded.routing->routing;
  }
  DSOCR_ASSIGN_OR_RETURN(analytic::Workload workload, catalog::WorkloadOf(report.workload()));
  workload.cuda_graphs = report.provenance().cuda_graphs();
  DSOCR_RETURN_IF_ERROR(CheckWorkload(model, workload));
  absl::flat_hash_map<std::string, const v1::ModuleMeasurement*> measured;
  for (const v1::ModuleMeasurement& measurement : report.module_measurements()) {
    measured[measurement.module_id()] = &measurement;
  }
  const analytic::ModuleTree tree = BuildTree(model);
  const analytic::Frames frames = FramesOf(model, workload);
  for (const analytic::Node& node : tree.nodes) {
    const auto found = measured.find(node.id);
    if (!node.is_leaf() || found == measured.end() || found->second->calls() != CallsOf(node, frames.Of(node.frames))) {
      continue;
    }
    for (const v1::MeasuredOperator& op : found->second->operator_breakdown()) {
      const std::optional<analytic::CategoryId> category = analytic::FindCategory(op.category_id());
      if (!category) {
        continue;
      }
      const LeafWork work = WorkOf(node, *category, frames.Of(node.frames), workload.precision);
      if (const std::optional<analytic::CalibrationPoint> point = PointOf(work, op)) {
        recorded.points.push_back({node.id, *point});
      }
    }
  }
  return recorded;
}

absl::StatusOr<std::string> WithPoints(const std::string& json, const RunPoints& recorded) {
  OrderedJson root = OrderedJson::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object() || !root.contains("points") || !root["points"].is_array()) {
    return absl::InvalidArgumentError("calibration: no document with points; measure the device again");
  }
  OrderedJson points = OrderedJson::array();
  for (OrderedJson& point : root["points"]) {
    if (!point.is_object() || point.value("source", OrderedJson()) != recorded.source) {
      points.push_back(std::move(point));
    }
  }
  for (const RunPoint& point : recorded.points) {
    points.push_back(ToJson(point, recorded.source));
  }
  root["points"] = std::move(points);
  if (recorded.routing) {
    root["routing"] = RoutingJson(*recorded.routing);
  }
  return root.dump();
}

}  // namespace dsocr::calibrate
