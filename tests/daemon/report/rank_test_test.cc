#include "daemon/report/rank_test.h"

#include <random>

#include "gtest/gtest.h"

namespace dsocr::report {
namespace {

TEST(MannWhitneyP, IsExactForFewValues) {
  // All of a below all of b: 2 of C(6, 3) = 20 orders are as extreme.
  EXPECT_NEAR(*MannWhitneyP({1, 2, 3}, {4, 5, 6}), 2.0 / 20, 1e-12);
  EXPECT_NEAR(*MannWhitneyP({4, 5, 6}, {1, 2, 3}), 2.0 / 20, 1e-12);
  // U = 1: two of 20 at most that, on either side.
  EXPECT_NEAR(*MannWhitneyP({1, 2, 4}, {3, 5, 6}), 4.0 / 20, 1e-12);
  EXPECT_NEAR(*MannWhitneyP({1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}), 2.0 / 252, 1e-12);
  EXPECT_NEAR(*MannWhitneyP({1, 2}, {3, 4, 5, 6}), 2.0 / 15, 1e-12);
}

TEST(MannWhitneyP, EqualSamplesAreNoDifference) {
  EXPECT_EQ(*MannWhitneyP({1, 4}, {2, 3}), 1);
  EXPECT_EQ(*MannWhitneyP({7, 7, 7}, {7, 7}), 1);
}

TEST(MannWhitneyP, NeedsTwoValuesOnEachSide) {
  EXPECT_EQ(MannWhitneyP({1}, {2, 3, 4}), std::nullopt);
  EXPECT_EQ(MannWhitneyP({}, {}), std::nullopt);
}

TEST(MannWhitneyP, ApproximationMeetsTheExactValue) {
  // 21 values a side are approximated, 20 are not: alike, for samples alike.
  std::vector<double> a;
  std::vector<double> b;
  for (int i = 0; i < 20; ++i) {
    a.push_back(2 * i);
    b.push_back(2 * i + 7);
  }
  const double exact = *MannWhitneyP(a, b);
  a.push_back(40);
  b.push_back(47);
  EXPECT_NEAR(*MannWhitneyP(a, b), exact, 0.05);
  EXPECT_LT(exact, 0.5);
}

TEST(MannWhitneyP, RaisesFalseAlarmsAsOftenAsItSays) {
  std::mt19937_64 random(3);
  int alarms = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<double> a;
    std::vector<double> b;
    for (int i = 0; i < 8; ++i) {
      a.push_back(static_cast<double>(random() % 1'000'000'007));
      b.push_back(static_cast<double>(random() % 1'000'000'007));
    }
    alarms += *MannWhitneyP(a, b) <= 0.05 ? 1 : 0;
  }
  EXPECT_GT(alarms, 2000 * 0.03);
  EXPECT_LT(alarms, 2000 * 0.065);
}

}  // namespace
}  // namespace dsocr::report
