// A ring of records in shared memory: many writers in the profiled process, one reader in the daemon.
//
// Writers never wait: a writer claims a slot with one compare-and-swap, fills it, and publishes it by storing the
// slot's sequence number. A full ring refuses the newest record and counts it. A writer that dies at any instruction
// leaves at worst slots that were claimed and never published; once the process is gone the reader steps over them and
// counts them.
//
//   memory:  | Header, 4096 bytes | slot 0 | slot 1 | … | slot n-1 |     n a power of two, 64 bytes a slot
//   slot:    | sequence, 8 | Record, 56 |                                sequence = position + 1 when position's record
//   is in it
//
// The reader trusts nothing in the mapping: geometry was checked against the file's sealed size when it was mapped,
// positions are the reader's own, and a record is copied out before anybody looks at it.
#ifndef DSOCR_CUPTI_RECORD_RING_H_
#define DSOCR_CUPTI_RECORD_RING_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cupti/record/record.h"

namespace dsocr::record {

inline constexpr uint64_t kRingMagic = 0x31474e495252434fu;  // "OCRRING1"
inline constexpr size_t kRingHeaderBytes = 4096;
inline constexpr uint32_t kMinRingSlots = 1 << 6;
inline constexpr uint32_t kMaxRingSlots = 1 << 20;
// 8 MiB: 131 ms at a million records a second, 4 s at the 30 thousand of a CPU request. A daemon that gets no CPU for
// longer loses records.
inline constexpr uint32_t kDefaultRingSlots = 1 << 17;

// On the wire: do not move fields. What writers, the reader and the counters touch lies on cache lines of their own.
struct RingHeader {
  uint64_t magic;
  uint16_t format_version;
  uint16_t slot_bytes;
  uint32_t slot_count;
  alignas(64) std::atomic<uint64_t> claimed;   // positions handed out to writers
  alignas(64) std::atomic<uint64_t> consumed;  // positions that the reader gave back
  alignas(64) std::atomic<uint64_t> dropped;   // records refused
};
static_assert(sizeof(RingHeader) <= kRingHeaderBytes);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

struct RingSlot {
  std::atomic<uint64_t> sequence;
  std::atomic<uint64_t> words[7];  // a Record; relaxed word accesses, which cost nothing on x86-64
};
static_assert(sizeof(RingSlot) == 64);

constexpr size_t RingBytes(uint32_t slot_count) { return kRingHeaderBytes + size_t{slot_count} * sizeof(RingSlot); }
constexpr bool IsValidSlotCount(uint32_t slot_count) {
  return slot_count >= kMinRingSlots && slot_count <= kMaxRingSlots && (slot_count & (slot_count - 1)) == 0;
}

// Any number of threads, also signal handlers. Borrows the memory.
class RingWriter {
 public:
  RingWriter() = default;

  // Lays an empty ring into `memory`: zeroed, page-aligned, RingBytes(slot_count) long. REQUIRES:
  // IsValidSlotCount(slot_count).
  static RingWriter Create(void* memory, uint32_t slot_count);

  // Asks for the cache line that the next record will go to.
  void Prefetch() const noexcept {
    __builtin_prefetch(&slots_[header_->claimed.load(std::memory_order_relaxed) & mask_], /*rw=*/1);
  }

  // False: the ring was full, and the record was counted as dropped.
  bool Write(const Record& record) noexcept;

 private:
  RingWriter(RingHeader* header, RingSlot* slots, uint64_t mask) : header_(header), slots_(slots), mask_(mask) {}

  RingHeader* header_ = nullptr;
  RingSlot* slots_ = nullptr;
  uint64_t mask_ = 0;
};

// One thread. Borrows the memory.
class RingReader {
 public:
  RingReader() = default;

  // `memory_bytes`: the mapping's size, from fstat of the sealed file. False: these bytes are not a ring.
  static bool Open(void* memory, size_t memory_bytes, RingReader* reader);

  // Copies the next records, at most `capacity`, and gives their slots back. 0: nothing published yet.
  size_t Read(Record* records, size_t capacity) noexcept;

  // REQUIRES: no writer lives any more. Like Read, and steps over slots that were claimed but never published, a ring's
  // length of them at most.
  size_t ReadAfterDeath(Record* records, size_t capacity) noexcept;

  // Records refused by the full ring, as the writers counted them, plus slots that ReadAfterDeath stepped over.
  uint64_t dropped() const noexcept;

 private:
  RingHeader* header_ = nullptr;
  RingSlot* slots_ = nullptr;
  uint64_t mask_ = 0;
  uint64_t position_ = 0;
  uint64_t torn_ = 0;
};

inline bool RingWriter::Write(const Record& record) noexcept {
  uint64_t position = header_->claimed.load(std::memory_order_relaxed);
  do {
    // Signed: the reader's counter can be ahead of a stale `position`.
    if (static_cast<int64_t>(position - header_->consumed.load(std::memory_order_acquire)) >
        static_cast<int64_t>(mask_)) {
      header_->dropped.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
  } while (!header_->claimed.compare_exchange_weak(position, position + 1, std::memory_order_relaxed));
  RingSlot& slot = slots_[position & mask_];
  uint64_t words[7];
  __builtin_memcpy(words, &record, sizeof(words));
  for (int i = 0; i < 7; ++i) {
    slot.words[i].store(words[i], std::memory_order_relaxed);
  }
  slot.sequence.store(position + 1, std::memory_order_release);
  return true;
}

}  // namespace dsocr::record

#endif  // DSOCR_CUPTI_RECORD_RING_H_
