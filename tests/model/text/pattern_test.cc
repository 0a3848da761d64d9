#include "model/text/pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/error.h"

namespace dsocr::model {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Split, KeepsMatchesAndWhatLiesBetween) {
  EXPECT_THAT(Pattern("[0-9]+").Split("a12b3"), ElementsAre("a", "12", "b", "3"));
  EXPECT_THAT(Pattern("x").Split("abc"), ElementsAre("abc"));
  EXPECT_THAT(Pattern("x").Split(""), IsEmpty());
  EXPECT_THAT(Pattern("x*").Split("axb"), ElementsAre("a", "x", "b"));
}

TEST(Split, LooksAheadWithinThePiece) {
  EXPECT_THAT(Pattern(R"(\s+(?!\S)|\s+)").Split("a   b "), ElementsAre("a", "  ", " ", "b", " "));
}

TEST(Split, KnowsUnicodeClasses) { EXPECT_THAT(Pattern(R"(\p{L}+)").Split("é中1"), ElementsAre("é中", "1")); }

TEST(Split, TakesWhiteSpaceAsUnicodeDefinesIt) {
  const Pattern spaces(R"(\s)");
  EXPECT_THAT(spaces.Split("a\xc2\x85"), ElementsAre("a", "\xc2\x85"));      // U+0085 is White_Space
  EXPECT_THAT(spaces.Split("a\xe1\xa0\x8e"), ElementsAre("a\xe1\xa0\x8e"));  // U+180E no longer is
}

TEST(Split, StopsAPatternThatBacktracksWithoutBound) {
  EXPECT_THROW(Pattern("(a+)+$").Split(std::string(64, 'a') + "b"), InputError);
}

TEST(Pattern, RefusesWhatDoesNotCompile) { EXPECT_THROW(Pattern("[a"), InputError); }

TEST(SpellOutSpaces, LeavesEverythingElse) {
  EXPECT_EQ(SpellOutSpaces(R"(a\s)"), R"(a[\x{9}-\x{d}\x{85}\p{Z}])");
  EXPECT_EQ(SpellOutSpaces(R"([\s\d]\S)"), R"([\x{9}-\x{d}\x{85}\p{Z}\d][^\x{9}-\x{d}\x{85}\p{Z}])");
  EXPECT_EQ(SpellOutSpaces(R"(\\s[[:alpha:]\]\s])"), R"(\\s[[:alpha:]\]\x{9}-\x{d}\x{85}\p{Z}])");
  EXPECT_EQ(SpellOutSpaces("[[:"), "[[:");
}

}  // namespace
}  // namespace dsocr::model
