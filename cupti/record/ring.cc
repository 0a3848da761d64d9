#include "cupti/record/ring.h"

#include <cassert>
#include <new>

namespace dsocr::record {

RingWriter RingWriter::Create(void* memory, uint32_t slot_count) {
  assert(IsValidSlotCount(slot_count));
  auto* header = new (memory) RingHeader{};
  header->magic = kRingMagic;
  header->format_version = kFormatVersion;
  header->slot_bytes = sizeof(RingSlot);
  header->slot_count = slot_count;
  // Zeroed memory is a ring of unpublished slots: no sequence number is 0.
  return RingWriter(header, reinterpret_cast<RingSlot*>(static_cast<char*>(memory) + kRingHeaderBytes), slot_count - 1);
}

bool RingReader::Open(void* memory, size_t memory_bytes, RingReader* reader) {
  if (memory_bytes < RingBytes(kMinRingSlots)) {
    return false;
  }
  auto* header = static_cast<RingHeader*>(memory);
  const uint32_t slot_count =
      *const_cast<const volatile uint32_t*>(&header->slot_count);  // read once: it may change under us
  if (header->magic != kRingMagic || header->format_version != kFormatVersion ||
      header->slot_bytes != sizeof(RingSlot) || !IsValidSlotCount(slot_count) ||
      memory_bytes != RingBytes(slot_count)) {
    return false;
  }
  reader->header_ = header;
  reader->slots_ = reinterpret_cast<RingSlot*>(static_cast<char*>(memory) + kRingHeaderBytes);
  reader->mask_ = slot_count - 1;
  reader->position_ = 0;
  reader->torn_ = 0;
  return true;
}

size_t RingReader::Read(Record* records, size_t capacity) noexcept {
  size_t count = 0;
  while (count < capacity) {
    RingSlot& slot = slots_[position_ & mask_];
    if (slot.sequence.load(std::memory_order_acquire) != position_ + 1) {
      break;
    }
    uint64_t words[7];
    for (int i = 0; i < 7; ++i) {
      words[i] = slot.words[i].load(std::memory_order_relaxed);
    }
    __builtin_memcpy(&records[count++], words, sizeof(words));
    ++position_;
  }
  if (count > 0) {
    header_->consumed.store(position_, std::memory_order_release);
  }
  return count;
}

size_t RingReader::ReadAfterDeath(Record* records, size_t capacity) noexcept {
  for (;;) {
    const size_t count = Read(records, capacity);
    if (count > 0) {
      return count;
    }
    // `claimed` is the word of a process that may be alive after all and go on saying more: at most one ring's length
    // of it is believed, in all.
    const uint64_t ahead = header_->claimed.load(std::memory_order_relaxed) - position_;
    if (ahead == 0 || ahead > mask_ + 1 || torn_ > mask_) {
      return 0;
    }
    ++position_;
    ++torn_;
  }
}

uint64_t RingReader::dropped() const noexcept { return header_->dropped.load(std::memory_order_relaxed) + torn_; }

}  // namespace dsocr::record
