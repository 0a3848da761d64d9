#include "daemon/export/capture_section.h"

#include <utility>
#include <vector>

#include "daemon/export/text.h"
#include "fmt/format.h"

namespace dsocr::exporter {
namespace {

// Ledger or StreamLedger; "-" for what was not counted.
template <typename Message>
void AddRow(std::string first_cell, const Message& row, Table* table) {
  table->Add({std::move(first_cell), row.has_launched() ? Grouped(row.launched()) : "-", Grouped(row.recorded()),
              Grouped(row.dropped()), Grouped(row.invalid()), row.has_pending() ? Grouped(row.pending()) : "-"});
}

std::string LedgerText(const v1::Ledger& ledger) {
  Table table(
      {{"operations of", Table::Align::kLeft}, {"launched"}, {"recorded"}, {"dropped"}, {"invalid"}, {"pending"}});
  for (const v1::StreamLedger& stream : ledger.streams()) {
    AddRow(fmt::format("device {}, context {}, {}", stream.device(), stream.context(),
                       stream.has_stream() ? fmt::format("stream {}", stream.stream()) : "no known stream"),
           stream, &table);
  }
  AddRow("**all**", ledger, &table);
  return table.ToString();
}

std::string GraphsText(const v1::GraphAttribution& graphs) {
  return fmt::format(
      "CUDA graphs ({}) were launched {} times; of their operations {} have the module that captured them, {} one that "
      "was "
      "inferred{}, {} that of the range that launched the graph.\n",
      Grouped(graphs.graphs()), Grouped(graphs.launches()), Grouped(graphs.operations_captured()),
      Grouped(graphs.operations_inferred()),
      graphs.has_inferred_confidence() ? fmt::format(" (mean confidence {:.2f})", graphs.inferred_confidence()) : "",
      Grouped(graphs.operations_unknown()));
}

std::string SamplingText(const v1::Sampling& sampling) {
  std::string interval;
  if (sampling.device_time_95_ms_size() == 2) {
    interval = fmt::format(" (95 %: {} to {} ms)", Figure(sampling.device_time_95_ms(0)),
                           Figure(sampling.device_time_95_ms(1)));
  }
  return fmt::format(
      "Sampling: {} of {} requests were recorded, chosen at random under a budget of {}; device time of all of them {} "
      "ms{}.\n",
      Grouped(sampling.requests_recorded()), Grouped(sampling.requests_seen()), Percent(sampling.budget_share()),
      Figure(sampling.device_time_ms()), interval);
}

std::string CostText(const v1::Attribution& attribution) {
  const v1::AgentCost& agent = attribution.agent();
  std::string text = fmt::format("The agent took {} ms in callbacks and {} ms on its own thread, {} ns a record, {} MB",
                                 Figure(agent.callback_time_ms()), Figure(agent.decode_time_ms()),
                                 Figure(agent.time_per_record_ns()), Figure(agent.memory_mb()));
  if (attribution.has_tracing_overhead_time_ms()) {
    text += fmt::format("; CUPTI {} ms by its own account", Figure(attribution.tracing_overhead_time_ms()));
  }
  if (attribution.has_wait_time_ms()) {
    text += fmt::format("; the host waited {} ms for the device", Figure(attribution.wait_time_ms()));
  }
  if (attribution.has_sync_gap_time_ms()) {
    text += fmt::format("; after such a wait the device had nothing to do for {} ms of the request",
                        Figure(attribution.sync_gap_time_ms()));
  }
  if (attribution.has_memory_peak_gb()) {
    text += fmt::format("; allocations peaked at {} GB", Figure(attribution.memory_peak_gb()));
  }
  return text + ".\n";
}

std::string IncidentsText(const v1::Attribution& attribution) {
  Table table({{"incident", Table::Align::kLeft}, {"times"}, {"what happened", Table::Align::kLeft}});
  for (const v1::Incident& incident : attribution.incidents()) {
    table.Add({Code(incident.code()), Grouped(incident.count()), Escaped(incident.text())});
  }
  return table.ToString();
}

}  // namespace

std::string CaptureSection(const v1::Attribution& attribution) {
  std::vector<std::string> parts;
  if (attribution.has_ledger()) {
    parts.push_back(LedgerText(attribution.ledger()));
  }
  if (attribution.has_graphs()) {
    parts.push_back(GraphsText(attribution.graphs()));
  }
  if (attribution.has_sampling()) {
    parts.push_back(SamplingText(attribution.sampling()));
  }
  if (attribution.has_agent()) {
    parts.push_back(CostText(attribution));
  }
  if (attribution.incidents_size() > 0) {
    parts.push_back(IncidentsText(attribution));
  }
  std::string section = parts.empty() ? "" : "## Recording\n";
  for (const std::string& part : parts) {
    section += "\n" + part;
  }
  return section;
}

}  // namespace dsocr::exporter
