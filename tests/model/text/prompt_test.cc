#include "model/text/prompt.h"

#include <gtest/gtest.h>

#include "model/error.h"
#include "tests/model/text/toy_tokenizer.h"

namespace dsocr::model {
namespace {

using Ids = std::vector<int64_t>;

constexpr PromptTokens kTokens = {.bos_id = 300, .image_id = 301, .image_count = 3};

TEST(PromptIds, PutsThePageWhereItsPlaceholderStands) {
  const Tokenizer tokenizer = LoadToy(ToyTokenizerJson());

  EXPECT_EQ(PromptIds(tokenizer, "<image>\nabc", kTokens), (Ids{300, 301, 301, 301, '\n', 257}));
  EXPECT_EQ(PromptIds(tokenizer, "ab<image>", kTokens), (Ids{300, 256, 301, 301, 301}));
}

TEST(PromptIds, StripsTheWholePromptAndNothingElse) {
  const Tokenizer tokenizer = LoadToy(ToyTokenizerJson());

  EXPECT_EQ(PromptIds(tokenizer, "\n \xc2\xa0<image> a. \t\xe3\x80\x80", kTokens), (Ids{300, 301, 301, 301, 259, '.'}));
}

TEST(PromptIds, RefusesNoPageAndTwo) {
  const Tokenizer tokenizer = LoadToy(ToyTokenizerJson());

  EXPECT_THROW(PromptIds(tokenizer, "", kTokens), InputError);
  EXPECT_THROW(PromptIds(tokenizer, "Free OCR.", kTokens), InputError);
  EXPECT_THROW(PromptIds(tokenizer, "<image><image>", kTokens), InputError);
}

}  // namespace
}  // namespace dsocr::model
