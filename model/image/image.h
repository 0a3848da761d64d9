// A page as 8-bit RGB, read from a PNG or JPEG file.
//
// The pixels are those of Pillow 11.3's `ImageOps.exif_transpose(Image.open(path)).convert("RGB")`: alpha is dropped,
// not composited; 16-bit colour keeps its high byte, 16-bit grey is clipped at 255; CMYK is taken as inverted (Adobe)
// and converted without a profile.
#ifndef DSOCR_MODEL_IMAGE_IMAGE_H_
#define DSOCR_MODEL_IMAGE_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace dsocr::model {

// More pixels than this are refused before any are decoded (Pillow's own limit: twice Image.MAX_IMAGE_PIXELS).
inline constexpr int64_t kMaxPixels = 178'956'970;

// A larger file is refused before it is read: kMaxPixels of incompressible 8-bit RGB fit with room.
inline constexpr int64_t kMaxFileBytes = int64_t{1} << 30;

struct Image {
  int width = 0;             // pixels
  int height = 0;            // pixels
  std::vector<uint8_t> rgb;  // [height, width, 3], row-major; size() == width * height * 3

  const uint8_t* Row(int y) const { return rgb.data() + static_cast<size_t>(y) * width * 3; }
  uint8_t* Row(int y) { return rgb.data() + static_cast<size_t>(y) * width * 3; }
};

struct Size {
  int width = 0;   // pixels
  int height = 0;  // pixels

  bool operator==(const Size&) const = default;
};

std::string ToString(Size size);  // "640x480"

// Both throw InputError: not_found (no such file), permission_denied, invalid_argument (neither PNG nor JPEG, corrupt,
// truncated), resource_exhausted (over kMaxPixels or kMaxFileBytes). The format is told by content, not by name. Safe
// from any thread.
Image LoadImage(const std::filesystem::path& path);

// The size that LoadImage would give, rotation by EXIF included, from the headers alone; the pixel data are not
// checked.
Size ImageSize(const std::filesystem::path& path);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_IMAGE_IMAGE_H_
