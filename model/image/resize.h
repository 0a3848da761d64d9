// Pillow 11.3's bicubic resize and ImageOps.pad, byte for byte.
//
// The model was trained behind Pillow, and its first convolution sees every rounding, so "nearly the same" is not the
// same: uint8 between the passes, horizontal first, weights in 22-bit fixed point. (Pillow 13 chooses the order of the
// passes and gives other bytes.)
#ifndef DSOCR_MODEL_IMAGE_RESIZE_H_
#define DSOCR_MODEL_IMAGE_RESIZE_H_

#include <array>

#include "model/image/image.h"

namespace dsocr::model {

// `image` resampled to exactly `size`, aspect ignored; a copy where it has that size already. Source: Pillow
// src/libImaging/Resample.c, BICUBIC with a = -0.5 and support 2, widened by the scale when shrinking.
//
// Throws InputError: invalid_argument where a side of `image` or `size` is not positive, resource_exhausted where
// size.width times the image's height, the picture between the two passes, is over kMaxPixels.
Image ResizeBicubic(const Image& image, Size size);

// The size that `image` takes inside a square canvas of `side` with its aspect kept; sides round half to even, as
// Python's round(). Throws InputError (invalid_argument) where a side rounds to 0.
Size ContainedSize(Size image, int side);

// `image` scaled into a square of `side`, centred, the rest filled with `color`.
Image PadToSquare(const Image& image, int side, std::array<uint8_t, 3> color);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_IMAGE_RESIZE_H_
