#include <cstddef>
#include <optional>

#include "model/image/decode.h"

namespace dsocr::model {
namespace {

// TIFF 6.0, sections 2 and 8, and Exif 2.3, section 4.6.4.
constexpr uint16_t kOrientationTag = 0x0112;
constexpr uint16_t kTypeShort = 3;
constexpr uint16_t kTypeLong = 4;
constexpr size_t kEntryBytes = 12;

class TiffReader {
 public:
  TiffReader(std::span<const uint8_t> bytes, bool is_big_endian) : bytes_(bytes), is_big_endian_(is_big_endian) {}

  std::optional<uint32_t> Read(size_t offset, size_t length) const {
    if (offset > bytes_.size() || bytes_.size() - offset < length) {
      return std::nullopt;
    }
    uint32_t value = 0;
    for (size_t i = 0; i < length; ++i) {
      const size_t at = is_big_endian_ ? i : length - 1 - i;
      value = value << 8 | bytes_[offset + at];
    }
    return value;
  }

 private:
  std::span<const uint8_t> bytes_;
  bool is_big_endian_;
};

}  // namespace

int ExifOrientation(std::span<const uint8_t> tiff) {
  if (tiff.size() < 8 || tiff[0] != tiff[1] || (tiff[0] != 'M' && tiff[0] != 'I')) {
    return 1;
  }
  const TiffReader reader(tiff, tiff[0] == 'M');
  const size_t directory = *reader.Read(4, 4);
  const std::optional<uint32_t> entry_count = reader.Read(directory, 2);
  for (uint32_t i = 0; i < entry_count.value_or(0); ++i) {
    const size_t entry = directory + 2 + i * kEntryBytes;
    const std::optional<uint32_t> tag = reader.Read(entry, 2);
    if (!tag) {
      return 1;
    }
    if (*tag != kOrientationTag) {
      continue;
    }
    const uint32_t type = reader.Read(entry + 2, 2).value_or(0);
    if (type != kTypeShort && type != kTypeLong) {
      return 1;
    }
    const uint32_t value = reader.Read(entry + 8, type == kTypeShort ? 2 : 4).value_or(1);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace dsocr::model
