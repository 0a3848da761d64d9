#include "cupti/attribution/operator_category.h"

#include <gtest/gtest.h>

namespace dsocr::attribution {
namespace {

std::string_view Aten(std::string_view name) { return kCategories[AtenCategory(name)]; }

TEST(OperatorCategoryTest, KnowsAtenOperatorsInEveryForm) {
  EXPECT_EQ(Aten("aten::linear"), "gemm");
  EXPECT_EQ(Aten("aten::mm"), "gemm");
  EXPECT_EQ(Aten("aten::mv"), "gemv");
  EXPECT_EQ(Aten("aten::conv2d"), "conv");
  EXPECT_EQ(Aten("aten::scaled_dot_product_attention"), "attention");
  EXPECT_EQ(Aten("aten::layer_norm"), "norm");
  EXPECT_EQ(Aten("aten::_softmax"), "softmax");
  EXPECT_EQ(Aten("aten::silu_"), "activation");
  EXPECT_EQ(Aten("aten::add_.Tensor"), "elementwise");
  EXPECT_EQ(Aten("aten::argmax"), "reduction");
  EXPECT_EQ(Aten("aten::embedding"), "embedding");
  EXPECT_EQ(Aten("aten::index_select"), "index");
  EXPECT_EQ(Aten("aten::cat"), "copy");
  EXPECT_EQ(Aten("aten::topk"), "routing");
  EXPECT_EQ(Aten("aten::_upsample_bicubic2d_aa"), "interpolate");
  EXPECT_EQ(Aten("aten::multinomial"), "sampling");
  EXPECT_EQ(Aten("my_extension::swizzle"), "other");
  EXPECT_EQ(Aten(""), "other");
  EXPECT_EQ(Aten("_"), "other");
}

TEST(OperatorCategoryTest, EveryCategoryOfTheListIsFoundByName) {
  for (size_t i = 0; i < kCategoryCount; ++i) {
    EXPECT_EQ(CategoryIndex(kCategories[i]), static_cast<int>(i));
  }
  EXPECT_EQ(CategoryIndex(""), -1);
  EXPECT_EQ(CategoryIndex("gem"), -1);
}

}  // namespace
}  // namespace dsocr::attribution
