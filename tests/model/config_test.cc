#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/error.h"
#include "tests/model/tiny_model.h"

namespace dsocr::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The smallest document that parses: what every published config.json has.
nlohmann::json Minimal() {
  return {{"vocab_size", 129280},         {"hidden_size", 1280},     {"intermediate_size", 6848},
          {"moe_intermediate_size", 896}, {"num_hidden_layers", 12}, {"num_attention_heads", 10},
          {"n_routed_experts", 64},       {"n_shared_experts", 2},   {"num_experts_per_tok", 6},
          {"first_k_dense_replace", 1}};
}

std::string ErrorOf(const nlohmann::json& json) {
  try {
    ParseModelConfig(json.dump(), "c.json");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(ConfigTest, TakesPublishedValuesWhereOurKeysAreAbsent) {
  const ModelConfig config = ParseModelConfig(Minimal().dump(), "c.json");
  EXPECT_EQ(config.sam.width, 768);
  EXPECT_THAT(config.sam.global_attn_indexes, ElementsAre(2, 5, 8, 11));
  EXPECT_EQ(config.clip.native_grid(), 16);
  EXPECT_EQ(config.image_token_id, 128815);
  EXPECT_EQ(config.preprocess.crop_tile_size, 640);
  EXPECT_DOUBLE_EQ(config.decoder.rms_norm_eps, 1e-6);
}

TEST(ConfigTest, HonoursEveryKeyOfAFixture) {
  const ModelConfig config = LoadModelConfig(FixtureDir("tiny_b"));
  EXPECT_EQ(config.sam.window_size, 7);
  EXPECT_THAT(config.sam.downsample_channels, ElementsAre(40, 72));
  EXPECT_EQ(config.clip.heads, 6);
  EXPECT_EQ(config.decoder.n_routed_experts, 16);
  EXPECT_DOUBLE_EQ(config.decoder.routed_scaling_factor, 1.25);
  EXPECT_DOUBLE_EQ(config.decoder.rms_norm_eps, 1e-5);
  EXPECT_EQ(config.preprocess.image_size, 320);
  EXPECT_FALSE(config.preprocess.crop_mode);
  EXPECT_EQ(config.image_token_id, 700);
}

TEST(ConfigTest, ExpertLayersFollowTheDenseOnes) {
  DecoderConfig decoder;
  decoder.first_k_dense_replace = 2;
  decoder.moe_layer_freq = 2;
  EXPECT_FALSE(decoder.is_moe(0));
  EXPECT_FALSE(decoder.is_moe(1));
  EXPECT_TRUE(decoder.is_moe(2));
  EXPECT_FALSE(decoder.is_moe(3));
}

TEST(ConfigTest, NamesTheMissingKey) {
  nlohmann::json json = Minimal();
  json.erase("hidden_size");
  EXPECT_THAT(ErrorOf(json), HasSubstr("config 'c.json': 'hidden_size' is missing"));
}

TEST(ConfigTest, NamesTheKeyOfANestedFault) {
  nlohmann::json json = Minimal();
  json["encoder_dims"] = {{"sam", {{"width", "wide"}}}};
  EXPECT_THAT(ErrorOf(json), HasSubstr("'encoder_dims.sam.width' is not an integer"));
}

TEST(ConfigTest, RefusesHostileSizes) {
  nlohmann::json json = Minimal();
  json["n_routed_experts"] = 4'000'000'000'000'000'000;
  EXPECT_THAT(ErrorOf(json), HasSubstr("'n_routed_experts' is 4000000000000000000, not in [1, 1024]"));
}

TEST(ConfigTest, RefusesWhatItWouldComputeWrongly) {
  for (const auto& [key, value] : std::map<std::string, nlohmann::json>{{"use_mla", true},
                                                                        {"num_key_value_heads", 2},
                                                                        {"topk_method", "group_limited_greedy"},
                                                                        {"tie_word_embeddings", true},
                                                                        {"rope_scaling", {{"factor", 2}}}}) {
    nlohmann::json json = Minimal();
    json[key] = value;
    EXPECT_THAT(ErrorOf(json), HasSubstr("'" + key + "'"));
  }
}

TEST(ConfigTest, RefusesValuesThatDoNotFitEachOther) {
  nlohmann::json json = Minimal();
  json["num_attention_heads"] = 7;
  EXPECT_THAT(ErrorOf(json), HasSubstr("'hidden_size' is not a multiple of the heads"));
  json = Minimal();
  json["num_experts_per_tok"] = 65;
  EXPECT_THAT(ErrorOf(json), HasSubstr("'num_experts_per_tok' exceeds n_routed_experts"));
}

TEST(ConfigTest, RefusesTextThatIsNoJson) {
  EXPECT_THROW(ParseModelConfig("{", "c.json"), InputError);
  EXPECT_THROW(ParseModelConfig("[]", "c.json"), InputError);
}

}  // namespace
}  // namespace dsocr::model
