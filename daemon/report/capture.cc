#include "daemon/report/capture.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/numeric/int128.h"
#include "daemon/report/incident.h"
#include "daemon/report/units.h"
#include "fmt/format.h"

namespace dsocr::report {
namespace {

using attribution::GpuSums;
using attribution::StreamLedger;
using record::IncidentCode;

StreamLedger TotalOf(const GpuSums& gpu) {
  StreamLedger total;
  for (const StreamLedger& row : gpu.streams) {
    total.launched += row.launched;
    total.recorded += row.recorded;
    total.dropped += row.dropped;
    total.invalid += row.invalid;
    total.pending += row.pending;
  }
  return total;
}

// Ledger or StreamLedger.
template <typename Message>
void SetCounts(const StreamLedger& row, bool launches_counted, Message* message) {
  if (launches_counted) {
    message->set_launched(row.launched);
    message->set_pending(row.pending);
  }
  message->set_recorded(row.recorded);
  message->set_dropped(row.dropped);
  message->set_invalid(row.invalid);
}

v1::Ledger LedgerOf(const GpuSums& gpu) {
  v1::Ledger ledger;
  SetCounts(TotalOf(gpu), gpu.launches_counted, &ledger);
  for (const StreamLedger& row : gpu.streams) {
    v1::StreamLedger& stream = *ledger.add_streams();
    stream.set_device(row.device);
    stream.set_context(row.context);
    if (row.stream) {
      stream.set_stream(*row.stream);
    }
    SetCounts(row, gpu.launches_counted, &stream);
  }
  return ledger;
}

v1::GraphAttribution GraphsOf(const attribution::GraphSums& sums) {
  v1::GraphAttribution graphs;
  graphs.set_launches(sums.launches);
  graphs.set_graphs(sums.graphs);
  graphs.set_operations_captured(sums.operations_captured);
  graphs.set_operations_inferred(sums.operations_inferred);
  graphs.set_operations_unknown(sums.operations_unknown);
  if (sums.operations_inferred > 0) {
    graphs.set_inferred_confidence(sums.inferred_confidence);
  }
  return graphs;
}

v1::Sampling SamplingOf(const attribution::SamplingSums& sums, double overhead_budget) {
  v1::Sampling sampling;
  sampling.set_budget_share(overhead_budget);
  sampling.set_requests_seen(sums.requests_seen);
  sampling.set_requests_recorded(sums.requests_recorded);
  sampling.set_device_time_ms(Milliseconds(sums.device_ns));
  sampling.add_device_time_95_ms(Milliseconds(sums.device_ns_low));
  sampling.add_device_time_95_ms(Milliseconds(sums.device_ns_high));
  return sampling;
}

v1::AgentCost AgentCostOf(const attribution::AgentSums& sums, int64_t recorded) {
  v1::AgentCost cost;
  cost.set_callback_time_ms(Milliseconds(sums.callback_ns));
  cost.set_decode_time_ms(Milliseconds(sums.decode_ns));
  if (recorded > 0) {
    cost.set_time_per_record_ns(static_cast<double>(sums.callback_ns + sums.decode_ns) / static_cast<double>(recorded));
  }
  cost.set_memory_mb(static_cast<double>(sums.memory_bytes) / 1e6);
  return cost;
}

std::string NameOf(const StreamLedger& row) {
  return row.stream ? fmt::format("stream {} of device {}", *row.stream, row.device)
                    : fmt::format("no known stream of device {}", row.device);
}

// Empty: it closes. Where every row does, so does their sum.
std::string LedgerProblem(const GpuSums& gpu) {
  for (const StreamLedger& row : gpu.streams) {
    const absl::int128 known = absl::int128(row.recorded) + row.dropped + row.invalid + row.pending;
    const int64_t least = std::min({row.recorded, row.dropped, row.invalid, row.pending});
    if (known != row.launched || least < 0) {
      return fmt::format(
          "the ledger does not close: on {} {} operations were launched, {} recorded, {} dropped, {} invalid, {} "
          "pending; report this as a bug",
          NameOf(row), row.launched, row.recorded, row.dropped, row.invalid, row.pending);
    }
  }
  return "";
}

const attribution::Incident* FindIncident(const attribution::Result& measured, IncidentCode code) {
  const auto found = std::find_if(measured.incidents.begin(), measured.incidents.end(),
                                  [code](const attribution::Incident& incident) { return incident.code == code; });
  return found != measured.incidents.end() ? &*found : nullptr;
}

}  // namespace

void AddCapture(const attribution::Result& measured, double overhead_budget, v1::Attribution* attribution) {
  if (const std::optional<GpuSums>& gpu = measured.gpu) {
    *attribution->mutable_ledger() = LedgerOf(*gpu);
    if (gpu->graphs.launches > 0) {
      *attribution->mutable_graphs() = GraphsOf(gpu->graphs);
    }
    *attribution->mutable_agent() = AgentCostOf(measured.agent, attribution->ledger().recorded());
    attribution->set_wait_time_ms(Milliseconds(gpu->wait_ns));
    attribution->set_sync_gap_time_ms(Milliseconds(measured.request.sync_gap_ns));
    attribution->set_tracing_overhead_time_ms(Milliseconds(gpu->overhead_ns));
    if (gpu->memory_peak_bytes > 0) {
      attribution->set_memory_peak_gb(Gigabytes(gpu->memory_peak_bytes));
    }
  }
  if (measured.sampling) {
    *attribution->mutable_sampling() = SamplingOf(*measured.sampling, overhead_budget);
  }
  for (const attribution::Incident& incident : measured.incidents) {
    *attribution->add_incidents() = IncidentOf(incident);
  }
}

std::vector<std::string> CaptureNotes(const attribution::Result& measured) {
  std::vector<std::string> notes;
  if (const std::optional<GpuSums>& gpu = measured.gpu) {
    const StreamLedger total = TotalOf(*gpu);
    if (total.dropped > 0) {
      notes.push_back(fmt::format("{} GPU operations were dropped: device times are lower bounds", total.dropped));
    }
    if (gpu->launches_counted && total.pending > 0) {
      notes.push_back(
          fmt::format("{} launched GPU operations were not heard of: device times are lower bounds", total.pending));
    }
    if (std::string problem = gpu->launches_counted ? LedgerProblem(*gpu) : ""; !problem.empty()) {
      notes.push_back(std::move(problem));
    }
  }
  if (FindIncident(measured, IncidentCode::kStalled) != nullptr) {
    notes.emplace_back(FindIncident(measured, IncidentCode::kRecovered) != nullptr
                           ? "recording stalled for a while"
                           : "recording stalled and did not recover");
  }
  if (FindIncident(measured, IncidentCode::kSubscriberRefused) != nullptr) {
    notes.emplace_back("another tool holds CUPTI: launches were not counted");
  }
  return notes;
}

}  // namespace dsocr::report
