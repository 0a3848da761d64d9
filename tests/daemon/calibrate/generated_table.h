// Tables of operators whose law is known: 2.5 us plus what a made-up device needs, with noise of a few percent.
#ifndef DSOCR_TESTS_DAEMON_CALIBRATE_GENERATED_TABLE_H_
#define DSOCR_TESTS_DAEMON_CALIBRATE_GENERATED_TABLE_H_

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>

#include "fmt/format.h"

namespace dsocr::calibrate {

inline constexpr char kHeader[] =
    "op,device,dtype,m,n,k,batch,seq_q,seq_kv,heads,kv_heads,head_dim,causal,tokens,hidden,intermediate,topk,experts,"
    "routing,time_us\n";

// `count` gemm rows of distinct sizes, the same ones each time.
inline std::string GemmTable(int count, const std::string& device = "Made-up GPU") {
  std::mt19937_64 random(7);
  std::string text = kHeader;
  for (int i = 0; i < count; ++i) {
    const int64_t m = int64_t{1} << (i % 13);
    const int64_t n = 64 * (1 + i / 13);
    const int64_t k = int64_t{64} << (i / 5 % 8);
    const double flops = 2.0 * static_cast<double>(m * n * k);
    const double bytes = 2.0 * static_cast<double>(m * k + n * k + m * n);
    const double noise = 1 + 0.05 * (static_cast<double>(random() % 1000) / 1000 - 0.5);
    const double time_us = noise * (2.5 + std::max(flops / 500e6, bytes / 2e6));
    text += fmt::format("gemm,{},bf16,{},{},{},,,,,,,,,,,,,,{:.3f}\n", device, m, n, k, time_us);
  }
  return text;
}

}  // namespace dsocr::calibrate

#endif  // DSOCR_TESTS_DAEMON_CALIBRATE_GENERATED_TABLE_H_
