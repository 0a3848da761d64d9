#include "client/render/capture_text.h"

#include <cstdint>
#include <string_view>

#include "client/render/units.h"
#include "fmt/format.h"

namespace dsocr::client {
namespace {

std::string Line(std::string_view label, std::string_view text) { return fmt::format("{:<11}{}\n", label, text); }

std::string Counted(int64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", HumanCount(count), noun, count == 1 ? "" : "s");
}

std::string LedgerText(const v1::Ledger& ledger) {
  const std::string known = fmt::format("{} recorded + {} dropped + {} invalid", HumanCount(ledger.recorded()),
                                        HumanCount(ledger.dropped()), HumanCount(ledger.invalid()));
  return ledger.has_launched() ? fmt::format("{} launched = {} + {} pending", HumanCount(ledger.launched()), known,
                                             HumanCount(ledger.pending()))
                               : known + "; launches were not counted";
}

std::string GraphsText(const v1::GraphAttribution& graphs) {
  const std::string confidence =
      graphs.has_inferred_confidence() ? fmt::format(" (confidence {:.2f})", graphs.inferred_confidence()) : "";
  return fmt::format("{} of {}: operations {} captured, {} inferred{}, {} unknown",
                     graphs.launches() == 1 ? "1 launch" : HumanCount(graphs.launches()) + " launches",
                     Counted(graphs.graphs(), "graph"), HumanCount(graphs.operations_captured()),
                     HumanCount(graphs.operations_inferred()), confidence, HumanCount(graphs.operations_unknown()));
}

std::string SamplingText(const v1::Sampling& sampling) {
  std::string text = fmt::format("{} of {} recorded, budget {}; device time {}",
                                 HumanCount(sampling.requests_recorded()), Counted(sampling.requests_seen(), "request"),
                                 HumanShare(sampling.budget_share()), HumanMs(sampling.device_time_ms()));
  if (sampling.device_time_95_ms_size() == 2) {
    text += fmt::format(" (95 %: {} to {})", HumanMs(sampling.device_time_95_ms(0)),
                        HumanMs(sampling.device_time_95_ms(1)));
  }
  return text;
}

std::string IncidentText(const v1::Incident& incident) {
  const std::string times = incident.count() > 1 ? fmt::format(" ({} times)", HumanCount(incident.count())) : "";
  return fmt::format("{}{}: {}", incident.code(), times, incident.text());
}

}  // namespace

std::string CaptureText(const v1::Attribution& attribution) {
  std::string text;
  if (attribution.has_ledger()) {
    text += Line("ledger", LedgerText(attribution.ledger()));
  }
  if (attribution.has_graphs()) {
    text += Line("graphs", GraphsText(attribution.graphs()));
  }
  if (attribution.has_sampling()) {
    text += Line("sampling", SamplingText(attribution.sampling()));
  }
  for (const v1::Incident& incident : attribution.incidents()) {
    text += Line("warning", IncidentText(incident));
  }
  return text;
}

}  // namespace dsocr::client
