// What a DeepSeek-OCR calls, as places that a job's operators are aligned with: its modules without children, in the
// order in which they run, one sequence a stage.
#ifndef DSOCR_DAEMON_ATTACH_EXPECTED_CALLS_H_
#define DSOCR_DAEMON_ATTACH_EXPECTED_CALLS_H_

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "analytic/category.h"
#include "analytic/model_spec.h"
#include "daemon/attach/operator_alignment.h"
#include "daemon/attach/operator_call.h"

namespace dsocr::attach {

// Places that call the same.
struct PlaceKind {
  analytic::CategoryId category = analytic::CategoryId::kOther;
  std::vector<Weight> weights;
  bool is_outside = false;  // of the model

  bool operator==(const PlaceKind&) const = default;
};

enum class StageIndex : size_t { kVision, kProjector, kPrefill, kDecode };
inline constexpr size_t kStages = 4;

struct ExpectedCalls {
  std::vector<std::string> modules;  // instance ids, by the numbers of AlignmentPlace::modules; 0 is the root
  std::vector<PlaceKind> kinds;      // by AlignmentPlace::kind; 0 is outside
  std::array<std::vector<AlignmentPlace>, kStages> stages;

  const std::vector<AlignmentPlace>& Of(StageIndex stage) const { return stages[static_cast<size_t>(stage)]; }
};

// REQUIRES: CheckModel(model) is OK, and it has CLIP.
ExpectedCalls ExpectCalls(const analytic::ModelSpec& model);

// How well a call fits a place, (0, 1]: by its weight where it has one, else by the category of its name.
double FitOf(const PlaceKind& kind, std::string_view operator_name, const Weight& weight);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_EXPECTED_CALLS_H_
