// What an operator call outside of every range is to a model: which weight it uses, and how much it computes.
//
// The weight is what tells calls apart: a product of 768 to 2304 features is a qkv projection of SAM and nothing else.
// Sizes are a hostile job's. Pure functions; safe from any thread.
#ifndef DSOCR_DAEMON_ATTACH_OPERATOR_CALL_H_
#define DSOCR_DAEMON_ATTACH_OPERATOR_CALL_H_

#include <compare>
#include <cstdint>
#include <string_view>

#include "cupti/record/record.h"

namespace dsocr::attach {

enum class WeightKind : uint8_t { kNone, kProduct, kBatchedProduct, kConvolution, kTable, kAttention };

// Of kNone, kBatchedProduct and kAttention, which have no weight, the sizes are 0.
struct Weight {
  WeightKind kind = WeightKind::kNone;
  int64_t in = 0;   // features, channels; of a table its rows
  int64_t out = 0;  // features, channels; of a table its width
  int64_t kernel = 0;

  auto operator<=>(const Weight&) const = default;
};

struct OperatorCall {
  Weight weight;
  int64_t batch = 0;  // convolution: views; table: sequences; attention: sequences or windows
  int64_t size = 0;   // convolution: the input's longer side; table: rows taken in a sequence; attention: queries
  int64_t heads = 0;  // attention
  int element_bytes = 0;
};

// `shape`: null where it was not told. An operator that has no weight, or sizes that make none, is kNone.
OperatorCall CallOf(std::string_view operator_name, const record::OperatorShape* shape);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_OPERATOR_CALL_H_
