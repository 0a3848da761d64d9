// The sizes of operators, of which their times are functions.
#ifndef DSOCR_ANALYTIC_LAW_SIZE_H_
#define DSOCR_ANALYTIC_LAW_SIZE_H_

#include <compare>
#include <cstdint>
#include <string>
#include <variant>

#include "analytic/category.h"

namespace dsocr::analytic {

struct GemmSize {  // y[m,n] = x[m,k] * w[n,k]^T
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  auto operator<=>(const GemmSize&) const = default;
};

struct AttentionSize {
  int64_t batch = 0;
  int64_t seq_q = 0;
  int64_t seq_kv = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  bool is_causal = false;
  auto operator<=>(const AttentionSize&) const = default;
};

struct MoeSize {
  int64_t tokens = 0;
  int64_t hidden = 0;
  int64_t intermediate = 0;
  int64_t topk = 0;
  int64_t experts = 0;
  std::string routing;  // "balanced", or "power_law_A": expert loads fall off with exponent A
  auto operator<=>(const MoeSize&) const = default;
};

// Any operator, by the work of a call (or of one of its equal pieces) in the definitions of op/cost.h.
struct WorkSize {
  CategoryId category = CategoryId::kOther;
  double flops = 0;
  double vector_flops = 0;
  double bytes = 0;
  double launches = 1;
  double contiguous = 0;  // elements in which no operand is broadcast, where those are few; 0: many
  auto operator<=>(const WorkSize&) const = default;
};

using OperatorSize = std::variant<GemmSize, AttentionSize, MoeSize, WorkSize>;

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_LAW_SIZE_H_
