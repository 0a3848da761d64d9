// Number formats of weights and activations.
#ifndef DSOCR_ANALYTIC_PRECISION_H_
#define DSOCR_ANALYTIC_PRECISION_H_

#include <cstdint>
#include <string_view>

namespace dsocr::analytic {

// The formats that arithmetic and storage come in. kTf32 stores fp32 and multiplies in TF32. The weight-only formats
// keep matrices small and everything else in bf16, in which they compute.
enum class Precision { kFp32, kBf16, kTf32, kFp8w, kInt4w };

// Of activations, the cache, and all parameters but matrices.
inline constexpr int64_t ElementBytes(Precision precision) {
  return precision == Precision::kFp32 || precision == Precision::kTf32 ? 4 : 2;
}

// Of the parameters of a linear, a convolution or the experts, biases included, with their scales. fp8: one fp32 scale
// for a block of 128 x 128 ("DeepSeek-V3 Technical Report", 2024, section 3.3.2); int4: one bf16 scale for a group of
// 128 (the default of GPTQ, Frantar et al., 2022, and AWQ, Lin et al., 2023, as vLLM loads them).
inline constexpr int64_t MatrixBytes(Precision precision, int64_t parameters) {
  switch (precision) {
    case Precision::kFp8w:
      return parameters + (parameters + 128 * 128 - 1) / (128 * 128) * 4;
    case Precision::kInt4w:
      return (parameters + 1) / 2 + (parameters + 127) / 128 * 2;
    default:
      return parameters * ElementBytes(precision);
  }
}

inline constexpr std::string_view PrecisionName(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return "fp32";
    case Precision::kBf16:
      return "bf16";
    case Precision::kTf32:
      return "tf32";
    case Precision::kFp8w:
      return "fp8w";
    case Precision::kInt4w:
      return "int4w";
  }
  return "";
}

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_PRECISION_H_
