#include "model/image/image.h"

#include <cstdio>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "model/error.h"
#include "model/image/decode.h"

namespace dsocr::model {
namespace {

std::string Label(const std::filesystem::path& path) { return "image '" + path.string() + "'"; }

std::vector<uint8_t> ReadFile(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    throw InputError(ErrorCode::kNotFound, Label(path), "no such file", "give the path of a PNG or JPEG file");
  }
  if (status.type() != std::filesystem::file_type::regular) {
    if (error) {
      throw InputError(ErrorCode::kPermissionDenied, Label(path), error.message(), "give a readable file");
    }
    throw InputError(ErrorCode::kInvalidArgument, Label(path), "not a regular file", "give a PNG or JPEG file");
  }
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (file == nullptr) {
    throw InputError(ErrorCode::kPermissionDenied, Label(path), "cannot be opened", "give a readable file");
  }
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size > static_cast<uintmax_t>(kMaxFileBytes)) {
    throw InputError(ErrorCode::kInvalidArgument, Label(path),
                     "larger than " + std::to_string(kMaxFileBytes) + " bytes", "give a smaller file");
  }
  std::vector<uint8_t> bytes(size);
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file.get()));
  return bytes;
}

InputError UnknownFormat(const std::filesystem::path& path) {
  return InputError(ErrorCode::kInvalidArgument, Label(path), "neither PNG nor JPEG",
                    "convert the page to one of these");
}

// Where EXIF orientations 5 to 8 swap the axes.
bool SwapsAxes(int orientation) { return orientation >= 5; }

// The upright page: pixel (x, y) of the result is taken from the stored image. Names after Exif 2.3, tag 0x0112.
Image Upright(Image stored, int orientation) {
  if (orientation == 1) {
    return stored;
  }
  const bool swaps = SwapsAxes(orientation);
  const bool flips_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flips_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image page{swaps ? stored.height : stored.width, swaps ? stored.width : stored.height, {}};
  page.rgb.resize(stored.rgb.size());
  for (int y = 0; y < page.height; ++y) {
    uint8_t* out = page.Row(y);
    for (int x = 0; x < page.width; ++x, out += 3) {
      const int u = swaps ? y : x;
      const int v = swaps ? x : y;
      const int from_x = flips_x ? stored.width - 1 - u : u;
      const int from_y = flips_y ? stored.height - 1 - v : v;
      const uint8_t* in = stored.Row(from_y) + static_cast<size_t>(from_x) * 3;
      out[0] = in[0];
      out[1] = in[1];
      out[2] = in[2];
    }
  }
  return page;
}

}  // namespace

std::string ToString(Size size) { return std::to_string(size.width) + "x" + std::to_string(size.height); }

InputError Corrupt(const std::string& label, const std::string& why) {
  return InputError(ErrorCode::kInvalidArgument, label, why, "save the page again as PNG or JPEG");
}

void CheckSize(Size size, const std::string& label) {
  if (size.width <= 0 || size.height <= 0) {
    throw InputError(ErrorCode::kInvalidArgument, label, "its size is " + ToString(size), "give an image with pixels");
  }
  if (int64_t{size.width} * size.height > kMaxPixels) {
    throw InputError(ErrorCode::kInvalidArgument, label,
                     ToString(size) + " is more than " + std::to_string(kMaxPixels) + " pixels", "scale the page down");
  }
}

Image LoadImage(const std::filesystem::path& path) {
  const std::vector<uint8_t> bytes = ReadFile(path);
  if (IsPng(bytes)) {
    const int orientation = ReadPngHeader(bytes, Label(path)).orientation;
    return Upright(DecodePng(bytes, Label(path)), orientation);
  }
  if (IsJpeg(bytes)) {
    const int orientation = ReadJpegHeader(bytes, Label(path)).orientation;
    return Upright(DecodeJpeg(bytes, Label(path)), orientation);
  }
  throw UnknownFormat(path);
}

Size ImageSize(const std::filesystem::path& path) {
  const std::vector<uint8_t> bytes = ReadFile(path);
  if (!IsPng(bytes) && !IsJpeg(bytes)) {
    throw UnknownFormat(path);
  }
  const ImageHeader header = IsPng(bytes) ? ReadPngHeader(bytes, Label(path)) : ReadJpegHeader(bytes, Label(path));
  return SwapsAxes(header.orientation) ? Size{header.size.height, header.size.width} : header.size;
}

}  // namespace dsocr::model
