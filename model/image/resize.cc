#include "model/image/resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/error.h"

namespace dsocr::model {
namespace {

constexpr double kBicubicSupport = 2.0;
constexpr int kPrecisionBits = 32 - 8 - 2;  // Resample.c: 8 bits of pixel, sign and overshoot leave 22

double Bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) {
    return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  }
  if (x < 2.0) {
    return (((x - 5) * x + 8) * x - 4) * a;
  }
  return 0.0;
}

// The input samples [first, first + weights) that make one output sample.
struct Tap {
  int first = 0;
  std::vector<int32_t> weights;  // fixed point, kPrecisionBits
};

std::vector<Tap> MakeTaps(int in_size, int out_size) {
  const double scale = static_cast<double>(in_size) / out_size;
  const double filter_scale = std::max(scale, 1.0);
  const double support = kBicubicSupport * filter_scale;
  const double inverse_scale = 1.0 / filter_scale;
  std::vector<Tap> taps(out_size);
  std::vector<double> weights;
  for (int i = 0; i < out_size; ++i) {
    const double center = (i + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(center - support + 0.5));
    const int last = std::min(in_size, static_cast<int>(center + support + 0.5));
    weights.clear();
    double sum = 0.0;
    for (int k = first; k < last; ++k) {
      weights.push_back(Bicubic((k - center + 0.5) * inverse_scale));
      sum += weights.back();
    }
    taps[i].first = first;
    for (const double weight : weights) {
      const double scaled = (sum != 0.0 ? weight / sum : weight) * (1 << kPrecisionBits);
      taps[i].weights.push_back(static_cast<int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5));
    }
  }
  return taps;
}

uint8_t ClipToByte(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255)); }

constexpr int32_t kRounding = 1 << (kPrecisionBits - 1);

Image ResizeWidth(const Image& image, int width) {
  const std::vector<Tap> taps = MakeTaps(image.width, width);
  Image out{width, image.height, std::vector<uint8_t>(static_cast<size_t>(width) * image.height * 3)};
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* row = image.Row(y);
    uint8_t* out_row = out.Row(y);
    for (int x = 0; x < width; ++x) {
      const uint8_t* in = row + static_cast<size_t>(taps[x].first) * 3;
      int32_t sums[3] = {kRounding, kRounding, kRounding};
      for (const int32_t weight : taps[x].weights) {
        sums[0] += weight * in[0];
        sums[1] += weight * in[1];
        sums[2] += weight * in[2];
        in += 3;
      }
      for (int c = 0; c < 3; ++c) {
        out_row[3 * x + c] = ClipToByte(sums[c]);
      }
    }
  }
  return out;
}

Image ResizeHeight(const Image& image, int height) {
  const std::vector<Tap> taps = MakeTaps(image.height, height);
  const size_t row_size = static_cast<size_t>(image.width) * 3;
  Image out{image.width, height, std::vector<uint8_t>(row_size * height)};
  std::vector<int32_t> sums(row_size);
  for (int y = 0; y < height; ++y) {
    std::fill(sums.begin(), sums.end(), kRounding);
    for (size_t k = 0; k < taps[y].weights.size(); ++k) {
      const int32_t weight = taps[y].weights[k];
      const uint8_t* row = image.Row(taps[y].first + static_cast<int>(k));
      for (size_t i = 0; i < row_size; ++i) {
        sums[i] += weight * row[i];
      }
    }
    std::transform(sums.begin(), sums.end(), out.Row(y), ClipToByte);
  }
  return out;
}

// Python's round(): half to even, whatever the floating-point environment says.
int RoundHalfToEven(double value) {
  const double floor = std::floor(value);
  const double fraction = value - floor;
  const bool is_up = fraction > 0.5 || (fraction == 0.5 && std::fmod(floor, 2.0) != 0.0);
  return static_cast<int>(is_up ? floor + 1 : floor);
}

}  // namespace

Image ResizeBicubic(const Image& image, Size size) {
  if (image.width <= 0 || image.height <= 0 || size.width <= 0 || size.height <= 0) {
    throw InputError(ErrorCode::kInvalidArgument, "page",
                     ToString({image.width, image.height}) + " cannot be resized to " + ToString(size),
                     "give a page with pixels");
  }
  if (int64_t{size.width} * image.height > kMaxPixels) {
    throw InputError(ErrorCode::kInvalidArgument, "page",
                     ToString({image.width, image.height}) + " is too narrow to be resized to " + ToString(size),
                     "cut the page into parts");
  }
  if (image.width == size.width) {
    return image.height == size.height ? image : ResizeHeight(image, size.height);
  }
  Image wide = ResizeWidth(image, size.width);
  return image.height == size.height ? wide : ResizeHeight(wide, size.height);
}

Size ContainedSize(Size image, int side) {
  // In Pillow's order of operations: h / w * side may round otherwise than h * side / w.
  Size size{side, side};
  if (image.width > image.height) {
    size.height = RoundHalfToEven(static_cast<double>(image.height) / image.width * side);
  } else if (image.width < image.height) {
    size.width = RoundHalfToEven(static_cast<double>(image.width) / image.height * side);
  }
  if (size.width == 0 || size.height == 0) {
    throw InputError(ErrorCode::kInvalidArgument, "page",
                     ToString(image) + " has no pixel left in a view of " + ToString({side, side}),
                     "cut the page into parts");
  }
  return size;
}

Image PadToSquare(const Image& image, int side, std::array<uint8_t, 3> color) {
  Image inner = ResizeBicubic(image, ContainedSize({image.width, image.height}, side));
  if (inner.width == side && inner.height == side) {
    return inner;
  }
  const int left = RoundHalfToEven((side - inner.width) * 0.5);
  const int top = RoundHalfToEven((side - inner.height) * 0.5);
  Image canvas{side, side, std::vector<uint8_t>(static_cast<size_t>(side) * side * 3)};
  for (size_t i = 0; i < canvas.rgb.size(); ++i) {
    canvas.rgb[i] = color[i % 3];
  }
  for (int y = 0; y < inner.height; ++y) {
    std::copy_n(inner.Row(y), static_cast<size_t>(inner.width) * 3,
                canvas.Row(top + y) + static_cast<size_t>(left) * 3);
  }
  return canvas;
}

}  // namespace dsocr::model
