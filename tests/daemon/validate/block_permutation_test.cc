#include "daemon/validate/block_permutation.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::validate {
namespace {

TEST(BlockPermutationTest, IsExactWhereThereAreFewArrangements) {
  // Two of four blocks: six arrangements, and the observed one is the most extreme.
  const Blocks blocks(2, 4, 2);
  EXPECT_DOUBLE_EQ(PermutationTest({{1, 2, 3, 4}}, blocks, 100)[0], 1.0 / 6);
  EXPECT_DOUBLE_EQ(PermutationTest({{4, 3, 2, 1}}, blocks, 100)[0], 1.0) << "faster is no regression";
}

TEST(BlockPermutationTest, ManySeriesMakeEachLessSure) {
  const Blocks blocks(3, 6, 3);
  const double alone = PermutationTest({{1, 2, 3, 4, 5, 6}}, blocks, 100)[0];
  const double among_others =
      PermutationTest({{1, 2, 3, 4, 5, 6}, {6, 1, 4, 3, 5, 2}, {2, 6, 1, 5, 3, 4}}, blocks, 100)[0];
  EXPECT_DOUBLE_EQ(alone, 1.0 / 20);
  EXPECT_GT(among_others, alone);
}

TEST(BlockPermutationTest, BlocksChangeSidesWhole) {
  EXPECT_EQ(Blocks(30, 60, 10).extents.size(), 20u);
  EXPECT_EQ(Blocks(30, 60, 10).extents[1], std::make_pair(size_t{3}, size_t{6}));
  EXPECT_EQ(Blocks(4, 9, 10).extents.size(), 9u) << "no more blocks than entries";
  EXPECT_EQ(Blocks(4, 9, 10).before_count, 4u);
}

TEST(BlockPermutationTest, DrawnArrangementsGiveTheSameEachTime) {
  std::vector<double> series;
  for (int i = 0; i < 60; ++i) {
    series.push_back(i * 37 % 60 + (i >= 30 ? 25 : 0));
  }
  const Blocks blocks(30, 60, 10);
  const double p = PermutationTest({series}, blocks, 1000)[0];
  EXPECT_EQ(p, PermutationTest({series}, blocks, 1000)[0]);
  EXPECT_GT(p, 0);
  EXPECT_LT(p, 0.01);
}

TEST(CounterpartTest, WhatTheOthersShareIsTakenOut) {
  std::vector<double> first;
  std::vector<double> second;
  std::vector<double> third;
  for (int i = 0; i < 60; ++i) {
    const double machine = 0.3 * (i * 29 % 60) / 60;
    first.push_back(machine + (i >= 30 ? 0.05 : 0));
    second.push_back(machine);
    third.push_back(0.5 * machine);
  }
  const std::vector<double> rest = LessCounterpart(first, {&second, &third}, Blocks(30, 60, 10));
  for (int i = 0; i < 60; ++i) {
    EXPECT_NEAR(rest[static_cast<size_t>(i)] - rest[0], i >= 30 ? 0.05 : 0, 0.06) << i;
  }
}

}  // namespace
}  // namespace dsocr::validate
