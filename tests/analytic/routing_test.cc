#include "analytic/routing.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <set>

#include "analytic/op/moe.h"
#include "analytic/prediction.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/analytic/models.h"

namespace dsocr::analytic {
namespace {

using ::testing::HasSubstr;

StageRouting Recorded(std::vector<std::vector<int64_t>> picks, int64_t k) {
  std::vector<LayerPicks> layers;
  for (std::vector<int64_t>& of_layer : picks) {
    layers.push_back({static_cast<int64_t>(layers.size()), std::move(of_layer)});
  }
  const absl::StatusOr<StageRouting> stage = StageRouting::Of(std::move(layers), k);
  EXPECT_TRUE(stage.ok()) << stage.status();
  return stage.ok() ? *stage : StageRouting();
}

// The experts of each token, `k` different ones: expert e before others with a weight that falls off with `exponent`.
std::vector<std::vector<int64_t>> Route(int64_t tokens, int64_t experts, int64_t k, double exponent,
                                        std::mt19937_64& random) {
  std::vector<std::vector<int64_t>> picked;
  for (int64_t token = 0; token < tokens; ++token) {
    std::vector<std::pair<double, int64_t>> keys;  // Efraimidis and Spirakis: exponential times, the k first
    for (int64_t e = 0; e < experts; ++e) {
      const double weight = std::pow(static_cast<double>(e + 1), -exponent);
      keys.emplace_back(std::exponential_distribution<>(weight)(random), e);
    }
    std::partial_sort(keys.begin(), keys.begin() + k, keys.end());
    std::vector<int64_t>& of_token = picked.emplace_back();
    for (int64_t i = 0; i < k; ++i) {
      of_token.push_back(keys[static_cast<size_t>(i)].second);
    }
  }
  return picked;
}

std::vector<int64_t> PicksOf(const std::vector<std::vector<int64_t>>& tokens, int64_t experts) {
  std::vector<int64_t> picks(static_cast<size_t>(experts));
  for (const std::vector<int64_t>& of_token : tokens) {
    for (const int64_t expert : of_token) {
      ++picks[static_cast<size_t>(expert)];
    }
  }
  return picks;
}

int64_t DistinctOf(const std::vector<std::vector<int64_t>>& tokens, int64_t count) {
  std::set<int64_t> hit;
  for (int64_t i = 0; i < count; ++i) {
    hit.insert(tokens[static_cast<size_t>(i)].begin(), tokens[static_cast<size_t>(i)].end());
  }
  return static_cast<int64_t>(hit.size());
}

TEST(StageRouting, EqualsTheMeanOfRandomDrawsFromTheRecordedTokens) {
  constexpr int64_t kTokens = 40, kExperts = 16, kPicks = 3;
  constexpr int kDraws = 4000;
  std::mt19937_64 random(5);
  std::vector<std::vector<std::vector<int64_t>>> layers = {Route(kTokens, kExperts, kPicks, 1.2, random),
                                                           Route(kTokens, kExperts, kPicks, 0.3, random)};
  const StageRouting stage = Recorded({PicksOf(layers[0], kExperts), PicksOf(layers[1], kExperts)}, kPicks);
  ASSERT_EQ(stage.tokens(), kTokens);
  for (const int64_t tokens : {1, 2, 5, 13, 39, 40}) {
    double sum = 0;
    for (int i = 0; i < kDraws; ++i) {
      for (std::vector<std::vector<int64_t>>& layer : layers) {
        std::shuffle(layer.begin(), layer.end(), random);
        sum += static_cast<double>(DistinctOf(layer, tokens));
      }
    }
    EXPECT_NEAR(stage.DistinctExperts(tokens), sum / (2 * kDraws), 0.06) << tokens;
  }
}

// What is recorded once says without bias what as many other tokens do; the shares taken with replacement do not.
TEST(StageRouting, FewRecordedTokensSayWhatManyOthersDo) {
  constexpr int64_t kTokens = 96, kExperts = 64, kPicks = 6;
  constexpr int kRecords = 300;
  std::mt19937_64 random(9);
  for (const int64_t tokens : {24, 96, 288}) {
    double expected = 0;
    double happened = 0;
    double with_replacement = 0;
    for (int i = 0; i < kRecords; ++i) {
      const std::vector<int64_t> picks = PicksOf(Route(kTokens, kExperts, kPicks, 0.8, random), kExperts);
      expected += Recorded({picks}, kPicks).DistinctExperts(tokens) / kRecords;
      happened += static_cast<double>(DistinctOf(Route(tokens, kExperts, kPicks, 0.8, random), tokens)) / kRecords;
      for (const int64_t n : picks) {
        with_replacement +=
            (1 - std::pow(1 - static_cast<double>(n) / kTokens, static_cast<double>(tokens))) / kRecords;
      }
    }
    EXPECT_NEAR(expected, happened, 0.005 * happened) << tokens;
    EXPECT_LT(std::abs(expected - happened), std::abs(with_replacement - happened)) << tokens;
  }
}

TEST(StageRouting, GivesWhatWasCountedForAsManyTokensAsWereRecorded) {
  const StageRouting stage = Recorded({{4, 4, 3, 1, 0, 0}, {2, 2, 2, 2, 2, 2}}, 3);
  EXPECT_EQ(stage.tokens(), 4);
  EXPECT_EQ(stage.DistinctExperts(0), 0);
  EXPECT_EQ(stage.DistinctExperts(1), 3);
  EXPECT_EQ(stage.DistinctExperts(4), 5);  // four experts of one layer and six of the other
}

TEST(StageRouting, AnEvenRecordFollowsTheEvenLawAndASkewedOneHitsFewer) {
  constexpr int64_t kMany = 64'000;
  const StageRouting even = Recorded({std::vector<int64_t>(64, kMany * 6 / 64)}, 6);
  std::vector<int64_t> picks(64, kMany * 6 / 64 / 4);
  for (int64_t e = 0; e < 16; ++e) {
    picks[static_cast<size_t>(e)] = kMany * 6 / 64 * 13 / 4;  // a quarter of the experts has 13 times the tokens
  }
  const StageRouting skewed = Recorded({picks}, 6);
  for (const int64_t tokens : {1, 2, 4, 8, 16, 64, 512}) {
    const double law = ExpectedDistinctExperts(64, 6, tokens);
    EXPECT_NEAR(even.DistinctExperts(tokens), law, 1e-3 * law) << tokens;
    if (tokens > 1 && tokens < 512) {
      EXPECT_LT(skewed.DistinctExperts(tokens), 0.99 * law) << tokens;
    }
  }
}

TEST(StageRouting, OneRecordedTokenSaysNothingAboutOthers) {
  const StageRouting one = Recorded({{1, 1, 0, 1, 0, 0, 0, 0}}, 3);
  for (const int64_t tokens : {1, 2, 3, 10, 1000}) {
    EXPECT_NEAR(one.DistinctExperts(tokens), ExpectedDistinctExperts(8, 3, tokens), 1e-12) << tokens;
  }
}

TEST(StageRouting, NeverFallsAndNeverPassesAllExperts) {
  std::mt19937_64 random(3);
  for (const int64_t recorded : {1, 2, 7, 200}) {
    const StageRouting stage = Recorded({PicksOf(Route(recorded, 16, 4, 1.5, random), 16)}, 4);
    double before = 0;
    for (int64_t tokens = 0; tokens < 500; ++tokens) {
      const double distinct = stage.DistinctExperts(tokens);
      EXPECT_GE(distinct, before);
      EXPECT_LE(distinct, 16);
      before = distinct;
    }
  }
}

TEST(StageRouting, WithoutTokensNothingIsRecorded) {
  EXPECT_EQ(Recorded({}, 6).tokens(), 0);
  EXPECT_EQ(Recorded({{0, 0, 0, 0}}, 2).tokens(), 0);
}

TEST(StageRouting, RefusesPicksThatCannotBe) {
  const auto refused = [](std::vector<LayerPicks> layers, int64_t k, std::string_view why) {
    const absl::Status status = StageRouting::Of(std::move(layers), k).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(why)));
  };
  const LayerPicks good = {1, {2, 1, 1}};
  refused({good}, 0, "0 experts a token");
  refused({good}, 3, "layer 1: 4 picks, expected 3 of each");
  refused({good}, 4, "layer 1: picks of 3 experts");
  refused({good, {1, {2, 1, 1}}}, 2, "layer 1: not above");
  refused({{-1, {2, 1, 1}}}, 2, "layer -1: not above");
  refused({good, {2, {2, 2}}}, 2, "layer 2: picks of 2 experts, expected 3");
  refused({good, {2, {2, 2, 2}}}, 2, "layer 2: 6 picks");
  refused({{1, {-1, 3, 2}}}, 2, "layer 1: -1 picks");
  refused({{1, {3, 1, 0}}}, 2, "layer 1: 3 picks of an expert by 2 tokens");
  refused({{1, {INT64_MAX, INT64_MAX, 2}}}, 2, "layer 1: 9223372036854775807 picks");
  refused({{1, std::vector<int64_t>(4, StageRouting::kMostTokens)}}, 2, "layer 1: 524288 picks");
}

// TinyA picks 3 of 8 experts in its layers 1 and 2.
std::shared_ptr<const Routing> RoutingOfTinyA() {
  const std::vector<LayerPicks> prefill = {{1, {40, 40, 20, 10, 5, 4, 1, 0}}, {2, {40, 40, 40, 0, 0, 0, 0, 0}}};
  const std::vector<LayerPicks> decode = {{1, {2, 2, 1, 1, 0, 0, 0, 0}}, {2, {2, 2, 2, 0, 0, 0, 0, 0}}};
  return std::make_shared<const Routing>(Routing{.source = "run r-1",
                                                 .experts_per_token = 3,
                                                 .prefill = *StageRouting::Of(prefill, 3),
                                                 .decode = *StageRouting::Of(decode, 3)});
}

TEST(Routing, FitsTheModelThatItIsOf) {
  const auto routing = RoutingOfTinyA();
  DecoderSpec decoder = TinyA().decoder;
  EXPECT_TRUE(routing->Fits(decoder));
  decoder.experts_per_token = 2;
  EXPECT_FALSE(routing->Fits(decoder));
  decoder = TinyA().decoder;
  decoder.routed_experts = 16;
  EXPECT_FALSE(routing->Fits(decoder));
  decoder = TinyA().decoder;
  decoder.layers = 4;
  EXPECT_FALSE(routing->Fits(decoder));
  decoder = TinyA().decoder;
  decoder.first_k_dense = 0;
  decoder.layers = 2;
  EXPECT_FALSE(routing->Fits(decoder));
  ModelSpec other = TinyB();
  other.decoder.routing = routing;
  EXPECT_THAT(std::string(CheckModel(other).message()), HasSubstr("routing of run r-1: not of the model's experts"));
}

TEST(Routing, APredictionHitsTheExpertsThatWereRecorded) {
  Workload workload = *FindWorkload("dsocr-tiny-v1");
  workload.base_size = workload.image_size = 256;
  workload.page_width = workload.page_height = 200;
  workload.crop_mode = false;
  workload.seq_len = 40;
  workload.max_new_tokens = 3;
  const Device device = *FindDevice("cpu");
  ModelSpec model = TinyA();
  const Prediction even = *Predict(model, workload, device);
  model.decoder.routing = RoutingOfTinyA();
  const absl::StatusOr<Prediction> recorded = Predict(model, workload, device);
  ASSERT_TRUE(recorded.ok()) << recorded.status();
  int differing = 0;
  for (size_t i = 0; i < even.modules.size(); ++i) {
    const PredictedModule& module = recorded->modules[i];
    if (module.module_id == "prefill/layer[1-2]/moe/experts") {
      // Of 8 experts 7 and 3 are hit, where an even routing hits all: 6 operators an expert and 9 a layer.
      EXPECT_EQ(module.figures.launches, 6 * (7 + 3) + 2 * 9);
      EXPECT_EQ(even.modules[i].figures.launches, 6 * (8 + 8) + 2 * 9);
      EXPECT_LT(module.figures.io_bytes, even.modules[i].figures.io_bytes);
      ++differing;
    } else if (module.children.empty()) {
      EXPECT_EQ(module.figures.time_ns, even.modules[i].figures.time_ns) << module.module_id;
      EXPECT_EQ(module.figures.launches, even.modules[i].figures.launches) << module.module_id;
    }
    EXPECT_EQ(module.figures.flops, even.modules[i].figures.flops);
  }
  EXPECT_EQ(differing, 1);
}

}  // namespace
}  // namespace dsocr::analytic
