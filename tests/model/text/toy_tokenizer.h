// A tokenizer.json of a dozen entries, small enough to encode by hand.
#ifndef DSOCR_TESTS_MODEL_TEXT_TOY_TOKENIZER_H_
#define DSOCR_TESTS_MODEL_TEXT_TOY_TOKENIZER_H_

#include <nlohmann/json.hpp>

#include "model/text/tokenizer.h"

namespace dsocr::model {

// Ids 0..255: the bytes. 256 "ab", 257 "abc", 258 "bc", 259 " a", with merges in the order a+b, b+c, ab+c, " "+a (each
// a rank). Added: 300 "<s>" (special), 301 "<image>", 302 "<image>2" (normalised). Pre-tokenizers: digits alone, then
// runs of letters with one space before, then ByteLevel.
nlohmann::json ToyTokenizerJson();

Tokenizer LoadToy(const nlohmann::json& json);

}  // namespace dsocr::model

#endif  // DSOCR_TESTS_MODEL_TEXT_TOY_TOKENIZER_H_
