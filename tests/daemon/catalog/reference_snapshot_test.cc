// The snapshot that another project took of the real model: where it is, every class of it has a category of its own.
#include <filesystem>
#include <map>
#include <string>

#include "daemon/catalog/operator_snapshot.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::catalog {
namespace {

TEST(ReferenceSnapshot, LeavesNoClassInOther) {
  const absl::StatusOr<v1::TargetOperatorList> list =
      LoadOperatorSnapshot(std::filesystem::weakly_canonical(DSOCR_SHARED_DIR "/reference/torchinfo").string());
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->operators_size(), 29);
  std::map<std::string, std::string> categories;  // by the bare name
  for (const v1::OperatorSpec& spec : list->operators()) {
    categories[spec.class_name()] = spec.default_category_id();
  }
  const std::map<std::string, std::string> expected = {
      {"Attention", "attention"},
      {"Block", "gemm"},
      {"CLIPVisionEmbeddings", "embedding"},
      {"Conv2d", "conv"},
      {"DeepseekOCRModel", "gemm"},
      {"DeepseekV2DecoderLayer", "gemm"},
      {"DeepseekV2MLP", "gemm"},
      {"DeepseekV2MoE", "gemm"},
      {"DeepseekV2RMSNorm", "norm"},
      {"Embedding", "embedding"},
      {"GELU", "activation"},
      {"ImageEncoderViT", "gemm"},
      {"LayerNorm", "norm"},
      {"LayerNorm2d", "norm"},
      {"Linear", "gemm"},
      {"LlamaFlashAttention2", "attention"},
      {"LlamaRotaryEmbedding", "rope"},
      {"MLPBlock", "gemm"},
      {"MlpProjector", "gemm"},
      {"MoEGate", "gemm"},
      {"ModuleList", "gemm"},
      {"NoTPAttention", "attention"},
      {"NoTPFeedForward", "gemm"},
      {"NoTPTransformer", "gemm"},
      {"NoTPTransformerBlock", "gemm"},
      {"PatchEmbed", "conv"},
      {"Sequential", "conv"},
      {"SiLU", "activation"},
      {"VitModel", "gemm"},
  };
  EXPECT_EQ(categories, expected);
}

}  // namespace
}  // namespace dsocr::catalog
