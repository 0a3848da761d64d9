// Which range launched the operation of a correlation id: written where the launch is made, read where its record is
// decoded. No lock, no memory: a slot for each of the last 65,536 correlation ids, which CUPTI counts up.
#ifndef DSOCR_CUPTI_AGENT_LAUNCH_TABLE_H_
#define DSOCR_CUPTI_AGENT_LAUNCH_TABLE_H_

#include <atomic>
#include <cstdint>

#include "cupti/record/record.h"

namespace dsocr::agent {

struct Launch {
  record::Owner owner;
  int64_t time_ns;      // CLOCK_MONOTONIC; 0: not known
  uint16_t row;         // of the ledger
  bool is_counted;      // its operations are in the ledger as launched
  bool is_skipped;      // by a unit that is not recorded: nothing of it is
  uint32_t operations;  // how many records it will have; 0: not known
};

// Two 64-bit words and a tag a slot. A reader that meets a writer sees that, and misses.
class LaunchTable {
 public:
  // Any thread. REQUIRES: correlation != 0.
  void Put(uint32_t correlation, const Launch& launch) noexcept {
    Slot& slot = slots_[correlation % kSlots];
    slot.tag.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    slot.owner.store(launch.owner, std::memory_order_relaxed);
    slot.time_ns.store(launch.time_ns, std::memory_order_relaxed);
    slot.packed.store(uint64_t{launch.operations} << 32 | uint64_t{launch.is_skipped} << 17 |
                          uint64_t{launch.is_counted} << 16 | launch.row,
                      std::memory_order_relaxed);
    slot.tag.store(correlation, std::memory_order_release);
  }

  // REQUIRES: nobody puts.
  void Forget() noexcept {
    for (Slot& slot : slots_) {
      slot.tag.store(0, std::memory_order_relaxed);
    }
  }

  // Any thread. False: not known, or forgotten.
  bool Find(uint32_t correlation, Launch* launch) const noexcept {
    const Slot& slot = slots_[correlation % kSlots];
    if (slot.tag.load(std::memory_order_acquire) != correlation || correlation == 0) {
      return false;
    }
    launch->owner = slot.owner.load(std::memory_order_relaxed);
    launch->time_ns = slot.time_ns.load(std::memory_order_relaxed);
    const uint64_t packed = slot.packed.load(std::memory_order_relaxed);
    launch->operations = static_cast<uint32_t>(packed >> 32);
    launch->is_counted = (packed >> 16 & 1) != 0;
    launch->is_skipped = (packed >> 17 & 1) != 0;
    launch->row = static_cast<uint16_t>(packed);
    std::atomic_thread_fence(std::memory_order_acquire);
    return slot.tag.load(std::memory_order_relaxed) == correlation;
  }

 private:
  static constexpr uint32_t kSlots = 1 << 16;

  struct Slot {
    std::atomic<uint32_t> tag;  // the correlation id; 0: empty
    std::atomic<uint64_t> owner;
    std::atomic<int64_t> time_ns;
    std::atomic<uint64_t> packed;
  };

  Slot slots_[kSlots];
};

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_LAUNCH_TABLE_H_
