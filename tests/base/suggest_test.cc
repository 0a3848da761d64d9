#include "base/suggest.h"

#include "gtest/gtest.h"

namespace dsocr {
namespace {

TEST(NearestName, FindsSwappedAndMissingLetters) {
  EXPECT_EQ(NearestName("sumamry", {"run", "summary", "status"}), "summary");
  EXPECT_EQ(NearestName("analyz", {"analyze", "attach"}), "analyze");
}

TEST(NearestName, SaysNothingWhereNothingIsNear) { EXPECT_EQ(NearestName("banana", {"run", "list"}), std::nullopt); }

TEST(NearestName, RefusesNamesThatAreNoTypo) {
  EXPECT_EQ(NearestName(std::string(100'000, 'x'), {"run"}), std::nullopt);
}

TEST(DidYouMean, EndsAnErrorMessage) {
  EXPECT_EQ(DidYouMean("dsocr-tinny-v1", {"dsocr-tiny-v1"}), "; did you mean 'dsocr-tiny-v1'?");
  EXPECT_EQ(DidYouMean("zzz", {"dsocr-tiny-v1"}), "");
  EXPECT_EQ(DidYouMean("rum", {"run"}, "'help' lists them"), "; did you mean 'run'? 'help' lists them");
  EXPECT_EQ(DidYouMean("zzz", {"run"}, "'help' lists them"), "; 'help' lists them");
}

}  // namespace
}  // namespace dsocr
