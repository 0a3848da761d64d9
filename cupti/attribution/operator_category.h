// The operator categories, and which one an ATen operator belongs to. Of kernels: kernel_category.h.
//
// What no row knows is `other`, and stays visible as that. The list of categories is that of the analytic side
// (docs/attribution.md), which is why it is spelled here as strings: the two sides share no code.
#ifndef DSOCR_CUPTI_ATTRIBUTION_OPERATOR_CATEGORY_H_
#define DSOCR_CUPTI_ATTRIBUTION_OPERATOR_CATEGORY_H_

#include <array>
#include <cstddef>
#include <string_view>

namespace dsocr::attribution {

inline constexpr std::array<std::string_view, 19> kCategories = {
    "gemm",        "gemv",        "conv",      "attention",     "norm", "softmax", "activation",
    "elementwise", "reduction",   "embedding", "index",         "copy", "memset",  "routing",
    "rope",        "interpolate", "sampling",  "communication", "other"};
inline constexpr size_t kCategoryCount = kCategories.size();
inline constexpr int kGemmCategory = 0;
inline constexpr int kGemvCategory = 1;
inline constexpr int kCopyCategory = 11;
inline constexpr int kMemsetCategory = 12;
inline constexpr int kOtherCategory = 18;
static_assert(kCategories[kGemmCategory] == "gemm" && kCategories[kGemvCategory] == "gemv" &&
              kCategories[kCopyCategory] == "copy" && kCategories[kMemsetCategory] == "memset" &&
              kCategories[kOtherCategory] == "other");

// The place of a category in kCategories; -1: no such category.
int CategoryIndex(std::string_view category_id);

// "aten::addmm" -> gemm. Overloads and in-place forms ("add_.Tensor") count as the operator itself.
int AtenCategory(std::string_view operator_name);

}  // namespace dsocr::attribution

#endif  // DSOCR_CUPTI_ATTRIBUTION_OPERATOR_CATEGORY_H_
