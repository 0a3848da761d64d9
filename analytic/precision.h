// Number formats of weights and activations.
#ifndef DSOCR_ANALYTIC_PRECISION_H_
#define DSOCR_ANALYTIC_PRECISION_H_

#include <cstdint>
#include <string_view>

namespace dsocr::analytic {

enum class Precision { kFp32, kBf16 };

inline constexpr int64_t ElementBytes(Precision precision) { return precision == Precision::kFp32 ? 4 : 2; }
inline constexpr std::string_view PrecisionName(Precision precision) {
  return precision == Precision::kFp32 ? "fp32" : "bf16";
}

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_PRECISION_H_
