#include "analytic/op/describe.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace dsocr::analytic {
namespace {

constexpr Precision kPrecisions[] = {Precision::kFp32, Precision::kBf16, Precision::kTf32, Precision::kFp8w,
                                     Precision::kInt4w};

// Every family, and every branch of a family, with sizes that no two symbols share.
const Operator kOperators[] = {
    Gemm{.batch = 2, .m = 3, .n = 5, .k = 7},
    Gemm{.m = 384, .n = 515, .k = 257, .has_bias = true},
    Gemm{.batch = 2, .m = 3, .n = 5, .k = 7, .b_is_weight = false},
    Conv2d{.batch = 2, .in_channels = 3, .out_channels = 5, .in_side = 33, .kernel = 3, .stride = 2, .padding = 1},
    Conv2d{.in_channels = 3, .out_channels = 768, .in_side = 64, .kernel = 16, .stride = 16, .has_bias = true},
    Attention{.batch = 2, .heads = 6, .kv_heads = 3, .query_len = 5, .kv_len = 7, .head_dim = 4},
    Attention{.heads = 2, .kv_heads = 2, .query_len = 5, .kv_len = 7, .head_dim = 4, .has_bias = true},
    Attention{.heads = 2, .kv_heads = 2, .query_len = 1, .kv_len = 7, .head_dim = 4, .kv_is_cached = true},
    Attention{.batch = 2, .heads = 3, .kv_heads = 3, .query_len = 5, .kv_len = 7, .head_dim = 4, .has_mask = true},
    Norm{.kind = NormKind::kLayer, .rows = 3, .width = 5},
    Norm{.kind = NormKind::kLayer2d, .rows = 3, .width = 5},
    Norm{.kind = NormKind::kRms, .rows = 3, .width = 5},
    Elementwise{.read = 7, .written = 5, .flops_per_element = 12, .pieces = 5.998},
    Elementwise{.read = 7, .written = 5, .is_in_place = true},
    Elementwise{.read = 7, .written = 5, .widened_bytes = 44},
    Copy{.read = 7, .written = 11},
    Activation{.kind = ActivationKind::kGelu, .elements = 7},
    Activation{.kind = ActivationKind::kQuickGelu, .elements = 7},
    Activation{.kind = ActivationKind::kSilu, .elements = 7, .pieces = 20.8},
    Rope{.sequences = 2, .tokens = 3, .heads = 5, .head_dim = 8},
    Softmax{.rows = 3, .width = 5},
    Gather{.rows = 3, .width = 5},
    Gather{.rows = 3, .width = 5, .from_weights = true},
    Interpolate{.channels = 3, .in_width = 127, .out_width = 79, .taps = 2},
    Interpolate{.channels = 3, .in_height = 64, .in_width = 64, .out_height = 40, .out_width = 48},
    Interpolate{
        .channels = 3, .in_height = 64, .in_width = 64, .out_height = 40, .out_width = 100, .is_antialiased = true},
    TopK{.tokens = 3, .experts = 64, .k = 6},
    Dispatch{.pairs = 18, .experts = 64},
    Dispatch{.pairs = 0, .experts = 64},
    GroupedGemm{.groups = 20.8125, .rows = 24, .n = 896, .k = 1280},
    GroupedGemm{.groups = 6, .rows = 6, .n = 5, .k = 7, .live_elements = 11, .routing_bytes = 72},
    Sampling{.rows = 2, .vocabulary = 129, .context = 17},
};

class DescribeTest : public ::testing::TestWithParam<size_t> {
 protected:
  const Operator& op() const { return kOperators[GetParam()]; }
};

// The documents cannot say anything but what the cost model computes.
TEST_P(DescribeTest, FormulasGiveTheCost) {
  for (const Precision precision : kPrecisions) {
    SCOPED_TRACE(PrecisionName(precision));
    const OperatorDescription description = Describe(op(), precision);
    const Cost cost = CostOf(op(), precision);
    EXPECT_EQ(description.flops.Integer(), cost.flops);
    EXPECT_EQ(description.vector_flops.Integer(), cost.vector_flops);
    EXPECT_EQ(description.read_bytes.Integer(), cost.read_bytes);
    EXPECT_EQ(description.write_bytes.Integer(), cost.write_bytes);
    EXPECT_EQ(description.live_bytes.Integer(), cost.live_bytes);
    EXPECT_EQ(description.launches.Integer(), cost.launches);
    EXPECT_EQ(RealOf(description.pieces.Value()), cost.pieces);
  }
}

TEST_P(DescribeTest, SymbolsAreDistinctAndEachIsUsed) {
  const OperatorDescription description = Describe(op(), Precision::kBf16);
  std::string formulas;
  for (const Abbreviation& abbreviation : description.abbreviations) {
    formulas.append(" ").append(abbreviation.expression.Symbolic());
  }
  for (const Expression* formula :
       {&description.flops, &description.vector_flops, &description.read_bytes, &description.write_bytes,
        &description.live_bytes, &description.launches, &description.pieces}) {
    formulas.append(" ").append(formula->Symbolic());
  }
  for (const SymbolMeaning& symbol : description.symbols) {
    EXPECT_NE(formulas.find(symbol.tex), std::string::npos) << symbol.tex;
    EXPECT_FALSE(symbol.meaning.empty());
    EXPECT_EQ(std::count_if(description.symbols.begin(), description.symbols.end(),
                            [&](const SymbolMeaning& other) { return other.tex == symbol.tex; }),
              1)
        << symbol.tex;
  }
  for (const std::string_view text :
       {description.family, description.definition, description.assumptions, description.source}) {
    EXPECT_FALSE(text.empty());
    EXPECT_FALSE(text.ends_with('.')) << text;
    EXPECT_EQ(std::count(text.begin(), text.end(), '$') % 2, 0) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(EveryFamily, DescribeTest, ::testing::Range(size_t{0}, std::size(kOperators)));

TEST(Describe, HasACaseForEveryFamily) {
  for (size_t family = 0; family < std::variant_size_v<Operator>; ++family) {
    EXPECT_TRUE(std::any_of(std::begin(kOperators), std::end(kOperators), [family](const Operator& op) {
      return op.index() == family;
    })) << family;
  }
}

TEST(DistinctExpertsFormula, IsTheClosedFormOfTheCostModel) {
  for (const int64_t tokens : {1, 2, 4, 32, 512}) {
    EXPECT_DOUBLE_EQ(RealOf(DistinctExpertsFormula(64, 6, tokens).Value()), ExpectedDistinctExperts(64, 6, tokens));
  }
  EXPECT_EQ(DistinctExpertsFormula(64, 6, 1).Symbolic(), "E (1 - (1 - \\frac{k}{E})^{T})");
}

}  // namespace
}  // namespace dsocr::analytic
