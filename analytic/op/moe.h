// Costs of mixture-of-experts routing, and of one matrix product for each expert that has tokens.
#ifndef DSOCR_ANALYTIC_OP_MOE_H_
#define DSOCR_ANALYTIC_OP_MOE_H_

#include <cstdint>

#include "analytic/op/cost.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

// Experts with at least one of `tokens` tokens, in expectation, where each token picks `k` of `experts` evenly:
// E (1 - (1 - k/E)^T). Example: 64 choose 6: 1 token 6, 4 tokens 20.8, 512 tokens 64.
double ExpectedDistinctExperts(int64_t experts, int64_t k, int64_t tokens);

// The k largest of `experts` fp32 scores for each token. Vector FLOPs: one comparison for each score and pick.
struct TopK {
  int64_t tokens = 0;
  int64_t experts = 0;
  int64_t k = 0;
};
Cost CostOf(const TopK& op, Precision precision);

// Sorts the tokens * k pairs by expert, counts them by expert, and brings the counts to the host.
struct Dispatch {
  int64_t pairs = 0;
  int64_t experts = 0;
};
Cost CostOf(const Dispatch& op, Precision precision);

// C[rows_e,n] = A[rows_e,k] B_e[k,n] for each of `groups` experts with `rows` rows among them. FLOPs 2 rows n k,
// however the rows spread; bytes: the weights of `groups` experts, and their copy.
struct GroupedGemm {
  double groups = 1;
  bool hit_is_recorded = false;  // `groups` is by a routing that a run recorded
  int64_t rows = 0;
  int64_t n = 0;
  int64_t k = 0;
  // Alive while one expert after the other has its rows; a product alone does not know what waits.
  int64_t live_elements = 0;
  int64_t routing_bytes = 0;  // weights and indices, of one size in every precision
  // The device itself picks the experts: their weights are copied side by side, and one product runs over the copy.
  bool is_gathered = false;
};
Cost CostOf(const GroupedGemm& op, Precision precision);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_OP_MOE_H_
