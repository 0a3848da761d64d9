// The no-repeat-n-gram rule of greedy decoding.
#ifndef DSOCR_MODEL_NGRAM_H_
#define DSOCR_MODEL_NGRAM_H_

#include <cstdint>
#include <span>
#include <vector>

namespace dsocr::model {

// The tokens that would complete an n-gram which `sequence` (prompt, image tokens included, and generated tokens)
// already holds: those that followed an earlier occurrence of its last ngram_size - 1 tokens. Sorted, each once; empty
// while the sequence is shorter than ngram_size - 1. ngram_size <= 0 switches the rule off. O(sequence); safe from any
// thread.
//
// Example: BannedTokens({1, 2, 3, 1, 2}, 3) -> {3}.
// Source: transformers, NoRepeatNGramLogitsProcessor.
std::vector<int64_t> BannedTokens(std::span<const int64_t> sequence, int ngram_size);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_NGRAM_H_
