// The calls that operations may still belong to: those that are open, and the last 65,536 that are over.
//
// A call is found by its entry in O(1): the agent hands entries out in increasing blocks, so their lower bits are a
// place of their own for almost every call; calls that meet in one place are chained. Calls keep their slot while they
// are remembered, and a parent, which closes after its children, is remembered as long as they are.
#ifndef DSOCR_CUPTI_ATTRIBUTION_CALL_TABLE_H_
#define DSOCR_CUPTI_ATTRIBUTION_CALL_TABLE_H_

#include <cstdint>
#include <vector>

#include "cupti/attribution/dictionary.h"

namespace dsocr::attribution {

using CallSlot = uint32_t;
inline constexpr CallSlot kNoCall = 0xffffffff;

// Of the requests that are being measured.
using RequestSlot = uint32_t;
inline constexpr RequestSlot kNoRequest = 0;
inline constexpr RequestSlot kRequestByTime = 0xffffffff;  // nobody knows: that which runs when the operation starts

// One entry of a range. One line of cache.
struct Call {
  uint64_t entry = 0;              // 0: its push was lost
  int64_t host_ns = 0;             // when it began; once it is over, how long it took
  int64_t first_operation_ns = 0;  // GPU; 0: none yet
  int64_t last_operation_ns = 0;
  int64_t device_ns = 0;  // of operations; of children too, once they are forgotten
  PathIndex path = 0;
  CallSlot parent = kNoCall;
  RequestSlot request = kNoRequest;
  CallSlot next = kNoCall;  // in the same place, or free
  float weight = 1;         // 1 / the probability with which it was chosen to be recorded
  bool is_request = false;
  bool is_unit = false;  // what is chosen: a request, or an outermost call

  // GPU: the span from the first operation's start to the last one's end.
  void Cover(int64_t from_ns, int64_t until_ns) {
    if (first_operation_ns == 0 || from_ns < first_operation_ns) {
      first_operation_ns = from_ns;
    }
    if (until_ns > last_operation_ns) {
      last_operation_ns = until_ns;
    }
  }
};
static_assert(sizeof(Call) <= 64);

class CallTable {
 public:
  // How far operations on a GPU may lag behind their ranges and still count in the call's own span: 4 MiB of calls.
  static constexpr size_t kMaxClosed = 1 << 16;

  CallTable() : places_(kPlaces, kNoCall), closing_order_(kOrder) { calls_.reserve(kMaxClosed + kUsualOpen); }

  Call& operator[](CallSlot slot) { return calls_[slot]; }
  const Call& operator[](CallSlot slot) const { return calls_[slot]; }

  // kNoCall: not remembered, or 0.
  CallSlot Find(uint64_t entry) const {
    CallSlot slot = places_[entry % kPlaces];
    while (slot != kNoCall && calls_[slot].entry != entry) {
      slot = calls_[slot].next;
    }
    return slot;
  }

  // Hints, for any entry: a call's place first, then the call.
  void PrefetchPlace(uint64_t entry) const { __builtin_prefetch(&places_[entry % kPlaces]); }
  void PrefetchCall(uint64_t entry) const {
    if (const CallSlot slot = places_[entry % kPlaces]; slot != kNoCall) {
      __builtin_prefetch(&calls_[slot]);
    }
  }

  // References to calls do not outlive it. REQUIRES: `entry` is 0 or not remembered.
  CallSlot Open(uint64_t entry) {
    CallSlot slot = free_;
    if (slot == kNoCall) {
      slot = static_cast<CallSlot>(calls_.size());
      calls_.emplace_back();
    } else {
      free_ = calls_[slot].next;
      calls_[slot] = Call();
    }
    if (entry != 0) {
      calls_[slot].entry = entry;
      calls_[slot].next = places_[entry % kPlaces];
      places_[entry % kPlaces] = slot;
    }
    return slot;
  }

  // It is over. Where closed_count() exceeds kMaxClosed, the caller forgets the oldest.
  void Close(CallSlot slot) { closing_order_[closed_end_++ % kOrder] = slot; }
  void DropDeviceTimes() {
    for (Call& call : calls_) {
      call.device_ns = 0;
    }
  }
  size_t closed_count() const { return closed_end_ - closed_begin_; }
  // The call that was closed first. REQUIRES: closed_count() > 0.
  CallSlot oldest() const { return closing_order_[closed_begin_ % kOrder]; }
  void ForgetOldest() {
    const CallSlot slot = oldest();
    ++closed_begin_;
    // Nobody has touched it for 65,536 calls; its turn is soon.
    __builtin_prefetch(&calls_[closing_order_[(closed_begin_ + kAhead) % kOrder]]);
    Call& call = calls_[slot];
    if (call.entry != 0) {
      CallSlot* place = &places_[call.entry % kPlaces];
      while (*place != slot) {
        place = &calls_[*place].next;
      }
      *place = call.next;
    }
    call.next = free_;
    free_ = slot;
  }

 private:
  static constexpr size_t kPlaces = 1 << 17;
  static constexpr size_t kOrder = 2 * kMaxClosed;
  static constexpr size_t kUsualOpen = 1 << 12;
  static constexpr size_t kAhead = 8;

  std::vector<Call> calls_;
  std::vector<CallSlot> places_;  // the first of each chain
  CallSlot free_ = kNoCall;
  std::vector<CallSlot> closing_order_;  // a ring
  size_t closed_begin_ = 0;
  size_t closed_end_ = 0;
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_CALL_TABLE_H_
