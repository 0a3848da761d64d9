#include "cupti/agent/intern.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "cupti/agent/spread.h"

namespace dsocr::agent {
namespace {

uint64_t Mix(uint64_t hash, uint64_t word) {
  hash = Spread(hash ^ word);
  return hash ^ (hash >> 32);
}

constexpr int kNameShift = 18;
constexpr int kParentShift = 42;
static_assert(Interner::kMaxEntries < (1u << kNameShift));

}  // namespace

Text MakeText(const char* bytes, size_t size) noexcept {
  size = std::min<size_t>(size, record::kMaxNameBytes);
  uint64_t hash = size + 1;
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes + i, 8);
    hash = Mix(hash, word);
  }
  if (i < size) {
    uint64_t word = 0;
    std::memcpy(&word, bytes + i, size - i);
    hash = Mix(hash, word);
  }
  return {bytes, static_cast<uint32_t>(size), Spread(hash)};
}

Text MakeText(const char* terminated) noexcept {
  return MakeText(terminated, terminated == nullptr ? 0 : strnlen(terminated, record::kMaxNameBytes));
}

Interner::~Interner() {
  if (memory_ != nullptr) {
    munmap(memory_, 2 * kPlaces * sizeof(uint64_t) + kArenaBytes);
  }
}

bool Interner::Init(record::RingWriter* ring) noexcept {
  void* memory = mmap(nullptr, 2 * kPlaces * sizeof(uint64_t) + kArenaBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return false;
  }
  ring_ = ring;
  memory_ = static_cast<char*>(memory);
  names_ = reinterpret_cast<std::atomic<const NameEntry*>*>(memory_);
  paths_ = reinterpret_cast<std::atomic<uint64_t>*>(memory_ + kPlaces * sizeof(uint64_t));
  arena_ = memory_ + 2 * kPlaces * sizeof(uint64_t);
  return true;
}

bool Interner::DefineName(const Text& text, record::NameId id, uint32_t thread) noexcept {
  record::Record record{};
  record.kind = record::Kind::kNameDefinition;
  record.thread = thread;
  auto& definition = record.name_definition;
  definition.name = id;
  definition.total_bytes = static_cast<uint16_t>(text.size);
  uint32_t offset = 0;
  do {
    const uint32_t size = std::min<uint32_t>(sizeof(definition.bytes), text.size - offset);
    definition.offset = static_cast<uint16_t>(offset);
    std::memcpy(definition.bytes, text.bytes + offset, size);
    if (!ring_->Write(record)) {
      return false;
    }
    offset += size;
  } while (offset < text.size);
  return true;
}

record::NameId Interner::Name(const Text& text, uint32_t thread) noexcept {
  if (text.size == 0) {
    return 0;
  }
  const auto find = [&](uint32_t* place) -> record::NameId {
    for (*place = text.hash >> 48;; *place = (*place + 1) % kPlaces) {
      const NameEntry* entry = names_[*place].load(std::memory_order_acquire);
      if (entry == nullptr) {
        return 0;
      }
      if (entry->hash == text.hash && entry->size == text.size &&
          std::memcmp(entry->bytes(), text.bytes, text.size) == 0) {
        return entry->id;
      }
    }
  };
  uint32_t place;
  if (const record::NameId id = find(&place)) {
    return id;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (const record::NameId id = find(&place)) {
    return id;
  }
  const size_t entry_bytes = (sizeof(NameEntry) + text.size + 7) / 8 * 8;
  if (name_count_ == kMaxEntries || arena_used_ + entry_bytes > kArenaBytes ||
      !DefineName(text, name_count_ + 1, thread)) {
    return 0;
  }
  auto* entry = reinterpret_cast<NameEntry*>(arena_ + arena_used_);
  arena_used_ += entry_bytes;
  entry->hash = text.hash;
  entry->size = text.size;
  entry->id = ++name_count_;
  std::memcpy(entry->bytes(), text.bytes, text.size);
  names_[place].store(entry, std::memory_order_release);
  return entry->id;
}

record::PathId Interner::Path(record::PathId parent, record::NameId name, uint32_t thread, bool is_module) noexcept {
  if (name == 0) {
    return 0;
  }
  const uint64_t key = uint64_t{parent} << kParentShift | uint64_t{name} << kNameShift;
  const auto find = [&](uint32_t* place) -> record::PathId {
    for (*place = Spread(key) >> 48;; *place = (*place + 1) % kPlaces) {
      const uint64_t entry = paths_[*place].load(std::memory_order_acquire);
      const auto path = static_cast<record::PathId>(entry & ((1u << kNameShift) - 1));
      if (entry == 0 || entry - path == key) {
        return path;
      }
    }
  };
  uint32_t place;
  if (const record::PathId path = find(&place)) {
    return path;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (const record::PathId path = find(&place)) {
    return path;
  }
  record::Record record{};
  record.kind = record::Kind::kPathDefinition;
  record.thread = thread;
  record.path_definition = {path_count_ + 1, parent, name, is_module ? 1u : 0u};
  if (path_count_ == kMaxEntries || !ring_->Write(record)) {
    return 0;
  }
  paths_[place].store(key | ++path_count_, std::memory_order_release);
  return path_count_;
}

}  // namespace dsocr::agent
