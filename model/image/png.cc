#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>

#include "model/error.h"
#include "model/image/decode.h"

namespace dsocr::model {
namespace {

constexpr std::array<uint8_t, 8> kSignature = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr size_t kChunkOverheadBytes = 12;  // length, type, CRC

uint32_t ReadBigEndian(const uint8_t* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | uint32_t{at[3]};
}

// libpng reports errors by longjmp: the functions that call it hold no object with a destructor.
class PngReader {
 public:
  explicit PngReader(std::span<const uint8_t> bytes) : unread_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, &PngReader::OnError, &PngReader::OnWarning);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
  }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }

  // Reads up to the pixels and asks libpng for RGB rows, or for raw 16-bit rows where the file is 16-bit grey.
  bool Start() {
    if (info_ == nullptr) {
      std::strcpy(message_, "libpng could not start");
      return false;
    }
    if (setjmp(on_error_)) {
      return false;
    }
    png_set_read_fn(png_, this, &PngReader::OnRead);
    png_read_info(png_, info_);
    const int color_type = png_get_color_type(png_, info_);
    is_wide_grey_ = color_type == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(png_, info_) == 16;
    if (!is_wide_grey_) {
      png_set_expand(png_);
      png_set_strip_16(png_);
      png_set_strip_alpha(png_);
      png_set_gray_to_rgb(png_);
    }
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  // `rows` points at [height] rows of row_bytes() each.
  bool ReadRows(uint8_t* rows, int height) {
    if (setjmp(on_error_)) {
      return false;
    }
    for (int pass = 0; pass < passes_; ++pass) {
      for (int y = 0; y < height; ++y) {
        png_read_row(png_, rows + static_cast<size_t>(y) * row_bytes(), nullptr);
      }
    }
    return true;
  }

  bool is_wide_grey() const { return is_wide_grey_; }
  size_t row_bytes() const { return png_get_rowbytes(png_, info_); }
  const char* message() const { return message_; }

 private:
  static void OnError(png_structp png, png_const_charp message) {
    auto* self = static_cast<PngReader*>(png_get_error_ptr(png));
    std::strncpy(self->message_, message, sizeof(self->message_) - 1);
    std::longjmp(self->on_error_, 1);
  }
  static void OnWarning(png_structp, png_const_charp) {}
  static void OnRead(png_structp png, png_bytep out, size_t length) {
    auto* self = static_cast<PngReader*>(png_get_io_ptr(png));
    if (length > self->unread_.size()) {
      png_error(png, "the file ends too early");
    }
    std::memcpy(out, self->unread_.data(), length);
    self->unread_ = self->unread_.subspan(length);
  }

  std::span<const uint8_t> unread_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int passes_ = 1;
  bool is_wide_grey_ = false;
  char message_[128] = {};
  std::jmp_buf on_error_;
};

}  // namespace

bool IsPng(std::span<const uint8_t> bytes) {
  return bytes.size() >= kSignature.size() && std::equal(kSignature.begin(), kSignature.end(), bytes.begin());
}

ImageHeader ReadPngHeader(std::span<const uint8_t> bytes, const std::string& label) {
  constexpr size_t kHeaderBytes = 8 + kChunkOverheadBytes + 13;  // signature, IHDR
  if (bytes.size() < kHeaderBytes || std::memcmp(bytes.data() + 12, "IHDR", 4) != 0) {
    throw Corrupt(label, "the PNG header is cut short");
  }
  const uint32_t width = ReadBigEndian(bytes.data() + 16);
  const uint32_t height = ReadBigEndian(bytes.data() + 20);
  if (width > PNG_UINT_31_MAX || height > PNG_UINT_31_MAX) {
    throw Corrupt(label, "the PNG header has an impossible size");
  }
  ImageHeader header;
  header.size = {static_cast<int>(width), static_cast<int>(height)};
  CheckSize(header.size, label);
  size_t offset = kHeaderBytes;
  while (bytes.size() - offset >= kChunkOverheadBytes) {
    const size_t length = ReadBigEndian(bytes.data() + offset);
    if (length > bytes.size() - offset - kChunkOverheadBytes) {
      break;
    }
    if (std::memcmp(bytes.data() + offset + 4, "eXIf", 4) == 0) {
      header.orientation = ExifOrientation(bytes.subspan(offset + 8, length));
      break;
    }
    offset += kChunkOverheadBytes + length;
  }
  return header;
}

Image DecodePng(std::span<const uint8_t> bytes, const std::string& label) {
  const Size size = ReadPngHeader(bytes, label).size;
  PngReader reader(bytes);
  if (!reader.Start()) {
    throw Corrupt(label, reader.message());
  }
  Image image{size.width, size.height, {}};
  const size_t pixel_count = static_cast<size_t>(size.width) * size.height;
  if (!reader.is_wide_grey()) {
    image.rgb.resize(pixel_count * 3);
    if (!reader.ReadRows(image.rgb.data(), size.height)) {
      throw Corrupt(label, reader.message());
    }
    return image;
  }
  std::vector<uint8_t> grey(pixel_count * 2);
  if (!reader.ReadRows(grey.data(), size.height)) {
    throw Corrupt(label, reader.message());
  }
  image.rgb.resize(pixel_count * 3);
  for (size_t i = 0; i < pixel_count; ++i) {
    const uint8_t clipped = grey[2 * i] != 0 ? 255 : grey[2 * i + 1];  // big-endian; Pillow's I;16 -> L
    std::fill_n(image.rgb.begin() + static_cast<ptrdiff_t>(3 * i), 3, clipped);
  }
  return image;
}

}  // namespace dsocr::model
