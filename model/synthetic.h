// A page and a prompt out of nothing, for runs that measure rather than read. Deterministic.
#ifndef DSOCR_MODEL_SYNTHETIC_H_
#define DSOCR_MODEL_SYNTHETIC_H_

#include <cstdint>
#include <vector>

#include "model/config.h"
#include "model/image/image.h"

namespace dsocr::model {

// Light grey with darker lines of word-like bars: not constant, so that features and routing differ over the page.
Image SyntheticPage(Size size);

// [bos][image id x image_tokens][text ids], seq_len in all; text ids are in the vocabulary and neither special nor the
// image id. Throws InputError where seq_len leaves no room for bos and the image.
std::vector<int64_t> SyntheticPrompt(const ModelConfig& config, int64_t image_tokens, int64_t seq_len);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_SYNTHETIC_H_
