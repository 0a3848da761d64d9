// What one call of an operator must do, whatever device does it.
//
// FLOPs count one multiply-add as two. `flops` are those of matrix products and convolutions alone (what tensor cores
// do), in the convention of torch.utils.flop_counter; everything else is in `vector_flops`. Bytes are compulsory DRAM
// traffic: each operand is read once and each result written once; a real kernel moves at least this. Terms: Williams,
// Waterman, Patterson, "Roofline", CACM 52(4), 2009.
#ifndef DSOCR_ANALYTIC_OP_COST_H_
#define DSOCR_ANALYTIC_OP_COST_H_

#include <cstdint>

namespace dsocr::analytic {

inline constexpr int64_t kFp32Bytes = 4;
inline constexpr int64_t kSoftmaxFlops = 5;  // an element: maximum, subtract, exponential, sum, divide
inline constexpr int64_t kInt64Bytes = 8;    // an index, a token id

struct Cost {
  int64_t flops = 0;
  int64_t vector_flops = 0;
  int64_t read_bytes = 0;
  int64_t write_bytes = 0;
  int64_t matmul_elements = 0;  // written by matrix products and convolutions
  int64_t live_bytes = 0;       // activations alive during the call: operands, results and named scratch; no weights
  int64_t launches = 1;         // operators that the host starts
  double pieces = 1;            // equal parts, run one after another: time is that of one part, times this

  int64_t bytes() const { return read_bytes + write_bytes; }
};

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_OP_COST_H_
