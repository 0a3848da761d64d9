// What one call of an operator must do, in the definitions of docs/cost-model.md.
//
// They are written down a second time here, because this program shares no code with the cost model: a point is only of
// use to it where both count alike, and tests hold the two to the same worked examples. One multiply-add is 2 flops;
// `bytes` are compulsory traffic, each operand read once and each result written once; `element` is the bytes of an
// element, 2 for bf16.
#ifndef DSOCR_MODEL_CALIBRATE_WORK_H_
#define DSOCR_MODEL_CALIBRATE_WORK_H_

#include <cstdint>
#include <variant>

namespace dsocr::model {

struct Work {
  int64_t flops = 0;         // of matrix products and convolutions
  int64_t vector_flops = 0;  // of everything else
  int64_t bytes = 0;         // read and written
  int64_t launches = 1;      // operators that the host starts, as the reference writes the module
  int64_t contiguous = 0;    // elements in which no operand is broadcast, where those are few; 0: many

  bool operator==(const Work&) const = default;
};

// C[m,n] = A[m,k] B[k,n], `batch` times.
struct GemmShape {
  int64_t m = 1;
  int64_t n = 1;
  int64_t k = 1;
  int64_t batch = 1;
  bool has_bias = false;
};
Work GemmWork(const GemmShape& shape, int64_t element);

// A square convolution; padding kernel / 2 unless the stride is the kernel.
struct ConvShape {
  int64_t in_channels = 1;
  int64_t out_channels = 1;
  int64_t in_side = 1;
  int64_t out_side = 1;
  int64_t kernel = 1;
  bool has_bias = false;
  int64_t images = 1;
};
Work ConvWork(const ConvShape& shape, int64_t element);

// Counted as a full square, causal or not. Every head has keys of its own.
struct AttentionShape {
  int64_t batch = 1;
  int64_t heads = 1;
  int64_t query_len = 1;
  int64_t kv_len = 1;
  int64_t head_dim = 1;
  bool has_bias = false;
  bool is_causal = false;
};
Work AttentionWork(const AttentionShape& shape, int64_t element);

// What an operator's time is a function of, besides its work; none where the work says it all.
using PointSize = std::variant<std::monostate, GemmShape, AttentionShape>;

// Launches of norms and other composites are those of the reference, which writes them as separate operators.
Work LayerNormWork(int64_t rows, int64_t width, int64_t element);
Work LayerNorm2dWork(int64_t rows, int64_t width, int64_t element);
Work RmsNormWork(int64_t rows, int64_t width, int64_t element);

Work ElementwiseWork(int64_t read, int64_t written, int64_t element, int64_t flops_per_written = 1);
Work CopyWork(int64_t read, int64_t written, int64_t element);
Work GeluWork(int64_t elements, int64_t element);
Work QuickGeluWork(int64_t elements, int64_t element);
Work SiluWork(int64_t elements, int64_t element);
Work RopeWork(int64_t tokens, int64_t heads, int64_t head_dim, int64_t element);
Work SoftmaxWork(int64_t rows, int64_t width, int64_t element);  // writes fp32

Work TopKWork(int64_t tokens, int64_t experts, int64_t k);
Work DispatchWork(int64_t pairs, int64_t experts);
Work GatherWork(int64_t rows, int64_t width, int64_t element);
Work SamplingWork(int64_t vocabulary, int64_t context, int64_t element);

// A table [in_height, in_width, channels] resized, one axis after the other.
struct ResizeShape {
  int64_t channels = 1;
  int64_t in_height = 1;
  int64_t in_width = 1;
  int64_t out_height = 1;
  int64_t out_width = 1;
  int64_t taps = 4;  // bicubic 4, linear 2
  bool is_antialiased = false;
};
Work ResizeWork(const ResizeShape& shape, int64_t element);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_CALIBRATE_WORK_H_
