#include "daemon/attach/operator_alignment.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace dsocr::attach {
namespace {

// A block (module 1) of q, k and v (2, 3, 4), in a model (0) that ends with a head (5). Operator 0 is what q, k and v
// call alike, 1 is the head's, 2 fits everywhere, 3 nowhere well.
std::vector<AlignmentPlace> Block() {
  return {{.modules = {0, 1, 2}, .kind = 0, .stay = 0.5, .skip = 1e-4},
          {.modules = {0, 1, 3}, .kind = 0, .stay = 0.5, .skip = 1e-4},
          {.modules = {0, 1, 4}, .kind = 0, .stay = 0.5, .skip = 1e-4},
          {.modules = {0, 5}, .kind = 1, .stay = 0.5, .skip = 1e-4}};
}

const std::vector<std::vector<double>> kFits = {{1, 1e-6, 0.3, 1e-4}, {1e-6, 1, 0.3, 1e-4}};

TEST(OperatorAlignmentTest, OneCallAPlaceIsSure) {
  const std::vector<AlignedOperator> aligned = AlignOperators({0, 0, 0, 1}, Block(), kFits, AlignmentEnd::kWhole);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(aligned[static_cast<size_t>(i)].place, i);
    EXPECT_GT(aligned[static_cast<size_t>(i)].confidence, 0.99);
  }
  EXPECT_EQ(aligned[0].depth, 3);
  EXPECT_EQ(aligned[3].depth, 2);
}

// Three products in one: nobody can say whose it is, but that it is the block's.
TEST(OperatorAlignmentTest, WhatCannotBeToldApartBelongsToTheModuleAround) {
  const std::vector<AlignedOperator> aligned = AlignOperators({0, 1}, Block(), kFits, AlignmentEnd::kWhole);
  EXPECT_EQ(aligned[0].depth, 2);
  EXPECT_GT(aligned[0].confidence, 0.99);
  EXPECT_EQ(aligned[1].place, 3);
  EXPECT_EQ(aligned[1].depth, 2);
}

TEST(OperatorAlignmentTest, PlacesDoNotDecrease) {
  const std::vector<AlignedOperator> aligned =
      AlignOperators({2, 0, 2, 2, 3, 0, 1, 0, 2, 0, 1, 2}, Block(), kFits, AlignmentEnd::kWhole);
  for (size_t i = 1; i < aligned.size(); ++i) {
    EXPECT_GE(aligned[i].place, aligned[i - 1].place);
  }
}

TEST(OperatorAlignmentTest, ACutSequenceLeavesNothingOut) {
  const std::vector<AlignedOperator> aligned = AlignOperators({0, 2}, Block(), kFits, AlignmentEnd::kCut);
  EXPECT_EQ(aligned[0].place, 0);
  EXPECT_EQ(aligned[0].depth, 3);
  EXPECT_GT(aligned[0].confidence, 0.99);
}

TEST(OperatorAlignmentTest, APlaceOutsideTakesItsOperatorsOutOfTheModel) {
  std::vector<AlignmentPlace> places = Block();
  places.push_back({.modules = {}, .kind = 2, .stay = 0.8, .skip = 1});
  const std::vector<std::vector<double>> fits = {kFits[0], kFits[1], {0.02, 0.02, 0.02, 0.02}};
  const std::vector<AlignedOperator> aligned = AlignOperators({0, 0, 0, 1, 3}, places, fits, AlignmentEnd::kCut);
  EXPECT_EQ(aligned[3].depth, 2);
  EXPECT_EQ(aligned[4].depth, 0);
  EXPECT_EQ(aligned[4].confidence, 0);
}

TEST(OperatorAlignmentTest, LongSequencesKeepTheirDigits) {
  std::vector<int> operators;
  std::vector<AlignmentPlace> places;
  for (int block = 0; block < 300; ++block) {
    for (AlignmentPlace& place : Block()) {
      place.modules = {0, 1000 + block, place.modules.back()};
      places.push_back(place);
    }
    operators.insert(operators.end(), {0, 2, 0, 0, 2, 1});
  }
  const std::vector<AlignedOperator> aligned = AlignOperators(operators, places, kFits, AlignmentEnd::kWhole);
  for (int block = 0; block < 300; ++block) {
    const AlignedOperator& head = aligned[static_cast<size_t>(6 * block + 5)];
    EXPECT_EQ(head.place, 4 * block + 3);
    EXPECT_GT(head.confidence, 0.99);
  }
}

TEST(OperatorAlignmentTest, BeyondTheLimitNothingIsAligned) {
  const std::vector<AlignmentPlace> places = Block();
  const std::vector<int> operators(kMaxAlignedCells / places.size() + 1, 0);
  const std::vector<AlignedOperator> aligned = AlignOperators(operators, places, kFits, AlignmentEnd::kWhole);
  EXPECT_EQ(aligned.size(), operators.size());
  EXPECT_TRUE(std::all_of(aligned.begin(), aligned.end(),
                          [](const AlignedOperator& at) { return at.depth == 0 && at.confidence == 0; }));
  EXPECT_TRUE(AlignOperators({}, places, kFits, AlignmentEnd::kWhole).empty());
}

}  // namespace
}  // namespace dsocr::attach
