// A fuzzer's input, taken from its front; what is missing at the end is zeros.
#ifndef DSOCR_TESTS_FUZZ_BYTES_H_
#define DSOCR_TESTS_FUZZ_BYTES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace dsocr {

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : left_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return left_.empty(); }
  std::string_view left() const { return left_; }

  template <typename T>
  T Take() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    const std::string_view bytes = TakeUpTo(sizeof(value));
    std::memcpy(static_cast<void*>(&value), bytes.data(), bytes.size());
    return value;
  }

  std::string_view TakeUpTo(size_t count) {
    const std::string_view taken = left_.substr(0, count);
    left_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view left_;
};

}  // namespace dsocr

#endif  // DSOCR_TESTS_FUZZ_BYTES_H_
