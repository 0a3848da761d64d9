// Into which range of the translation each of a job's last calls went: for operations that come when their call is
// over.
#ifndef DSOCR_DAEMON_ATTACH_CALL_MEMORY_H_
#define DSOCR_DAEMON_ATTACH_CALL_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "cupti/record/record.h"

namespace dsocr::attach {

// A call of the model. Where the vision runs inside, its prefill is in pieces. To which of them an operation of the
// device belongs, its order says: one that comes after operations of the vision belongs to the piece after the vision.
struct Pass {
  uint64_t number = 0;
  std::vector<record::Owner> pieces;
  size_t reached = 0;
};

// Where the operations of a call go.
struct Resolution {
  record::Owner job_owner = 0;
  record::Owner owner = 0;
  uint64_t pass = 0;          // 0: not in prefill
  uint32_t piece = 0;         // that the call is in, or that follows it
  bool is_any_piece = false;  // the call goes on around the vision
};

// Constant time and memory. Not thread-safe.
class CallMemory {
 public:
  // REQUIRES: number > 0, greater than of any pass before.
  void BeginPass(uint64_t number) { passes_[number % kPasses] = {.number = number}; }
  // Null: forgotten, or there was none.
  Pass* FindPass(uint64_t number) {
    Pass& pass = passes_[number % kPasses];
    return number != 0 && pass.number == number ? &pass : nullptr;
  }
  void AddPiece(uint64_t pass, record::Owner prefill);

  // Of another call, where this one was never there or is forgotten.
  Resolution& PlaceOf(record::Owner job_owner) { return calls_[record::OwnerEntry(job_owner) % kRemembered]; }
  // Of what happened in a call. `is_operation`: on the device, whose order tells the piece. nullopt: forgotten.
  std::optional<record::Owner> OwnerOf(record::Owner job_owner, bool is_operation);

 private:
  static constexpr size_t kRemembered = 1 << 17;
  static constexpr size_t kPasses = 1 << 12;
  static constexpr size_t kMaxPieces = 64;

  std::vector<Resolution> calls_ = std::vector<Resolution>(kRemembered);  // by entry
  std::vector<Pass> passes_ = std::vector<Pass>(kPasses);                 // by number
};

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_CALL_MEMORY_H_
