// One file format each: bytes -> header, bytes -> pixels. Internal to model/image.
//
// All of these throw InputError with `label` (e.g. "image 'a.png'") as the thing that failed. Bytes are hostile: every
// length is checked.
#ifndef DSOCR_MODEL_IMAGE_DECODE_H_
#define DSOCR_MODEL_IMAGE_DECODE_H_

#include <cstdint>
#include <span>
#include <string>

#include "model/error.h"
#include "model/image/image.h"

namespace dsocr::model {

struct ImageHeader {
  Size size;            // as stored, before rotation
  int orientation = 1;  // EXIF tag 0x0112, 1..8; 1: upright
};

// kInvalidArgument: size 0 or less, or over kMaxPixels. Every header passes through here before pixels
// are decoded.
void CheckSize(Size size, const std::string& label);

InputError Corrupt(const std::string& label, const std::string& why);

// The orientation in a TIFF structure (the part of an EXIF block that follows "Exif\0\0"); 1 where there is none or it
// is malformed.
int ExifOrientation(std::span<const uint8_t> tiff);

bool IsPng(std::span<const uint8_t> bytes);
ImageHeader ReadPngHeader(std::span<const uint8_t> bytes, const std::string& label);
Image DecodePng(std::span<const uint8_t> bytes, const std::string& label);

bool IsJpeg(std::span<const uint8_t> bytes);
ImageHeader ReadJpegHeader(std::span<const uint8_t> bytes, const std::string& label);
Image DecodeJpeg(std::span<const uint8_t> bytes, const std::string& label);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_IMAGE_DECODE_H_
