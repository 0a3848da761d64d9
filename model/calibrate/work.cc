#include "model/calibrate/work.h"

#include <algorithm>
#include <bit>

namespace dsocr::model {
namespace {

constexpr int64_t kIndexBytes = 8;  // int64
constexpr int64_t kFp32Bytes = 4;

constexpr int64_t kLayerNormFlops = 8;
constexpr int64_t kRmsNormFlops = 4;
constexpr int64_t kGeluFlops = 8;
constexpr int64_t kQuickGeluFlops = 6;
constexpr int64_t kSiluFlops = 5;
constexpr int64_t kRopeFlops = 3;
constexpr int64_t kSoftmaxFlops = 5;

constexpr int64_t kLayerNorm2dLaunches = 9;
constexpr int64_t kRmsNormLaunches = 8;
constexpr int64_t kQuickGeluLaunches = 3;
constexpr int64_t kRopeLaunches = 10;
constexpr int64_t kDispatchLaunches = 5;
constexpr int64_t kSamplingLaunches = 3;
constexpr int64_t kResizeLaunches = 5;

Work NormWork(int64_t rows, int64_t width, int64_t element, int64_t flops, int64_t parameters, int64_t launches) {
  return {.vector_flops = flops * rows * width,
          .bytes = (2 * rows * width + parameters * width) * element,
          .launches = launches};
}

Work PointwiseWork(int64_t read, int64_t written, int64_t vector_flops, int64_t element, int64_t launches = 1) {
  return {.vector_flops = vector_flops, .bytes = (read + written) * element, .launches = launches};
}

int64_t AxisFlops(const ResizeShape& shape, int64_t in, int64_t out, int64_t lines) {
  if (in == out) {
    return 0;
  }
  const int64_t taps = shape.is_antialiased ? shape.taps * std::max<int64_t>(1, (in + out - 1) / out) : shape.taps;
  return 2 * taps * out * lines * shape.channels;
}

}  // namespace

Work GemmWork(const GemmShape& shape, int64_t element) {
  const int64_t a = shape.batch * shape.m * shape.k;
  const int64_t b = shape.batch * shape.k * shape.n;
  const int64_t c = shape.batch * shape.m * shape.n;
  return {.flops = 2 * c * shape.k,
          .vector_flops = shape.has_bias ? c : 0,
          .bytes = (a + b + c + (shape.has_bias ? shape.n : 0)) * element};
}

Work ConvWork(const ConvShape& shape, int64_t element) {
  const int64_t in = shape.images * shape.in_channels * shape.in_side * shape.in_side;
  const int64_t out = shape.images * shape.out_channels * shape.out_side * shape.out_side;
  const int64_t depth = shape.in_channels * shape.kernel * shape.kernel;
  const int64_t weights = shape.out_channels * (depth + (shape.has_bias ? 1 : 0));
  return {.flops = 2 * out * depth, .vector_flops = shape.has_bias ? out : 0, .bytes = (in + weights + out) * element};
}

Work AttentionWork(const AttentionShape& shape, int64_t element) {
  const int64_t scores = shape.batch * shape.heads * shape.query_len * shape.kv_len;
  const int64_t queries = shape.batch * shape.heads * shape.query_len * shape.head_dim;
  const int64_t keys = shape.batch * shape.heads * shape.kv_len * shape.head_dim;
  const int64_t bias = shape.has_bias ? scores : 0;
  return {.flops = 4 * scores * shape.head_dim,
          .vector_flops = (kSoftmaxFlops + 1) * scores + bias,
          .bytes = (2 * queries + 2 * keys + bias) * element};
}

Work LayerNormWork(int64_t rows, int64_t width, int64_t element) {
  return NormWork(rows, width, element, kLayerNormFlops, 2, 1);
}

Work LayerNorm2dWork(int64_t rows, int64_t width, int64_t element) {
  return NormWork(rows, width, element, kLayerNormFlops, 2, kLayerNorm2dLaunches);
}

Work RmsNormWork(int64_t rows, int64_t width, int64_t element) {
  return NormWork(rows, width, element, kRmsNormFlops, 1, kRmsNormLaunches);
}

Work ElementwiseWork(int64_t read, int64_t written, int64_t element, int64_t flops_per_written) {
  return PointwiseWork(read, written, written * flops_per_written, element);
}

Work CopyWork(int64_t read, int64_t written, int64_t element) { return PointwiseWork(read, written, 0, element); }

Work GeluWork(int64_t elements, int64_t element) {
  return PointwiseWork(elements, elements, kGeluFlops * elements, element);
}

Work QuickGeluWork(int64_t elements, int64_t element) {
  return PointwiseWork(elements, elements, kQuickGeluFlops * elements, element, kQuickGeluLaunches);
}

Work SiluWork(int64_t elements, int64_t element) {
  return PointwiseWork(elements, elements, kSiluFlops * elements, element);
}

Work RopeWork(int64_t tokens, int64_t heads, int64_t head_dim, int64_t element) {
  const int64_t elements = tokens * heads * head_dim;
  const int64_t table = 2 * tokens * head_dim;
  return PointwiseWork(elements + table, elements, kRopeFlops * elements, element, kRopeLaunches);
}

Work SoftmaxWork(int64_t rows, int64_t width, int64_t element) {
  const int64_t elements = rows * width;
  return {.vector_flops = kSoftmaxFlops * elements, .bytes = elements * (element + kFp32Bytes)};
}

Work TopKWork(int64_t tokens, int64_t experts, int64_t k) {
  return {.vector_flops = tokens * experts * k,
          .bytes = tokens * experts * kFp32Bytes + tokens * k * (kFp32Bytes + kIndexBytes)};
}

Work DispatchWork(int64_t pairs, int64_t experts) {
  const int64_t comparisons = std::bit_width(static_cast<uint64_t>(pairs));  // of a merge sort, a pair
  return {
      .vector_flops = pairs * comparisons, .bytes = (4 * pairs + experts) * kIndexBytes, .launches = kDispatchLaunches};
}

Work GatherWork(int64_t rows, int64_t width, int64_t element) {
  return {.bytes = 2 * rows * width * element + rows * kIndexBytes};
}

Work SamplingWork(int64_t vocabulary, int64_t context, int64_t element) {
  return {.vector_flops = vocabulary + context,
          .bytes = vocabulary * (element + 2 * kFp32Bytes) + (context + 1) * kIndexBytes,
          .launches = kSamplingLaunches};
}

Work ResizeWork(const ResizeShape& shape, int64_t element) {
  const int64_t in = shape.in_height * shape.in_width * shape.channels;
  const int64_t out = shape.out_height * shape.out_width * shape.channels;
  return {.vector_flops = AxisFlops(shape, shape.in_width, shape.out_width, shape.in_height) +
                          AxisFlops(shape, shape.in_height, shape.out_height, shape.out_width),
          .bytes = (in + out) * element,
          .launches = kResizeLaunches};
}

}  // namespace dsocr::model
