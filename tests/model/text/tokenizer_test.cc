#include "model/text/tokenizer.h"

#include <gtest/gtest.h>

#include "tests/model/text/toy_tokenizer.h"

namespace dsocr::model {
namespace {

using Ids = std::vector<int64_t>;

TEST(Encode, MergesTheLowestRankFirst) {
  const Tokenizer tokenizer = LoadToy(ToyTokenizerJson());

  EXPECT_EQ(tokenizer.Encode(""), Ids{});
  EXPECT_EQ(tokenizer.Encode("a"), (Ids{'a'}));
  EXPECT_EQ(tokenizer.Encode("abc"), (Ids{257}));
  EXPECT_EQ(tokenizer.Encode("bcab"), (Ids{258, 256}));
  EXPECT_EQ(tokenizer.Encode("abab"), (Ids{256, 256}));
  EXPECT_EQ(tokenizer.Encode(" abc"), (Ids{' ', 257}));  // a+b (rank 0) beats Ġ+a (rank 3)
  EXPECT_EQ(tokenizer.Encode(" ac"), (Ids{259, 'c'}));
}

TEST(Encode, TakesTheLeftmostOfEqualPairs) {
  nlohmann::json json = ToyTokenizerJson();
  json["model"]["vocab"]["aa"] = 260;
  json["model"]["merges"].push_back({"a", "a"});

  EXPECT_EQ(LoadToy(json).Encode("aaa"), (Ids{260, 'a'}));
}

TEST(Encode, SplitsBeforeItMerges) {
  const Tokenizer tokenizer = LoadToy(ToyTokenizerJson());

  EXPECT_EQ(tokenizer.Encode("ab1bc"), (Ids{256, '1', 258}));
  EXPECT_EQ(tokenizer.Encode("a.b"), (Ids{'a', '.', 'b'}));
}

TEST(Encode, CutsAddedTokensFirst) {
  const Tokenizer tokenizer = LoadToy(ToyTokenizerJson());

  EXPECT_EQ(tokenizer.Encode("ab<s>c"), (Ids{256, 300, 'c'}));
  EXPECT_EQ(tokenizer.Encode("<s><s>"), (Ids{300, 300}));
  EXPECT_EQ(tokenizer.Encode("<s"), (Ids{'<', 's'}));
  EXPECT_EQ(tokenizer.Encode("<image>2"), (Ids{301, '2'}));  // those that are not normalised go first
}

TEST(Encode, PrefersTheLongestAddedToken) {
  nlohmann::json json = ToyTokenizerJson();
  json["added_tokens"][2]["normalized"] = false;

  EXPECT_EQ(LoadToy(json).Encode("<image>2<image>3"), (Ids{302, 301, '3'}));
}

TEST(Encode, ReadsMergesAsStringsToo) {
  nlohmann::json json = ToyTokenizerJson();
  json["model"]["merges"] = {"a b", "b c", "ab c", "Ġ a"};

  EXPECT_EQ(LoadToy(json).Encode("abc ac"), (Ids{257, 259, 'c'}));
}

TEST(Encode, AddsAPrefixSpaceWhereTheFileSaysSo) {
  nlohmann::json json = ToyTokenizerJson();
  json["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"use_regex", true}};

  EXPECT_EQ(LoadToy(json).Encode("ac"), (Ids{259, 'c'}));
  EXPECT_EQ(LoadToy(json).Encode("b's"), (Ids{' ', 'b', '\'', 's'}));
}

TEST(Encode, TakesInvalidUtf8AsReplacementCharacters) {
  const Tokenizer tokenizer = LoadToy(ToyTokenizerJson());

  EXPECT_EQ(tokenizer.Encode("a\xff"), (Ids{'a', 0xef, 0xbf, 0xbd}));
  EXPECT_EQ(tokenizer.Encode("\xe4\xb8"), (Ids{0xef, 0xbf, 0xbd}));
}

TEST(Encode, IsNotQuadraticInTheLengthOfAWord) {
  const Tokenizer tokenizer = LoadToy(ToyTokenizerJson());

  const Ids ids = tokenizer.Encode(std::string(300'000, 'a') + "b");

  EXPECT_EQ(ids.size(), 300'000u);
  EXPECT_EQ(ids.back(), 256);
}

TEST(Encode, TakesALongRunOfSpaces) {
  const Tokenizer tokenizer = LoadToy(ToyTokenizerJson());

  EXPECT_EQ(tokenizer.Encode(std::string(300'000, ' ')), Ids(300'000, ' '));
}

TEST(Decode, JoinsBytesAndSkipsWhatItIsToldTo) {
  const Tokenizer tokenizer = LoadToy(ToyTokenizerJson());
  const Ids ids = {300, 257, 259, 301};

  EXPECT_EQ(tokenizer.Decode(ids, /*skip_special=*/false), "<s>abc a<image>");
  EXPECT_EQ(tokenizer.Decode(ids, /*skip_special=*/true), "abc a<image>");
}

TEST(Decode, LeavesOutUnknownIds) {
  const Tokenizer tokenizer = LoadToy(ToyTokenizerJson());

  EXPECT_EQ(tokenizer.Decode(Ids{-1, 'a', 299, 303, 1'000'000'000'000}, false), "a");
}

TEST(Decode, ReplacesBytesThatAreNoCharacter) {
  const Tokenizer tokenizer = LoadToy(ToyTokenizerJson());

  EXPECT_EQ(tokenizer.Decode(Ids{0xe4, 0xb8, 0xad}, false), "中");
  EXPECT_EQ(tokenizer.Decode(Ids{0xe4, 0xb8, 'a'}, false),
            "\xef\xbf\xbd"
            "a");
}

TEST(Tokenizer, GivesBackWhatItEncoded) {
  const Tokenizer tokenizer = LoadToy(ToyTokenizerJson());

  for (const std::string text : {"abc 12 <s> ü\n", "\t\t中文 abab", "🙂", "a\xcc\x81 <image>2"}) {
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text), false), text);
  }
}

}  // namespace
}  // namespace dsocr::model
