#include "model/ngram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace dsocr::model {
namespace {

using Ids = std::vector<int64_t>;

TEST(BannedTokens, MatchesEveryRecordedCase) {
  std::ifstream file(std::string(DSOCR_SOURCE_DIR) + "/tests/golden/ngram_cases.json");
  const nlohmann::json cases = nlohmann::json::parse(file).at("cases");
  ASSERT_GE(cases.size(), 10u);
  for (const nlohmann::json& expected : cases) {
    Ids banned = expected.at("banned");
    std::sort(banned.begin(), banned.end());

    EXPECT_EQ(BannedTokens(expected.at("sequence").get<Ids>(), expected.at("ngram_size")), banned) << expected.dump();
  }
}

TEST(BannedTokens, AreThoseThatFollowedTheSamePrefix) {
  EXPECT_EQ(BannedTokens(Ids{1, 2, 3, 1, 2}, 3), (Ids{3}));
  EXPECT_EQ(BannedTokens(Ids{1, 2, 3, 1, 2, 0, 1, 2}, 3), (Ids{0, 3}));
  EXPECT_EQ(BannedTokens(Ids{5, 5, 5}, 2), (Ids{5}));
}

TEST(BannedTokens, AreAllSeenTokensForUnigrams) { EXPECT_EQ(BannedTokens(Ids{4, 2, 4}, 1), (Ids{2, 4})); }

TEST(BannedTokens, AreNoneForAShortSequenceOrWithoutTheRule) {
  EXPECT_EQ(BannedTokens({}, 1), Ids{});
  EXPECT_EQ(BannedTokens(Ids{1, 1}, 3), Ids{});
  EXPECT_EQ(BannedTokens(Ids{1, 1, 1}, 0), Ids{});
  EXPECT_EQ(BannedTokens(Ids{1, 1, 1}, -1), Ids{});
}

}  // namespace
}  // namespace dsocr::model
