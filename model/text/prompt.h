// The published model's "plain" conversation: no roles, no separators, one page.
#ifndef DSOCR_MODEL_TEXT_PROMPT_H_
#define DSOCR_MODEL_TEXT_PROMPT_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/text/tokenizer.h"

namespace dsocr::model {

// Stands for the page in a prompt. A literal: it is cut out before the tokenizer, whose added token of this name it
// also is.
inline constexpr std::string_view kImagePlaceholder = "<image>";

struct PromptTokens {
  int64_t bos_id = 0;
  int64_t image_id = 128815;
  int image_count = 0;  // image tokens of the page: ImageTokens() of model/image/preprocess.h
};

// [bos][text before the page][image_id x image_count][text after]; no end token. White space around the whole prompt is
// dropped, as Python's str.strip() drops it. An id equals image_id exactly where a row of the page goes. Throws
// InputError (invalid_argument) where the prompt does not name the page exactly once.
//
// Example: "<image>\nFree OCR. " -> 0, 128815 x N, 201, 21431, 126041, 16.
std::vector<int64_t> PromptIds(const Tokenizer& tokenizer, std::string_view prompt, const PromptTokens& tokens);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_TEXT_PROMPT_H_
