// What went wrong in recording, told once when it first happens and again, with its count, when the recording ends.
#ifndef DSOCR_CUPTI_AGENT_INCIDENTS_H_
#define DSOCR_CUPTI_AGENT_INCIDENTS_H_

#include <atomic>
#include <cstdint>

#include "cupti/agent/recorder.h"

namespace dsocr::agent {

class Incidents {
 public:
  // Any thread. `name` may be null; `value`: see record::IncidentCode.
  void Tell(Recorder& recorder, record::IncidentCode code, int64_t value, const char* name = nullptr) noexcept;

  // None has happened. REQUIRES: nobody tells one.
  void Forget() noexcept;

  // Those that happened more than once since they were told.
  void TellCounts(Recorder& recorder) noexcept;

 private:
  struct State {
    std::atomic<uint64_t> count;
    std::atomic<uint64_t> told;
    std::atomic<int64_t> value;  // the first one's
    std::atomic<record::NameId> name;
  };

  void Write(Recorder& recorder, record::IncidentCode code) noexcept;

  State states_[record::kLastIncidentCode + 1]{};
};

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_INCIDENTS_H_
