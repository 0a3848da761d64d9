// The one list of operator categories: every leaf of the module tree and every measured operation belongs to one of
// them.
#ifndef DSOCR_ANALYTIC_CATEGORY_H_
#define DSOCR_ANALYTIC_CATEGORY_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace dsocr::analytic {

// In the order of the documented list; an index into Categories().
enum class CategoryId : uint8_t {
  kGemm,
  kGemv,
  kConv,
  kAttention,
  kNorm,
  kSoftmax,
  kActivation,
  kElementwise,
  kReduction,
  kEmbedding,
  kIndex,
  kCopy,
  kMemset,
  kRouting,
  kRope,
  kInterpolate,
  kSampling,
  kCommunication,
  kOther,
};
inline constexpr int kCategoryCount = static_cast<int>(CategoryId::kOther) + 1;

struct Category {
  std::string_view id;
  std::string_view display_name;
  std::string_view description;
  std::vector<std::string_view>
      match_classes;  // qualified names of module classes and functions that are this operator
};

const std::vector<Category>& Categories();

std::string_view CategoryName(CategoryId category);  // its id
std::optional<CategoryId> FindCategory(std::string_view id);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_CATEGORY_H_
