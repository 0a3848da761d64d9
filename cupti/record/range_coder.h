// A range coder for binary decisions: each costs -log2 of the probability that its model gave to what happened.
//
// Encoder and decoder have the same verbs. The encoder's take what is to be written and return it; the decoder's ignore
// their argument and return what was read. So one function, written once for both, describes a format.
//
// Source: G. N. N. Martin, "Range encoding", 1979, here with 64-bit state, so that 16 bits of probability lose nothing.
#ifndef DSOCR_CUPTI_RECORD_RANGE_CODER_H_
#define DSOCR_CUPTI_RECORD_RANGE_CODER_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace dsocr::record {

// How probable a 1 is: the share seen so far, and a running share once kMemory decisions were seen.
class AdaptiveBit {
 public:
  // Of 2^16; never 0 or 2^16.
  uint32_t probability() const { return (state_ >> 16) | 1; }

  void Update(bool bit) {
    const uint32_t seen = state_ & kCountMask;
    const int64_t target = bit ? int64_t{1} << kShareBits : 0;
    const int64_t share = state_ >> kCountBits;
    const int64_t moved = share + (((target - share) * kRate[seen]) >> 16);
    state_ = static_cast<uint32_t>(moved) << kCountBits | (seen < kMemory ? seen + 1 : seen);
  }

 private:
  static constexpr int kCountBits = 10;
  static constexpr int kShareBits = 32 - kCountBits;
  static constexpr uint32_t kCountMask = (1u << kCountBits) - 1;
  static constexpr uint32_t kMemory = 255;
  // 2^16 / (n + 1.5): the first decision moves the share by two thirds of the way.
  static constexpr std::array<int32_t, kMemory + 1> kRate = [] {
    std::array<int32_t, kMemory + 1> rate{};
    for (uint32_t n = 0; n <= kMemory; ++n) {
      rate[n] = static_cast<int32_t>((2u << 16) / (2 * n + 3));
    }
    return rate;
  }();

  uint32_t state_ = 1u << 31;  // the share, and how many decisions were seen
};

// Not thread-safe; neither is the decoder.
class RangeEncoder {
 public:
  static constexpr bool kIsDecoder = false;

  bool Bit(AdaptiveBit& model, bool bit) {
    const uint64_t bound = (range_ >> 16) * model.probability();
    if (bit) {
      range_ = bound;
    } else {
      Raise(bound);
      range_ -= bound;
    }
    model.Update(bit);
    Normalize();
    return bit;
  }

  // `count` bits, all values alike. REQUIRES: count <= 16, value < 2^count.
  uint32_t Bits(int count, uint32_t value) {
    range_ >>= count;
    Raise(range_ * value);
    Normalize();
    return value;
  }

  // Appends the last bytes and starts over. The bytes stay until Clear().
  void Finish() {
    Raise(0xffffffff);  // the upper half is now enough to lie inside the range: the decoder reads zeros after the end
    Put();
    low_ = 0;
    range_ = ~uint64_t{0};
  }
  void Clear() { bytes_.clear(); }
  const std::vector<uint8_t>& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }

 private:
  void Raise(uint64_t by) {
    low_ += by;
    if (low_ < by) {
      for (size_t i = bytes_.size(); ++bytes_[--i] == 0;) {
      }
    }
  }
  void Normalize() {
    if (range_ >> 32 == 0) {
      Put();
      low_ <<= 32;
      range_ <<= 32;
    }
  }
  void Put() {
    const auto byte = [this](int shift) { return static_cast<uint8_t>(low_ >> shift); };
    bytes_.insert(bytes_.end(), {byte(56), byte(48), byte(40), byte(32)});
  }

  uint64_t low_ = 0;
  uint64_t range_ = ~uint64_t{0};
  std::vector<uint8_t> bytes_;
};

// Borrows the bytes. Any bytes decode to something; overrun() says that they were not enough for it.
class RangeDecoder {
 public:
  static constexpr bool kIsDecoder = true;

  RangeDecoder(const uint8_t* bytes, size_t size) : bytes_(bytes), size_(size) {
    Take();
    Take();
  }

  bool Bit(AdaptiveBit& model, bool = false) {
    const uint64_t bound = (range_ >> 16) * model.probability();
    const bool bit = code_ < bound;
    if (bit) {
      range_ = bound;
    } else {
      code_ -= bound;
      range_ -= bound;
    }
    model.Update(bit);
    Normalize();
    return bit;
  }

  uint32_t Bits(int count, uint32_t = 0) {
    range_ >>= count;
    const uint64_t quotient = code_ / range_;
    const uint64_t last = (uint64_t{1} << count) - 1;
    const uint64_t value = quotient < last ? quotient : last;
    code_ -= value * range_;
    Normalize();
    return static_cast<uint32_t>(value);
  }

  // More was asked for than an encoder's bytes answer.
  bool overrun() const { return position_ > size_ + 4; }

 private:
  void Normalize() {
    if (range_ >> 32 == 0) {
      Take();
      range_ <<= 32;
    }
  }
  void Take() {
    for (int i = 0; i < 4; ++i, ++position_) {
      code_ = code_ << 8 | (position_ < size_ ? bytes_[position_] : 0);
    }
  }

  const uint8_t* bytes_;
  size_t size_;
  size_t position_ = 0;
  uint64_t code_ = 0;
  uint64_t range_ = ~uint64_t{0};
};

// A number of kBits bits as a path down a binary tree: 2^kBits - 1 decisions are modelled, kBits of them taken.
template <int kBits>
class AdaptiveSymbol {
 public:
  template <typename Coder>
  uint32_t Code(Coder& coder, uint32_t symbol) {
    uint32_t node = 1;
    for (int i = kBits - 1; i >= 0; --i) {
      node = node << 1 | (coder.Bit(nodes_[node], (symbol >> i & 1) != 0) ? 1 : 0);
    }
    return node - (1u << kBits);
  }

 private:
  std::array<AdaptiveBit, size_t{1} << kBits> nodes_;
};

// Any 64-bit number: how many bits it has is modelled, the bits below the first are not. Small ones are cheap.
class AdaptiveNumber {
 public:
  template <typename Coder>
  uint64_t Code(Coder& coder, uint64_t number) {
    const uint32_t width = width_.Code(coder, static_cast<uint32_t>(std::bit_width(number)));
    if (width <= 1) {
      return width;
    }
    uint64_t value = 1;
    for (int left = static_cast<int>(width < 64 ? width : 64) - 1; left > 0;) {
      const int count = left < 16 ? left : 16;
      left -= count;
      value = value << count | coder.Bits(count, static_cast<uint32_t>(number >> left) & ((1u << count) - 1));
    }
    return value;
  }

 private:
  AdaptiveSymbol<7> width_;
};

}  // namespace dsocr::record

#endif  // DSOCR_CUPTI_RECORD_RANGE_CODER_H_
