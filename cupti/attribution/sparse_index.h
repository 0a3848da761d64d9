// Numbers 0, 1, 2, … for the few of many ids that are used, in order of first use: open addressing, no erasing.
#ifndef DSOCR_CUPTI_ATTRIBUTION_SPARSE_INDEX_H_
#define DSOCR_CUPTI_ATTRIBUTION_SPARSE_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace dsocr::attribution {

class SparseIndex {
 public:
  // The id's number; size() before the call where it is new.
  uint32_t At(uint32_t id) {
    if (2 * size_ >= places_.size()) {
      Grow();
    }
    Place& place = PlaceOf(id);
    if (place.number_plus_one == 0) {
      place = {id, ++size_};
    }
    return place.number_plus_one - 1;
  }
  uint32_t size() const { return size_; }

 private:
  struct Place {
    uint32_t id = 0;
    uint32_t number_plus_one = 0;  // 0: free
  };

  Place& PlaceOf(uint32_t id) {
    const size_t mask = places_.size() - 1;
    size_t at = id & mask;  // ids are dense: neighbours get neighbouring places
    while (places_[at].number_plus_one != 0 && places_[at].id != id) {
      at = (at + 1) & mask;
    }
    return places_[at];
  }
  void Grow() {
    std::vector<Place> old = std::exchange(places_, std::vector<Place>(places_.empty() ? 16 : 2 * places_.size()));
    for (const Place& place : old) {
      if (place.number_plus_one != 0) {
        PlaceOf(place.id) = place;
      }
    }
  }

  std::vector<Place> places_;  // a power of two
  uint32_t size_ = 0;
};

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_SPARSE_INDEX_H_
