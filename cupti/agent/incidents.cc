#include "cupti/agent/incidents.h"

namespace dsocr::agent {

void Incidents::Tell(Recorder& recorder, record::IncidentCode code, int64_t value, const char* name) noexcept {
  State& state = states_[static_cast<uint32_t>(code)];
  if (state.count.fetch_add(1, std::memory_order_relaxed) > 0) {
    return;
  }
  state.value.store(value, std::memory_order_relaxed);
  state.name.store(name == nullptr ? 0 : recorder.Name(MakeText(name)), std::memory_order_relaxed);
  Write(recorder, code);
}

void Incidents::Forget() noexcept {
  for (State& state : states_) {
    state.count.store(0);
    state.told.store(0);
  }
}

void Incidents::TellCounts(Recorder& recorder) noexcept {
  for (uint32_t code = 1; code <= record::kLastIncidentCode; ++code) {
    if (states_[code].count.load() > states_[code].told.load()) {
      Write(recorder, static_cast<record::IncidentCode>(code));
    }
  }
}

void Incidents::Write(Recorder& recorder, record::IncidentCode code) noexcept {
  State& state = states_[static_cast<uint32_t>(code)];
  record::Record record{};
  record.kind = record::Kind::kIncident;
  record.incident = {NowNs(), code, state.name.load(std::memory_order_relaxed),
                     state.value.load(std::memory_order_relaxed), state.count.load(std::memory_order_relaxed)};
  if (recorder.Write(record)) {
    state.told.store(record.incident.count, std::memory_order_relaxed);
  }
}

}  // namespace dsocr::agent
