// Turns activity records into records: finds the owner of each operation, its time on the host's clock, its name, and
// enters it into the ledger. One thread.
#ifndef DSOCR_CUPTI_AGENT_DECODER_H_
#define DSOCR_CUPTI_AGENT_DECODER_H_

#include <cstdint>

#include "cupti/agent/activity.h"
#include "cupti/agent/cupti_library.h"
#include "cupti/agent/host_clock.h"
#include "cupti/agent/incidents.h"
#include "cupti/agent/launch_callbacks.h"
#include "cupti/agent/recorder.h"

namespace dsocr::agent {

// External ids are pushed on one kind of ours; Kineto uses CUSTOM0 and CUSTOM1.
inline constexpr CUpti_ExternalCorrelationKind kExternalKind = CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM2;

class Decoder {
 public:
  // Borrows all, for ever.
  Decoder(const CuptiLibrary* library, LaunchBooks* books, HostClock* clock, Incidents* incidents)
      : library_(*library), books_(*books), clock_(*clock), incidents_(*incidents) {}

  // The records of one buffer, `valid_bytes` long.
  void Decode(Recorder& recorder, uint8_t* buffer, size_t valid_bytes) noexcept;

  // Those that wait for the record of their launch have waited long enough: they have no owner.
  void WriteWaiting(Recorder& recorder) noexcept;

  // Operations that came with a correlation id of which nobody had heard.
  uint64_t unexplained() const noexcept { return unexplained_.load(std::memory_order_relaxed); }

 private:
  // What has come of one correlation id.
  struct Arrival {
    uint32_t correlation;
    uint32_t operations;
    uint64_t first_start;
    uint64_t last_start;
  };
  struct Waiting {
    record::Record record;
    uint16_t row;
    uint16_t launched_on;
    uint16_t rounds;  // buffers decoded since
  };
  struct KnownName {
    const char* text;
    record::NameId id;
  };
  static constexpr uint32_t kArrivals = 1 << 16;
  static constexpr uint32_t kMaxWaiting = 4096;
  static constexpr uint16_t kMaxRounds = 2;
  static constexpr uint32_t kNamePlaces = 1 << 13;

  void Follow(const Recorder& recorder) noexcept;
  void Take(Recorder& recorder, const Activity& activity) noexcept;
  void TakeOperation(Recorder& recorder, const Activity& activity) noexcept;
  void TakeMemory(Recorder& recorder, const Activity& activity) noexcept;
  bool Place(Recorder& recorder, const Activity& activity, int64_t not_before_ns, int64_t* start_ns,
             int64_t* end_ns) noexcept;
  void Write(Recorder& recorder, const record::Record& record, uint16_t row, uint16_t launched_on) noexcept;
  void RetryWaiting(Recorder& recorder, bool is_last) noexcept;
  record::NameId NameOf(Recorder& recorder, const Activity& activity) noexcept;

  const CuptiLibrary& library_;
  LaunchBooks& books_;
  HostClock& clock_;
  Incidents& incidents_;
  int64_t now_ns_ = 0;          // when the buffer at hand was opened
  bool has_realigned_ = false;  // for this buffer
  uint32_t recording_ = 0;      // that the following is of
  uint32_t waiting_count_ = 0;
  uint32_t names_known_ = 0;
  std::atomic<uint64_t> unexplained_{0};
  Arrival arrivals_[kArrivals]{};
  Waiting waiting_[kMaxWaiting]{};
  KnownName names_[kNamePlaces]{};
};

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_DECODER_H_
