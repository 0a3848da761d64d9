#include "cupti/attribution/run_sums.h"

#include <string>

namespace dsocr::attribution {

bool RunSums::SetAgentCost(const record::AgentCost& cost) {
  for (const uint64_t count : {cost.callback_ns, cost.decode_ns, cost.memory_bytes, cost.units_seen}) {
    if (count > kMaxCount) {
      return false;
    }
  }
  if (cost.units_recorded > cost.units_seen) {
    return false;
  }
  cost_ = cost;
  return true;
}

bool RunSums::SetIncident(const Dictionary& dictionary, const record::Incident& incident) {
  const auto code = static_cast<uint32_t>(incident.code);
  if (code == 0 || code > record::kLastIncidentCode || !dictionary.HasName(incident.name) ||
      incident.count > kMaxCount) {
    return false;
  }
  const std::string& name = dictionary.Text(incident.name);
  auto known = std::find_if(incidents_.begin(), incidents_.end(), [&](const Incident& earlier) {
    return earlier.code == incident.code && earlier.name == name;
  });
  if (known == incidents_.end()) {
    if (incidents_.size() == kMaxIncidents) {
      return true;  // it makes sense, there is no place for it
    }
    known = incidents_.insert(known, {incident.code, name});
  }
  known->value = incident.value;
  known->count = static_cast<int64_t>(incident.count);
  return true;
}

bool RunSums::has(record::IncidentCode code) const {
  return std::any_of(incidents_.begin(), incidents_.end(),
                     [code](const Incident& incident) { return incident.code == code; });
}

void RunSums::Write(Result* result) const {
  result->agent.callback_ns = static_cast<int64_t>(cost_.callback_ns);
  result->agent.decode_ns = static_cast<int64_t>(cost_.decode_ns);
  result->agent.memory_bytes = static_cast<int64_t>(cost_.memory_bytes);
  result->incidents = incidents_;
  if (result->gpu.has_value()) {
    result->gpu->wait_ns = wait_ns_;
    result->gpu->overhead_ns = overhead_ns_;
    result->gpu->memory_peak_bytes = memory_peak_bytes_;
  }
}

}  // namespace dsocr::attribution
