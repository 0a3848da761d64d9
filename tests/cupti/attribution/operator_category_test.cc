#include "cupti/attribution/operator_category.h"

#include <gtest/gtest.h>

namespace dsocr::attribution {
namespace {

std::string_view Aten(std::string_view name) { return kCategories[AtenCategory(name)]; }
std::string_view Kernel(std::string_view name) { return kCategories[KernelCategory(name)]; }

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

TEST(OperatorCategoryTest, KnowsKernelsOfTheUsualLibraries) {
  EXPECT_EQ(Kernel("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1"), "gemm");
  EXPECT_EQ(Kernel("nvjet_tst_128x256_64x4_2x1_v_bz_coopA_TNT"), "gemm");
  EXPECT_EQ(Kernel("void cublasLt::splitKreduce_kernel<32, 16, int, float, __nv_bfloat16>"), "gemm");
  EXPECT_EQ(Kernel("void gemv2T_kernel_val<int, int, __nv_bfloat16>"), "gemv");
  EXPECT_EQ(Kernel("sm80_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize128x128x32"), "conv");
  EXPECT_EQ(Kernel("void flash::flash_fwd_splitkv_combine_kernel<Flash_fwd_kernel_traits<128>>"), "attention");
  EXPECT_EQ(Kernel("fmha_cutlassF_bf16_aligned_64x128_rf_sm80"), "attention");
  EXPECT_EQ(Kernel("void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<c10::BFloat16, float>"),
            "norm");
  EXPECT_EQ(Kernel("void (anonymous namespace)::softmax_warp_forward<float, float, float, 6, false, false>"),
            "softmax");
  EXPECT_EQ(Kernel("void at::native::vectorized_elementwise_kernel<4, at::native::GeluCUDAKernelImpl>"), "activation");
  EXPECT_EQ(Kernel("void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::BFloat16>>"),
            "elementwise");
  EXPECT_EQ(Kernel("void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::MeanOps>>"),
            "reduction");
  EXPECT_EQ(Kernel("void at::native::(anonymous namespace)::CatArrayBatchedCopy<at::native::OpaqueType<2u>>"), "copy");
  EXPECT_EQ(Kernel("void at::native::(anonymous namespace)::indexSelectSmallIndex<c10::BFloat16, long>"), "index");
  EXPECT_EQ(Kernel("void at::native::sbtopk::gatherTopK<float, unsigned int, 2, false>"), "routing");
  EXPECT_EQ(Kernel("ncclDevKernel_AllReduce_Sum_bf16_RING_LL"), "communication");
  EXPECT_EQ(Kernel("_Z13my_own_kernelPf"), "other");
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
