#include "analytic/formula/expression.h"

#include "gtest/gtest.h"

namespace dsocr::analytic {
namespace {

const Expression kM = Expression::Symbol("m", int64_t{3});
const Expression kN = Expression::Symbol("n", int64_t{1500});

TEST(Expression, OneFormulaGivesNumberSymbolsAndNumbersPutIn) {
  const Expression formula = 2 * kM * (kN + 1);
  EXPECT_EQ(formula.Integer(), 9006);
  EXPECT_EQ(formula.Symbolic(), "2 m (n + 1)");
  EXPECT_EQ(formula.Numeric(), "2 \\cdot 3 \\cdot (1{,}500 + 1)");
}

TEST(Expression, SumsAndProductsOfTheirKindNeedNoBrackets) {
  EXPECT_EQ((kM + (1 - kN) + 2 * kN).Symbolic(), "m + 1 - n + 2 n");
  EXPECT_EQ((kM * 4 * kN).Symbolic(), "m \\cdot 4 n");
  EXPECT_EQ((1 - (kM - kN)).Symbolic(), "1 - (m - n)");
}

TEST(Expression, IntegersStayExactBeyondTheReals) {
  const Expression big = Expression::Symbol("x", (int64_t{1} << 53) + 1);
  EXPECT_EQ((big + 0).Integer(), (int64_t{1} << 53) + 1);
}

TEST(Expression, RoundingMakesIntegersOfReals) {
  const Expression x = Expression::Symbol("x", 2.5);
  EXPECT_EQ(Floor(x).Integer(), 2);
  EXPECT_EQ(Ceil(x).Integer(), 3);
  EXPECT_EQ(Round(x).Integer(), 3);
  EXPECT_EQ(Round(x * kM).Integer(), 8);  // 7.5: away from zero
  EXPECT_EQ(Floor(kN / kM).Integer(), 500);
  EXPECT_EQ(Floor(x).Symbolic(), "\\left\\lfloor x \\right\\rfloor");
}

TEST(Expression, BinaryLogarithmCountsTheStepsOfASort) {
  const auto steps = [](int64_t pairs) { return CeilLog2OnePlus(Expression::Symbol("P", pairs)).Integer(); };
  EXPECT_EQ(steps(0), 0);
  EXPECT_EQ(steps(1), 1);
  EXPECT_EQ(steps(3), 2);
  EXPECT_EQ(steps(4), 3);
  EXPECT_EQ(steps(3072), 12);
}

TEST(Expression, QuotientsAndPowersAreReal) {
  const Expression half = Expression(1) / 2;
  EXPECT_DOUBLE_EQ(RealOf(Power(1 - half, kM).Value()), 0.125);
  EXPECT_EQ(Power(1 - kM / kN, kN).Symbolic(), "(1 - \\frac{m}{n})^{n}");
}

TEST(Expression, IsConstantWithoutSymbols) {
  EXPECT_TRUE((Expression(2) * 3).is_constant());
  EXPECT_FALSE((2 * kM).is_constant());
}

TEST(TexOf, GroupsDigits) {
  EXPECT_EQ(TexOf(int64_t{0}), "0");
  EXPECT_EQ(TexOf(int64_t{-1234567}), "-1{,}234{,}567");
  EXPECT_EQ(TexOf(6.0), "6");
  EXPECT_EQ(TexOf(1234.5), "1{,}234.5");
}

}  // namespace
}  // namespace dsocr::analytic
