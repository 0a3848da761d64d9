#include "daemon/catalog/models.h"

#include <string>
#include <string_view>
#include <variant>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/scratch_directory.h"

namespace dsocr::catalog {
namespace {

using analytic::ModelSpec;
using analytic::QueryEncoderSpec;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The published file of DeepSeek-OCR-2, as far as it says anything of the model: model_type is that of DeepSeek-OCR,
// and downsample_channels are a leftover of it.
constexpr std::string_view kSecondConfig = R"({
  "architectures": ["DeepseekOCR2ForCausalLM"], "model_type": "deepseek_vl_v2",
  "hidden_size": 1280, "num_hidden_layers": 12, "n_routed_experts": 64, "vocab_size": 129280,
  "projector_config": {"input_dim": 896, "n_embed": 1280, "projector_type": "linear"},
  "vision_config": {"mlp_ratio": 3.7362, "width": {
    "qwen2-0-5b": {"dim": 896},
    "sam_vit_b": {"downsample_channels": [512, 1024], "layers": 12, "width": 768}}}})";

const ModelSpec& Second() { return analytic::ModelCatalogue()[1]; }

TEST(ParseModelConfig, KnowsTheSecondModelByItsArchitectureOrItsEncoder) {
  for (const std::string_view text :
       {kSecondConfig, std::string_view(R"({"architectures": ["DeepseekOCR2ForCausalLM"]})"),
        std::string_view(R"({"vision_config": {"width": {"qwen2-0-5b": {"dim": 896}}}})")}) {
    const auto spec = ParseModelConfig(text);
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(spec->model_id, "deepseek-ai/DeepSeek-OCR-2");
    EXPECT_EQ(ModelConfigJson(*spec), ModelConfigJson(Second()));
  }
}

TEST(ParseModelConfig, TheModelTypeAloneSaysNothing) {
  const auto spec = ParseModelConfig(R"({"model_type": "deepseek_vl_v2", "architectures": 3, "vision_config": []})");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->variant, "deepseek-ocr-v1-base");
}

TEST(ParseModelConfig, ReadsTheSizesOfAQueryEncoder) {
  const auto spec = ParseModelConfig(R"({
    "vision_config": {"width": {"qwen2-0-5b": {"dim": 64}}},
    "encoder_dims": {"sam": {"downsample_channels": [40, 64]},
                     "encoder": {"layers": 2, "heads": 4, "kv_heads": 1, "ffn_hidden_size": 160,
                                 "query_tables": [9, 16, 25]}}})");
  ASSERT_TRUE(spec.ok()) << spec.status();
  const auto& encoder = std::get<QueryEncoderSpec>(spec->encoder);
  EXPECT_EQ(encoder.width, 64);
  EXPECT_EQ(encoder.layers, 2);
  EXPECT_EQ(encoder.kv_heads, 1);
  EXPECT_THAT(encoder.query_tables, ElementsAre(9, 16, 25));
  EXPECT_EQ(ModelConfigJson(*ParseModelConfig(ModelConfigJson(*spec))), ModelConfigJson(*spec));
}

TEST(ParseModelConfig, RefusesAnImpossibleQueryEncoder) {
  const auto refusal = [](const std::string& encoder) {
    const auto spec = ParseModelConfig(
        R"({"architectures": ["DeepseekOCR2ForCausalLM"], "encoder_dims": {"encoder": {)" + encoder + "}}}");
    return spec.ok() ? std::string("accepted") : std::string(spec.status().message());
  };
  EXPECT_THAT(refusal(R"("heads": 15)"), HasSubstr("encoder.heads 15: does not divide encoder.width 896"));
  EXPECT_THAT(refusal(R"("kv_heads": 4)"), HasSubstr("encoder.kv_heads 4: does not divide encoder.heads 14"));
  EXPECT_THAT(refusal(R"("heads": 128)"), HasSubstr("a head of 7 is odd"));
  EXPECT_THAT(refusal(R"("query_tables": [])"), HasSubstr("encoder.query_tables entries 0"));
  EXPECT_THAT(refusal(R"("query_tables": [256, 144])"), HasSubstr("encoder.query_tables: not ascending"));
  EXPECT_THAT(refusal(R"("query_tables": [0])"), HasSubstr("encoder_dims.encoder.query_tables[0] = 0"));
  EXPECT_THAT(refusal(R"("layers": 100000)"), HasSubstr("encoder_dims.encoder.layers = 100000"));
}

TEST(FindModel, TakesEitherNameAloneAndNoneForTheFirst) {
  EXPECT_EQ(FindModel("", "")->variant, "deepseek-ocr-v1-base");
  EXPECT_EQ(FindModel("", "deepseek-ocr-v2")->model_id, "deepseek-ai/DeepSeek-OCR-2");
  EXPECT_EQ(FindModel("deepseek-ai/DeepSeek-OCR-2", "")->variant, "deepseek-ocr-v2");
}

TEST(FindModel, SuggestsTheNearestNameAndSaysWhatDoesNotFit) {
  EXPECT_EQ(FindModel("", "deepseek-ocr-v3").status().message(),
            "no model variant 'deepseek-ocr-v3': not in the catalogue; did you mean 'deepseek-ocr-v2'? 'dsocrctl "
            "models' lists them");
  EXPECT_EQ(FindModel("no-such/model", "").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FindModel("deepseek-ai/DeepSeek-OCR", "deepseek-ocr-v2").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ChooseModel, ADirectoryHoldsTheModelThatIsNamed) {
  const ScratchDirectory scratch;
  const std::string config = scratch.Write("config.json", kSecondConfig);
  const std::string directory = scratch.path();
  EXPECT_EQ(ChooseModel("", "", directory)->spec.variant, "deepseek-ocr-v2");
  EXPECT_EQ(ChooseModel("", "deepseek-ocr-v2", directory)->config_path, config);
  const auto other = ChooseModel("", "deepseek-ocr-v1-base", directory);
  EXPECT_EQ(other.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(other.status().message()), HasSubstr("config.json' is of deepseek-ocr-v2"));
}

TEST(ChooseModel, WithoutADirectoryTheInstallationsFileIsNamed) {
  const auto model = ChooseModel("", "deepseek-ocr-v2", "");
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_TRUE(model->config_path.ends_with("/share/dsocr/deepseek-ocr-v2.json")) << model->config_path;
}

TEST(IsExecutable, IsTheFirstModelAlone) {
  EXPECT_TRUE(IsExecutable(ModelSpec()));
  EXPECT_FALSE(IsExecutable(Second()));
}

}  // namespace
}  // namespace dsocr::catalog
