// The published tokenizer and the recorded encodings of its own library.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "model/text/prompt.h"
#include "model/text/tokenizer.h"

namespace dsocr::model {
namespace {

using Ids = std::vector<int64_t>;

const Tokenizer& Published() {
  static const Tokenizer tokenizer = Tokenizer::Load(DSOCR_TOKENIZER_DIR);
  return tokenizer;
}

TEST(PublishedTokenizer, EncodesAndDecodesEveryRecordedText) {
  std::ifstream file(std::string(DSOCR_SHARED_DIR) + "/reference/tokenizer/tokenizer_cases.json");
  const nlohmann::json cases = nlohmann::json::parse(file).at("cases");
  ASSERT_EQ(cases.size(), 30u);
  for (const nlohmann::json& expected : cases) {
    SCOPED_TRACE(expected.at("text").dump());
    const Ids ids = Published().Encode(expected.at("text").get<std::string>());

    EXPECT_EQ(ids, expected.at("ids").get<Ids>());
    EXPECT_EQ(Published().Decode(ids, /*skip_special=*/false), expected.at("decoded"));
    EXPECT_EQ(Published().Decode(ids, /*skip_special=*/true), expected.at("decoded_skip_special"));
  }
}

TEST(PublishedTokenizer, LaysOutThePublishedPrompt) {
  const Ids ids = PromptIds(Published(), "<image>\nFree OCR. ", {.image_count = 2});

  EXPECT_EQ(ids, (Ids{0, 128815, 128815, 201, 21431, 126041, 16}));
}

TEST(PublishedTokenizer, LeavesOutRowsOfTheEmbeddingThatItDoesNotDefine) {
  EXPECT_EQ(Published().Decode(Ids{128826, 128827, 129279}, false), "<|Assistant|>");
}

TEST(PublishedTokenizer, TakesALongTextWithoutBreaks) {
  const std::string text = std::string(200'000, ' ') + std::string(200'000, 'e') + std::string(200'000, '\n');

  EXPECT_EQ(Published().Decode(Published().Encode(text), false), text);
}

}  // namespace
}  // namespace dsocr::model
