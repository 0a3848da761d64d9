// From generated tokens to the text that a reader wants.
#ifndef DSOCR_MODEL_OUTPUT_TEXT_H_
#define DSOCR_MODEL_OUTPUT_TEXT_H_

#include <cstdint>
#include <span>
#include <string>

#include "model/text/tokenizer.h"

namespace dsocr::model {

// The text up to the first end-of-text token, white space around it dropped; other special tokens stay, for they mark
// up the page.
std::string OutputText(const Tokenizer& tokenizer, std::span<const int64_t> tokens, int64_t eos_id);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_OUTPUT_TEXT_H_
