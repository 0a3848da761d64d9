#include <stddef.h>
#include <stdio.h>

// After stddef.h and stdio.h: libjpeg's header uses size_t and FILE without including them.
#include <jpeglib.h>

#include <jerror.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>

#include "model/error.h"
#include "model/image/decode.h"

namespace dsocr::model {
namespace {

constexpr uint8_t kExifPrefix[] = {'E', 'x', 'i', 'f', 0, 0};
constexpr unsigned kMaxMarkerBytes = 0xffff;

// libjpeg reports errors by longjmp: the functions that call it hold no object with a destructor.
class JpegReader {
 public:
  explicit JpegReader(std::span<const uint8_t> bytes) : bytes_(bytes) {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = this;
    errors_.error_exit = &JpegReader::OnError;
    errors_.emit_message = &JpegReader::OnMessage;
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  ~JpegReader() { jpeg_destroy_decompress(&info_); }

  bool ReadHeader() {
    if (setjmp(on_error_)) {
      return false;
    }
    jpeg_create_decompress(&info_);
    jpeg_mem_src(&info_, bytes_.data(), bytes_.size());
    jpeg_save_markers(&info_, JPEG_APP0 + 1, kMaxMarkerBytes);
    jpeg_read_header(&info_, TRUE);
    return true;
  }

  // After ReadHeader. Opens the pixel data: grey, RGB, or CMYK as stored.
  bool Start() {
    if (setjmp(on_error_)) {
      return false;
    }
    info_.out_color_space = info_.num_components == 4 ? JCS_CMYK : info_.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&info_);
    return true;
  }

  // After Start: the next row of components() * width bytes.
  bool ReadRow(uint8_t* row) {
    if (setjmp(on_error_)) {
      return false;
    }
    jpeg_read_scanlines(&info_, &row, 1);
    return true;
  }

  int orientation() const {
    for (const jpeg_marker_struct* marker = info_.marker_list; marker != nullptr; marker = marker->next) {
      if (marker->marker == JPEG_APP0 + 1 && marker->data_length >= sizeof(kExifPrefix) &&
          std::memcmp(marker->data, kExifPrefix, sizeof(kExifPrefix)) == 0) {
        return ExifOrientation(
            {marker->data + sizeof(kExifPrefix), static_cast<size_t>(marker->data_length - sizeof(kExifPrefix))});
      }
    }
    return 1;
  }

  Size size() const { return {static_cast<int>(info_.image_width), static_cast<int>(info_.image_height)}; }
  int components() const { return info_.output_components; }
  const char* message() const { return message_; }

 private:
  static void OnError(j_common_ptr info) {
    auto* self = static_cast<JpegReader*>(info->client_data);
    if (info->err->msg_code == JWRN_JPEG_EOF || info->err->msg_code == JERR_INPUT_EOF) {
      std::strcpy(self->message_, "the file ends too early");
    } else {
      info->err->format_message(info, self->message_);
    }
    std::longjmp(self->on_error_, 1);
  }

  // libjpeg would fill what is missing with grey; a page that ends too early is an error here. Other warnings are let
  // pass, as in Pillow.
  static void OnMessage(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) {
      OnError(info);
    }
  }

  std::span<const uint8_t> bytes_;
  jpeg_decompress_struct info_ = {};
  jpeg_error_mgr errors_ = {};
  char message_[JMSG_LENGTH_MAX] = {};
  std::jmp_buf on_error_;
};

// round(a * b / 255), Pillow's MULDIV255.
uint8_t MultiplyShare(int a, int b) {
  const int product = a * b + 128;
  return static_cast<uint8_t>(((product >> 8) + product) >> 8);
}

// One row to RGB. The four components of `row` are inverted: 255 is no ink.
void ConvertRow(const uint8_t* row, int components, int width, uint8_t* rgb) {
  if (components == 3) {
    std::memcpy(rgb, row, static_cast<size_t>(width) * 3);
    return;
  }
  for (int x = 0; x < width; ++x, row += components, rgb += 3) {
    if (components == 1) {
      std::fill_n(rgb, 3, row[0]);
      continue;
    }
    const int white = row[3];
    for (int c = 0; c < 3; ++c) {
      rgb[c] = static_cast<uint8_t>(std::max(0, white - MultiplyShare(255 - row[c], white)));
    }
  }
}

}  // namespace

bool IsJpeg(std::span<const uint8_t> bytes) {
  return bytes.size() >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

ImageHeader ReadJpegHeader(std::span<const uint8_t> bytes, const std::string& label) {
  JpegReader reader(bytes);
  if (!reader.ReadHeader()) {
    throw Corrupt(label, reader.message());
  }
  CheckSize(reader.size(), label);
  return {reader.size(), reader.orientation()};
}

Image DecodeJpeg(std::span<const uint8_t> bytes, const std::string& label) {
  JpegReader reader(bytes);
  if (!reader.ReadHeader()) {
    throw Corrupt(label, reader.message());
  }
  const Size size = reader.size();
  CheckSize(size, label);
  if (!reader.Start()) {
    throw Corrupt(label, reader.message());
  }
  Image image{size.width, size.height, std::vector<uint8_t>(static_cast<size_t>(size.width) * size.height * 3)};
  std::vector<uint8_t> row(static_cast<size_t>(size.width) * reader.components());
  for (int y = 0; y < size.height; ++y) {
    if (!reader.ReadRow(row.data())) {
      throw Corrupt(label, reader.message());
    }
    ConvertRow(row.data(), reader.components(), size.width, image.Row(y));
  }
  return image;
}

}  // namespace dsocr::model
