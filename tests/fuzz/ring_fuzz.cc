// A ring whose producer does what it likes with the memory, between two reads: writes as it should, overwrites
// counters, slots and their sequence numbers.
//
//     input := steps, each: what to do (1) | what that needs
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "cupti/record/ring.h"
#include "tests/fuzz/attribution_laws.h"
#include "tests/fuzz/bytes.h"

namespace {

using namespace dsocr;
using record::kRingHeaderBytes;

constexpr uint32_t kSlots = record::kMinRingSlots;
constexpr size_t kBytes = record::RingBytes(kSlots);

enum Step : uint8_t { kWrite, kPublish, kSetWord, kSetCounter, kRead, kReadAfterDeath, kSteps };

// A ring between two pages that nobody may touch.
class Memory {
 public:
  Memory() : guarded_(static_cast<char*>(mmap(nullptr, kGuard + kBytes + kGuard, PROT_NONE, kFlags, -1, 0))) {
    Expect(guarded_ != MAP_FAILED && mprotect(at(0), kBytes, PROT_READ | PROT_WRITE) == 0, "there is memory");
  }
  ~Memory() { munmap(guarded_, kGuard + kBytes + kGuard); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  char* at(size_t offset) const { return guarded_ + kGuard + offset; }

 private:
  static constexpr size_t kGuard = 4096;
  static constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  static_assert(kBytes % kGuard == 0);

  char* const guarded_;
};

class Reader {
 public:
  explicit Reader(const Memory& memory) {
    Expect(record::RingReader::Open(memory.at(0), kBytes, &reader_), "an empty ring is one");
  }

  size_t Read(size_t capacity, bool after_death) {
    std::vector<record::Record> records(capacity);
    const size_t count =
        after_death ? reader_.ReadAfterDeath(records.data(), capacity) : reader_.Read(records.data(), capacity);
    Expect(count <= capacity, "no more is read than there is room for");
    attribution_.Consume(std::span(records).first(count));
    return count;
  }
  void Finish() {
    size_t rest = 0;
    while (const size_t count = Read(16, /*after_death=*/true)) {
      rest += count;
    }
    Expect(rest <= kSlots, "a ring that nobody writes to ends");
    ExpectSumsClose(attribution_.Finish());
  }
  uint64_t dropped() const { return reader_.dropped(); }

 private:
  record::RingReader reader_;
  attribution::Attribution attribution_{attribution::Options{}};
};

void Play(Bytes input) {
  const Memory memory;
  record::RingWriter writer = record::RingWriter::Create(memory.at(0), kSlots);
  auto* const header = reinterpret_cast<record::RingHeader*>(memory.at(0));
  Reader reader(memory);
  while (!input.empty()) {
    switch (static_cast<Step>(input.Take<uint8_t>() % kSteps)) {
      case kWrite:
        writer.Write(input.Take<record::Record>());
        break;
      case kPublish: {  // a slot that was, or was not, written
        auto* const slots = reinterpret_cast<record::RingSlot*>(memory.at(kRingHeaderBytes));
        const auto slot = input.Take<uint8_t>() % kSlots;
        slots[slot].sequence = header->consumed + input.Take<uint8_t>();
        break;
      }
      case kSetWord: {
        const size_t word = input.Take<uint16_t>() % (kBytes / sizeof(uint64_t));
        const auto value = input.Take<uint64_t>();
        std::memcpy(memory.at(word * sizeof(value)), &value, sizeof(value));
        break;
      }
      case kSetCounter: {
        std::atomic<uint64_t>* const counters[] = {&header->claimed, &header->consumed, &header->dropped};
        *counters[input.Take<uint8_t>() % 3] = header->consumed + static_cast<uint64_t>(input.Take<int16_t>());
        break;
      }
      case kRead:
        reader.Read(input.Take<uint8_t>(), /*after_death=*/false);
        break;
      case kReadAfterDeath:
        reader.Read(input.Take<uint8_t>(), /*after_death=*/true);
        break;
      case kSteps:
        break;
    }
  }
  reader.Finish();
  Expect(reader.dropped() - header->dropped <= kSlots, "a ring's length of slots is stepped over at most");
  record::RingReader again;
  const bool is_ring = record::RingReader::Open(memory.at(0), kBytes, &again);
  Expect(!is_ring || header->slot_count == kSlots, "a ring is as long as its memory");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Play(Bytes(data, size));
  return 0;
}
