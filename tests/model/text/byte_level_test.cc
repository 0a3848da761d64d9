#include "model/text/byte_level.h"

#include <gtest/gtest.h>

#include <set>

namespace dsocr::model {
namespace {

constexpr const char* kReplacement = "\xef\xbf\xbd";

TEST(ByteToCharacter, GivesEveryByteAVisibleCharacterOfItsOwn) {
  EXPECT_EQ(ByteToCharacter('!'), "!");
  EXPECT_EQ(ByteToCharacter(' '), "Ġ");
  EXPECT_EQ(ByteToCharacter('\n'), "Ċ");
  EXPECT_EQ(ByteToCharacter(0xe9), "é");
  std::set<std::string> characters;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string character = ByteToCharacter(static_cast<uint8_t>(byte));
    characters.insert(character);
    EXPECT_EQ(TokenToBytes(character), std::string(1, static_cast<char>(byte)));
  }
  EXPECT_EQ(characters.size(), 256u);
}

TEST(TokenToBytes, KeepsATokenWithOtherCharactersAsItIs) {
  EXPECT_EQ(TokenToBytes("Ġa"), " a");
  EXPECT_EQ(TokenToBytes("<｜end▁of▁sentence｜>"), "<｜end▁of▁sentence｜>");
  EXPECT_EQ(TokenToBytes("Ġ▁"), "Ġ▁");
}

TEST(ToValidUtf8, LeavesWellFormedTextAlone) {
  for (const std::string text : {"", "abc", "é中🙂", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_EQ(ToValidUtf8(text), text);
  }
}

// Python: bytes.decode(errors="replace").
TEST(ToValidUtf8, ReplacesEachMaximalSubpartOnce) {
  const std::string r = kReplacement;
  EXPECT_EQ(ToValidUtf8("\xff"), r);
  EXPECT_EQ(ToValidUtf8("\xc0\x80"), r + r);
  EXPECT_EQ(ToValidUtf8("\xe4\xb8"), r);
  EXPECT_EQ(ToValidUtf8("\xe4\xb8"
                        "a"),
            r + "a");
  EXPECT_EQ(ToValidUtf8("\xf0\x9f\x99"), r);
  EXPECT_EQ(ToValidUtf8("\xed\xa0\x80"), r + r + r);  // a surrogate
  EXPECT_EQ(ToValidUtf8("\xf4\x90\x80\x80"), r + r + r + r);
}

}  // namespace
}  // namespace dsocr::model
