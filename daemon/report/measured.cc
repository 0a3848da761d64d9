#include "daemon/report/measured.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "analytic/category.h"
#include "daemon/report/capture.h"
#include "daemon/report/units.h"
#include "fmt/format.h"
#include "proto/document_text.h"

namespace dsocr::report {
namespace {

using attribution::CategorySum;
using attribution::ModuleSum;
using attribution::RequestSum;

constexpr size_t kShownRanges = 3;
constexpr size_t kLongestShownRange = 60;

absl::Status DoNotAddUp(std::string_view what, int64_t parts, int64_t whole) {
  return absl::InternalError(
      fmt::format("joining: {} add up to {} ns, not to {} ns; report this as a bug", what, parts, whole));
}

absl::Status CheckCategories(const ModuleSum& module) {
  int64_t sum_ns = 0;
  absl::flat_hash_set<std::string> seen;
  for (const CategorySum& category : module.categories) {
    if (!analytic::FindCategory(category.category_id) || !seen.insert(category.category_id).second) {
      return absl::InternalError(
          fmt::format("joining: '{}' has category '{}' twice, or it is not in the list; report this as a bug",
                      module.module_id, category.category_id));
    }
    sum_ns += category.device_ns;
  }
  return sum_ns == module.device_ns
             ? absl::OkStatus()
             : DoNotAddUp(fmt::format("the categories of '{}'", module.module_id), sum_ns, module.device_ns);
}

}  // namespace

absl::Status CheckSums(const attribution::Result& measured) {
  const RequestSum& request = measured.request;
  if (request.total_ns <= 0) {
    return absl::FailedPreconditionError(
        "joining: no operation was recorded in a measured request; see the runner's messages in the daemon's log");
  }
  int64_t self_ns = 0;
  absl::flat_hash_set<std::string> seen;
  for (const ModuleSum& module : request.modules) {
    if (!seen.insert(module.module_id).second) {
      return absl::InternalError(
          fmt::format("joining: module '{}' was measured twice; report this as a bug", module.module_id));
    }
    if (absl::Status status = CheckCategories(module); !status.ok()) {
      return status;
    }
    self_ns += module.self_device_ns;
  }
  return self_ns == request.attributed_ns ? absl::OkStatus()
                                          : DoNotAddUp("the self times of all modules", self_ns, request.attributed_ns);
}

v1::ModuleMeasurement FiguresOf(const ModuleSum& sum) {
  v1::ModuleMeasurement measurement;
  measurement.set_calls(sum.calls);
  measurement.set_wall_time_ms(Milliseconds(sum.wall_ns));
  measurement.set_device_time_ms(Milliseconds(sum.device_ns));
  measurement.set_self_device_time_ms(Milliseconds(sum.self_device_ns));
  measurement.set_busy_time_ms(Milliseconds(sum.busy_ns));
  measurement.set_gap_time_ms(Milliseconds(sum.gap_ns));
  measurement.set_launches(sum.launches);
  measurement.set_p50_ms(Milliseconds(sum.p50_ns));
  measurement.set_p95_ms(Milliseconds(sum.p95_ns));
  if (sum.inferred_ns > 0) {
    measurement.set_inferred_device_time_ms(Milliseconds(sum.inferred_ns));
    measurement.set_inferred_confidence(sum.inferred_confidence);
  }
  return measurement;
}

v1::Attribution AttributionOf(const attribution::Result& measured, const Recording& recording) {
  const RequestSum& request = measured.request;
  v1::Attribution result;
  result.set_attributed_device_time_ms(Milliseconds(request.attributed_ns));
  result.set_unattributed_device_time_ms(Milliseconds(request.unattributed_ns));
  result.set_attributed_share(Share(static_cast<double>(request.attributed_ns),
                                    static_cast<double>(request.attributed_ns + request.unattributed_ns)));
  result.set_operations(request.operations);
  result.set_operations_unattributed(request.operations_unattributed);
  result.set_records_received(measured.records_received);
  result.set_records_dropped(measured.records_dropped);
  result.set_records_invalid(measured.records_invalid);
  result.set_clock_uncertainty_ns(measured.clock_uncertainty_ns);
  result.set_agent_cost_ms(Milliseconds(measured.agent_cost_ns));
  result.set_route(recording.route);
  AddCapture(measured, recording.overhead_budget, &result);
  return result;
}

std::string Sanitized(std::string_view text, size_t longest) {
  std::string result;
  while (!text.empty()) {
    const size_t length = document::Utf8SequenceLength(text);
    const bool is_control = static_cast<unsigned char>(text.front()) < 0x20 || text.front() == 0x7f;
    const std::string_view piece = length == 0 || is_control ? "?" : text.substr(0, length);
    if (result.size() + piece.size() > longest) {
      break;
    }
    result += piece;
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return result;
}

v1::Bound GapBound(bool on_gpu) { return on_gpu ? v1::BOUND_IDLE : v1::BOUND_HOST; }

void AddMeasurementNotes(const attribution::Result& measured, v1::AnalyticModelReport* report) {
  std::string notes = report->notes();
  const auto add = [&notes](const std::string& note) { notes += (notes.empty() ? "" : "; ") + note; };
  if (measured.records_dropped > 0) {
    add(fmt::format("{} records were dropped: measured times are lower bounds", measured.records_dropped));
  }
  if (measured.records_invalid > 0) {
    add(fmt::format("{} records made no sense and were left out", measured.records_invalid));
  }
  if (const std::vector<std::string>& ranges = measured.unknown_ranges; !ranges.empty()) {
    std::string shown;
    for (size_t i = 0; i < std::min(kShownRanges, ranges.size()); ++i) {
      shown += fmt::format("{}'{}'", i == 0 ? "" : ", ", Sanitized(ranges[i], kLongestShownRange));
    }
    add(fmt::format("{} range names are no modules, their time is with the enclosing module: {}{}", ranges.size(),
                    shown, ranges.size() > kShownRanges ? ", …" : ""));
  }
  for (const std::string& note : CaptureNotes(measured)) {
    add(note);
  }
  report->set_notes(notes);
}

}  // namespace dsocr::report
