#include "daemon/catalog/model_config.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <variant>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/scratch_directory.h"

namespace dsocr::catalog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ReadGolden(const std::string& path) {
  std::ifstream file(std::string(DSOCR_SOURCE_DIR) + "/tests/golden/" + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ParseModelConfig, ReadsEveryKeyOfAFixture) {
  const auto spec = ParseModelConfig(ReadGolden("fixtures/tiny_b/config.json"));
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->sam.layers, 3);
  EXPECT_EQ(spec->sam.width, 48);
  EXPECT_EQ(spec->sam.heads, 4);
  EXPECT_EQ(spec->sam.image_size, 256);
  EXPECT_EQ(spec->sam.window_size, 7);
  EXPECT_EQ(spec->sam.neck_channels, 28);
  EXPECT_THAT(spec->sam.global_attention_layers, ElementsAre(2));
  EXPECT_THAT(spec->sam.downsample_channels, ElementsAre(40, 72));
  EXPECT_EQ(std::get<analytic::ClipSpec>(spec->encoder).layers, 2);
  EXPECT_EQ(std::get<analytic::ClipSpec>(spec->encoder).heads, 6);
  EXPECT_EQ(std::get<analytic::ClipSpec>(spec->encoder).ffn_hidden_size, 256);
  EXPECT_EQ(std::get<analytic::ClipSpec>(spec->encoder).image_size, 56);
  EXPECT_EQ(spec->decoder.vocab_size, 768);
  EXPECT_EQ(spec->decoder.layers, 4);
  EXPECT_EQ(spec->decoder.routed_experts, 16);
  EXPECT_EQ(spec->decoder.shared_experts, 1);
  EXPECT_EQ(spec->decoder.experts_per_token, 4);
  EXPECT_EQ(spec->decoder.kv_heads, 5);
  EXPECT_DOUBLE_EQ(spec->decoder.rms_norm_eps, 1e-5);
  EXPECT_DOUBLE_EQ(spec->decoder.routed_scaling_factor, 1.25);
  EXPECT_EQ(spec->preprocess.small_image_threshold, 640);
}

TEST(ParseModelConfig, AbsentAndNullKeysKeepThePublishedValues) {
  for (const char* text : {"{}", R"({"hidden_size": null, "encoder_dims": null, "language_config": {"x": 1}})"}) {
    const auto spec = ParseModelConfig(text);
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(ModelConfigJson(*spec), ModelConfigJson(analytic::ModelSpec()));
  }
}

TEST(ParseModelConfig, KeyValueHeadsFollowTheHeadsWhereTheyAreAbsent) {
  const auto spec = ParseModelConfig(R"({"hidden_size": 64, "num_attention_heads": 4})");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->decoder.kv_heads, 4);
}

TEST(ModelConfigJson, ReadsBackEqual) {
  for (const char* fixture : {"fixtures/tiny_a/config.json", "fixtures/tiny_b/config.json"}) {
    const auto spec = ParseModelConfig(ReadGolden(fixture));
    ASSERT_TRUE(spec.ok()) << spec.status();
    const std::string json = ModelConfigJson(*spec);
    const auto again = ParseModelConfig(json);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(ModelConfigJson(*again), json);
    EXPECT_NE(json, ModelConfigJson(analytic::ModelSpec()));
  }
}

struct HostileCase {
  const char* text;
  const char* expected;
};

void PrintTo(const HostileCase& config, std::ostream* out) { *out << config.expected; }

class HostileConfig : public ::testing::TestWithParam<HostileCase> {};

TEST_P(HostileConfig, IsAnErrorThatNamesPathAndValue) {
  const auto spec = ParseModelConfig(GetParam().text);
  ASSERT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(spec.status().message()), HasSubstr(GetParam().expected));
  EXPECT_EQ(spec.status().message().find('\n'), absl::string_view::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, HostileConfig,
    ::testing::Values(
        HostileCase{"", "not JSON at byte 1"}, HostileCase{"[]", "not a JSON object"},
        HostileCase{"{\"hidden_size\": 1e999}", "out of range"}, HostileCase{"{\"a\": NaN}", "not JSON"},
        HostileCase{R"({"hidden_size": -1})", "hidden_size = -1"},
        HostileCase{R"({"hidden_size": 0})", "hidden_size = 0"},
        HostileCase{R"({"hidden_size": 1280.5})", "hidden_size = 1280.5"},
        HostileCase{R"({"hidden_size": "1280"})", "hidden_size = \"1280\""},
        HostileCase{R"({"hidden_size": 18446744073709551615})", "hidden_size = 18446744073709551615"},
        HostileCase{R"({"hidden_size": [1280]})", "hidden_size = an array"},
        HostileCase{R"({"encoder_dims": 3})", "encoder_dims = 3: an object is expected"},
        HostileCase{R"({"encoder_dims": {"sam": []}})", "encoder_dims.sam = an array"},
        HostileCase{R"({"encoder_dims": {"sam": {"width": 100}}})", "sam.heads 12: does not divide sam.width 100"},
        HostileCase{R"({"encoder_dims": {"sam": {"mlp_ratio": -4}}})", "encoder_dims.sam.mlp_ratio = -4"},
        HostileCase{R"({"encoder_dims": {"sam": {"mlp_ratio": 1.0001}}})", "is no integer"},
        HostileCase{R"({"encoder_dims": {"sam": {"global_attn_indexes": [2, 12]}}})", "there are 12 layers"},
        HostileCase{R"({"encoder_dims": {"sam": {"global_attn_indexes": [2, 2]}}})", "listed twice"},
        HostileCase{R"({"encoder_dims": {"sam": {"global_attn_indexes": [2, "x"]}}})",
                    "global_attn_indexes[1] = \"x\""},
        HostileCase{R"({"encoder_dims": {"sam": {"downsample_channels": [512]}}})", "downsample_channels"},
        HostileCase{R"({"encoder_dims": {"sam": {"img_size": 1000}}})", "encoder_dims.sam.img_size = 1000"},
        HostileCase{R"({"num_experts_per_tok": 65})", "num_experts_per_tok"},
        HostileCase{R"({"first_k_dense_replace": 13})", "first_k_dense_replace"},
        HostileCase{R"({"num_attention_heads": 256})", "a head of 5 is odd"},
        HostileCase{R"({"norm_topk_prob": 1})", "norm_topk_prob = 1"},
        HostileCase{R"({"rms_norm_eps": 0})", "rms_norm_eps = 0"},
        HostileCase{R"({"num_hidden_layers": 1000000})", "num_hidden_layers = 1000000"},
        HostileCase{R"({"preprocess": {"max_num": 100000}})", "preprocess.max_num = 100000"},
        HostileCase{R"({"preprocess": {"min_num": 10}})", "min_num"}));

TEST(ParseModelConfig, EveryTruncationIsAnError) {
  const std::string text = ModelConfigJson(analytic::ModelSpec());
  for (size_t size = 0; size + 2 <= text.size(); ++size) {  // the last byte is the newline
    EXPECT_FALSE(ParseModelConfig(text.substr(0, size)).ok()) << size;
  }
}

TEST(ParseModelConfig, SurvivesDeepNestingAndRefusesLargeFiles) {
  const std::string deep = R"({"hidden_size": )" + std::string(200'000, '[') + std::string(200'000, ']') + "}";
  EXPECT_THAT(std::string(ParseModelConfig(deep).status().message()), HasSubstr("hidden_size = an array"));
  EXPECT_THAT(std::string(ParseModelConfig(std::string((1 << 20) + 1, ' ')).status().message()), HasSubstr("bytes"));
}

class LoadModelTest : public ::testing::Test {
 protected:
  const ScratchDirectory directory_;
};

TEST_F(LoadModelTest, KnowsTheRevisionOfAHubSnapshot) {
  const auto snapshot = directory_ / "snapshots" / "0123456789abcdef0123456789abcdef01234567";
  std::filesystem::create_directories(snapshot);
  std::ofstream(snapshot / "config.json") << R"({"vocab_size": 1000})";
  for (const std::string& path : {snapshot.string(), snapshot.string() + "/"}) {
    const auto model = LoadModel(path);
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ(model->spec.decoder.vocab_size, 1000);
    EXPECT_EQ(model->config_path, (snapshot / "config.json").string());
    EXPECT_EQ(model->hf_revision, "0123456789abcdef0123456789abcdef01234567");
  }
}

TEST_F(LoadModelTest, AnyOtherDirectoryHasNoRevision) {
  directory_.Write("config.json", "{}");
  const auto model = LoadModel(directory_.path());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->hf_revision, std::nullopt);
}

TEST_F(LoadModelTest, SaysWhatIsMissing) {
  EXPECT_EQ(LoadModel(directory_.path()).status().code(), absl::StatusCode::kNotFound);
  std::filesystem::create_directory(directory_ / "config.json");
  EXPECT_EQ(LoadModel(directory_.path()).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace dsocr::catalog
