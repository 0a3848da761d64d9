// Greedy generation: vision, prefill, then one decode step a token.
#ifndef DSOCR_MODEL_GENERATE_H_
#define DSOCR_MODEL_GENERATE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/decoder.h"
#include "model/deepseek_ocr.h"
#include "model/probe.h"
#include "model/static_decoder.h"

namespace dsocr::model {

// The published default for plain OCR.
inline constexpr int kDefaultNoRepeatNgramSize = 20;

struct GenerateOptions {
  int64_t max_new_tokens = 64;                           // >= 1
  int no_repeat_ngram_size = kDefaultNoRepeatNgramSize;  // over prompt and output; 0: off
  bool stop_at_eos = false;                              // off for profiled runs: exactly max_new_tokens come out
  StaticDecoder* static_decoder = nullptr;               // takes the decode steps; made for the cache of the request
};

// Runs requests under the range `deepseek_ocr`. Reusable; holds the names of the ranges that generation itself pushes.
class Generator {
 public:
  explicit Generator(DeepseekOcr& model);

  // The new tokens, end-of-text included where it stopped. `cache` needs room for the prompt and all new tokens but the
  // last; what is in it is forgotten. The probe sees the fixtures' names, and `step_logits` [1, vocab] before banning
  // for every token.
  std::vector<int64_t> Run(const Request& request, KvCache& cache, const GenerateOptions& options,
                           const Probe& probe = Probe()) const;

 private:
  struct Token {
    at::Tensor on_device;  // int64 [1]
    int64_t id;
  };
  at::Tensor DecodeStep(const at::Tensor& token, KvCache& cache, StaticDecoder* static_decoder,
                        const Probe& probe) const;
  Token Sample(const at::Tensor& logits, const std::vector<int64_t>& sequence, int no_repeat_ngram_size, Phase phase,
               const Probe& probe) const;

  const DeepseekOcr& model_;
  RangeName root_range_;
  PhaseNames phase_range_;
  PhaseNames sample_range_;
};

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_GENERATE_H_
