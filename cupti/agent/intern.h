// Names and paths of one recording, as the numbers that records carry.
//
// A lookup takes no lock and no memory. A new name or path is defined under a mutex: its definition records go into the
// ring first, and only then does another thread see its number, so a reader meets every definition before its first
// use. If the ring refuses a definition, the number is not used up and the next occurrence tries again.
#ifndef DSOCR_CUPTI_AGENT_INTERN_H_
#define DSOCR_CUPTI_AGENT_INTERN_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "cupti/record/ring.h"

namespace dsocr::agent {

// A piece of text with its hash, borrowed.
struct Text {
  const char* bytes;
  uint32_t size;
  uint64_t hash;
};

// Cuts at record::kMaxNameBytes. `bytes` may be null: the empty text.
Text MakeText(const char* bytes, size_t size) noexcept;
Text MakeText(const char* terminated) noexcept;

class Interner {
 public:
  // Tables of 64 Ki places, at most half full: 1 MiB, touched only where used. A job that invents names without end
  // ("step 12345") gets numbers for the first 32 Ki of them; after that it gets 0.
  static constexpr uint32_t kMaxEntries = 1 << 15;

  Interner() = default;
  Interner(const Interner&) = delete;
  Interner& operator=(const Interner&) = delete;
  ~Interner();

  // False: no memory. Borrows `ring`.
  bool Init(record::RingWriter* ring) noexcept;

  // 0: the table or the ring is full.
  record::NameId Name(const Text& text, uint32_t thread) noexcept;

  // The path of `name` below `parent`; 0 as above. REQUIRES: both numbers came from here (parent 0: the top).
  // What `is_module` says is what it said the first time.
  record::PathId Path(record::PathId parent, record::NameId name, uint32_t thread, bool is_module = false) noexcept;

 private:
  static constexpr uint32_t kPlaces = 1 << 16;
  static constexpr size_t kArenaBytes = 8 << 20;  // of address space; names of 64 bytes on average fill a quarter

  struct NameEntry {
    uint64_t hash;
    uint32_t size;
    record::NameId id;
    char* bytes() { return reinterpret_cast<char*>(this + 1); }  // the text follows its entry
    const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
  };

  bool DefineName(const Text& text, record::NameId id, uint32_t thread) noexcept;

  record::RingWriter* ring_ = nullptr;
  std::mutex mutex_;  // guards the counts and the arena, and orders definitions in the ring
  uint32_t name_count_ = 0;
  uint32_t path_count_ = 0;
  size_t arena_used_ = 0;
  char* memory_ = nullptr;  // one mapping: names_, paths_, arena_
  std::atomic<const NameEntry*>* names_ = nullptr;
  std::atomic<uint64_t>* paths_ = nullptr;  // parent << 42 | name << 18 | path: a path's whole entry in one word
  char* arena_ = nullptr;
};

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_INTERN_H_
