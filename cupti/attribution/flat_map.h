// A map from ids to small values, all in one piece of memory: open addressing with linear probing, at most half full.
#ifndef DSOCR_CUPTI_ATTRIBUTION_FLAT_MAP_H_
#define DSOCR_CUPTI_ATTRIBUTION_FLAT_MAP_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace dsocr::attribution {

// REQUIRES of all keys: not 0. Pointers to values do not outlive the next change.
template <typename Value>
class FlatMap {
 public:
  size_t size() const { return size_; }

  // Null: not there.
  const Value* Find(uint64_t key) const {
    const Slot& slot = slots_[PlaceOf(key)];
    return slot.key == key ? &slot.value : nullptr;
  }
  void Set(uint64_t key, const Value& value) {
    if (2 * (size_ + 1) > slots_.size()) {
      Grow();
    }
    Slot& slot = slots_[PlaceOf(key)];
    size_ += slot.key == 0 ? 1 : 0;
    slot = {key, value};
  }
  void Erase(uint64_t key) {
    size_t hole = PlaceOf(key);
    if (slots_[hole].key != key) {
      return;
    }
    // Those behind that could not have their place come one nearer to it.
    for (size_t next = (hole + 1) & mask(); slots_[next].key != 0; next = (next + 1) & mask()) {
      if (((next - Ideal(slots_[next].key)) & mask()) >= ((next - hole) & mask())) {
        slots_[hole] = slots_[next];
        hole = next;
      }
    }
    slots_[hole] = Slot();
    --size_;
  }

 private:
  struct Slot {
    uint64_t key = 0;
    Value value{};
  };

  size_t mask() const { return slots_.size() - 1; }
  // Fibonacci hashing: ids that count up, from several starts, spread evenly.
  size_t Ideal(uint64_t key) const {
    return static_cast<size_t>((key * 0x9e3779b97f4a7c15u) >> (64 - std::countr_zero(slots_.size())));
  }
  size_t PlaceOf(uint64_t key) const {
    size_t at = Ideal(key);
    while (slots_[at].key != 0 && slots_[at].key != key) {
      at = (at + 1) & mask();
    }
    return at;
  }
  void Grow() {
    for (const Slot& slot : std::exchange(slots_, std::vector<Slot>(2 * slots_.size()))) {
      if (slot.key != 0) {
        slots_[PlaceOf(slot.key)] = slot;
      }
    }
  }

  std::vector<Slot> slots_ = std::vector<Slot>(16);
  size_t size_ = 0;
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_FLAT_MAP_H_
