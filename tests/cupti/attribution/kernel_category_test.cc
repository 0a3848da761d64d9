#include "cupti/attribution/kernel_category.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "cupti/attribution/operator_category.h"

namespace dsocr::attribution {
namespace {

std::string_view Kernel(std::string_view name) { return kCategories[static_cast<size_t>(KernelCategory(name))]; }

using Cases = std::vector<std::pair<const char*, const char*>>;  // name, category

void ExpectCategories(const Cases& cases) {
  for (const auto& [name, category] : cases) {
    EXPECT_EQ(Kernel(name), category) << name;
  }
}

TEST(KernelCategoryTest, NinetyEightOfAHundredRealNamesAreRight) {
  std::ifstream file(DSOCR_SOURCE_DIR "/tests/golden/kernel_names.tsv");
  int names = 0;
  int wrong = 0;
  for (std::string line; std::getline(file, line);) {
    if (line[0] == '#') {
      continue;
    }
    const size_t tab = line.find('\t');
    const std::string name = line.substr(tab + 1);
    ++names;
    if (Kernel(name) != line.substr(0, tab)) {
      ++wrong;
      std::printf("%s, not %s: %s\n", std::string(Kernel(name)).c_str(), line.substr(0, tab).c_str(), name.c_str());
    }
  }
  EXPECT_GE(names, 700);
  EXPECT_LE(wrong, names / 50);
}

TEST(KernelCategoryTest, Products) {
  ExpectCategories({
      {"nvjet_tst_128x256_64x4_2x1_v_bz_coopA_TNT", "gemm"},
      {"sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1", "gemm"},
      {"ampere_fp16_s16816gemm_fp16_128x128_ldg8_relu_f2f_stages_32x5_tn", "gemm"},
      {"void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_relu_bf16_256x128_32x3_tn_align8>(T1::Params)",
       "gemm"},
      {"void cutlass::device_kernel<cutlass::gemm::kernel::GemmUniversal<cutlass::epilogue::thread::SiLu>>(P)", "gemm"},
      {"void cublasLt::splitKreduce_kernel<32, 16, int, float, __nv_bfloat16>(cublasLt::cublasSplitKParams)", "gemm"},
      {"void epilogue::impl::globalKernel<float, float, float, true, true>(int, int, long)", "gemm"},
      {"Cijk_Alik_Bljk_BBS_BH_Bias_HAS_SAV_UserArgs_MT128x64x32_MI32x32x1", "gemm"},
      {"fused_moe_kernel", "gemm"},
      {"_matmul_ogs_NNT_bf16xbf16xmxfp4_128x128x128x1_swiglu", "gemm"},
      {"void deep_gemm::sm90_fp8_gemm_1d2d_impl<0u, 2112u, 7168u, 1u>(float*)", "gemm"},
      {"std::enable_if<!(false), void>::type internal::gemvx::kernel<int, int, float>(cublasGemvParamsEx)", "gemv"},
      {"void gemv2T_kernel_val<int, int, __nv_bfloat16>(P)", "gemv"},
      {"void cutlass::Kernel2<cutlass::gemm::kernel::Gemv<float> >(P)", "gemv"},
      {"Kernel2", "gemm"},
      {"void dot_kernel<float, 128, 0, cublasDotParams<float> >(P)", "gemv"},
  });
}

TEST(KernelCategoryTest, Convolutions) {
  ExpectCategories({
      {"sm80_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize128x128x32", "conv"},
      {"void cutlass__5x_cudnn::Kernel<cutlass_tensorop_bf16_s16816fprop_optimized_bf16_128x64>(P)", "conv"},
      {"cudnn_ampere_scudnn_128x64_relu_xregs_large_nn_v1", "conv"},
      {"turing_fp16_s1688cudnn_fp16_256x128_ldg8_relu_f2f_exp_small_nhwc_tn_v1", "conv"},
      {"void cutlass::Kernel2<cutlass::conv::kernel::ImplicitGemmConvolution<cutlass::gemm::X> >(P)", "conv"},
      {"void cudnn::winograd_nonfused::winogradForwardData4x4<float, float>(P)", "conv"},
      {"void cudnn::cnn::kern_precompute_indices<false>(int*, int)", "conv"},
      {"igemm_fwd_gtcx3_nhwc_bf16_bx0_ex1_bt128x128x32", "conv"},
      // Layouts are changed, nothing is convolved.
      {"void cudnn::ops::nchwToNhwcKernel<float, float, float, false, true>(P)", "copy"},
      {"void cudnn::engines_precompiled::nhwcToNchwKernel<__nv_bfloat16, __nv_bfloat16>(P)", "copy"},
      {"batched_transpose_32x32_half", "copy"},
  });
}

TEST(KernelCategoryTest, AttentionWithItsParts) {
  ExpectCategories({
      {"void flash::flash_fwd_splitkv_combine_kernel<Flash_fwd_kernel_traits<128>>(P)", "attention"},
      {"void cutlass::device_kernel<flash::enable_sm90<flash::FlashAttnFwdSm90<cutlass::gemm::X> > >(P)", "attention"},
      {"flash::prepare_varlen_num_blocks_kernel(int, int)", "attention"},
      {"fmha_cutlassF_bf16_aligned_64x128_rf_sm80(PyTorchMemEffAttention::AttentionKernel<float>::Params)",
       "attention"},
      {"cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_7", "attention"},
      {"void vllm::paged_attention_v2_reduce_kernel<__nv_bfloat16, 128, 128, 512>(P)", "attention"},
      {"void flashinfer::BatchPrefillWithPagedKVCacheKernel<flashinfer::KernelTraits<1> >(P)", "attention"},
      {"_fwd_kernel_stage2", "attention"},
      {"triton_tem_fused_flex_attention_0", "attention"},
      // What stands beside it in the same libraries.
      {"void flashinfer::norm::RMSNormKernel<8u, __nv_bfloat16>(P)", "norm"},
      {"void flashinfer::BatchQKApplyRotaryPosIdsCosSinCacheKernel<false>(P)", "rope"},
      {"void flashinfer::sampling::TopPSamplingFromProbKernel<1024u>(P)", "sampling"},
      {"void vllm::rotary_embedding_kernel<c10::BFloat16, true>(P)", "rope"},
      {"void vllm::reshape_and_cache_flash_kernel<__nv_bfloat16>(P)", "copy"},
      {"void vllm::concat_and_cache_mla_kernel<__nv_bfloat16>(P)", "copy"},
  });
}

TEST(KernelCategoryTest, NormsSoftmaxAndActivations) {
  ExpectCategories({
      {"void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<c10::BFloat16, float>(P)", "norm"},
      {"void at::native::<unnamed>::RowwiseMomentsCUDAKernel<float>(long, T1, const T1 *)", "norm"},
      {"std::enable_if<(((8)>(0)))&&vllm::_typeConvert<c10::BFloat16>::exists, void>::type "
       "vllm::fused_add_rms_norm_kernel<c10::BFloat16, 8>(P)",
       "norm"},
      {"void cudnn::bn_fw_tr_1C11_singleread<float, 512, true, 1, 2, 0>(P)", "norm"},
      {"layer_norm_transpose_forward_kernel", "norm"},
      {"void (anonymous namespace)::softmax_warp_forward<float, float, float, 6, false, false>(P)", "softmax"},
      {"void at::native::(anonymous namespace)::cunn_SoftMaxForwardSmem<4, float>(P)", "softmax"},
      {"void vllm::act_and_mul_kernel<c10::BFloat16, &vllm::silu_kernel<c10::BFloat16>, true>(P)", "activation"},
      {"_silu_mul_fp8_quant_deep_gemm", "activation"},
  });
}

TEST(KernelCategoryTest, FunctorDecidesWhatAPointwiseLauncherDoes) {
  ExpectCategories({
      {"void at::native::vectorized_elementwise_kernel<4, at::native::GeluCUDAKernelImpl(at::TensorIteratorBase&)>(P)",
       "activation"},
      {"void at::native::vectorized_elementwise_kernel<(int)4, void at::native::<unnamed>::silu_kernel("
       "at::TensorIteratorBase &)::[lambda() (instance 1)]>(int, T2, T3)",
       "activation"},
      {"void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::BFloat16>>(P)",
       "elementwise"},
      {"void at::native::vectorized_elementwise_kernel<4, at::native::atanh_kernel_cuda(at::TensorIteratorBase&)>(P)",
       "elementwise"},
      {"void at::native::elementwise_kernel<128, 2, at::native::gpu_kernel_impl<at::native::copysign_kernel_cuda>>(P)",
       "elementwise"},
      {"void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<float>, std::array<char*, 1ul> >(P)",
       "copy"},
      {"void at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)>(P)",
       "copy"},
      {"void at::native::vectorized_elementwise_kernel<4, at::native::bfloat16tofloat32_copy_kernel_cuda(X&)>(P)",
       "copy"},
      {"void at::native::unrolled_elementwise_kernel<at::native::CUDAFunctor_add<float>, at::native::memory::"
       "LoadWithCast<2>, at::native::memory::StoreWithCast<1> >(P)",
       "elementwise"},
      {"void at::native::elementwise_kernel<128, 4, at::native::gpu_kernel_impl<at::native::masked_fill_kernel>>(P)",
       "index"},
      {"void at::native::vectorized_elementwise_kernel<4, at...", "elementwise"},
      {"elementwise_kernel", "elementwise"},
  });
}

TEST(KernelCategoryTest, TheRestOfPyTorch) {
  ExpectCategories({
      {"void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::MeanOps<float>>>(P)",
       "reduction"},
      {"void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::NormTwoOps<float>>>(P)",
       "reduction"},
      {"void at_cuda_detail::cub::DeviceScanKernel<at_cuda_detail::cub::DeviceScanPolicy<long> >(P)", "reduction"},
      {"void at::native::(anonymous namespace)::indexSelectSmallIndex<c10::BFloat16, long>(P)", "index"},
      {"void at::native::index_elementwise_kernel<128, 4, at::native::gpu_index_kernel<X>>(P)", "index"},
      {"void at::native::vectorized_gather_kernel<16, long>(char*)", "index"},
      {"void at::native::(anonymous namespace)::CatArrayBatchedCopy<at::native::OpaqueType<2u>>(P)", "copy"},
      {"void at::native::triu_tril_kernel<float, int, false, 4, false>(P)", "copy"},
      {"void at::native::sbtopk::gatherTopK<float, unsigned int, 2, false>(P)", "routing"},
      {"void cub::DeviceRadixSortOnesweepKernel<cub::DeviceRadixSortPolicy<long, float, int>::Policy800>(P)",
       "routing"},
      {"void at::cuda::kernelHistogram1D<long, long, long, 1, 2, -1>(P)", "routing"},
      {"void at::native::(anonymous namespace)::upsample_gen2d_aa_out_frame<float, float>(P)", "interpolate"},
      {"void at::native::(anonymous namespace)::max_pool_forward_nchw<float, float>(P)", "interpolate"},
      {"void at::native::(anonymous namespace)::distribution_elementwise_grid_stride_kernel<float, 4>(P)", "sampling"},
      {"void at::native::(anonymous namespace)::fused_dropout_kernel_vec<float, float, unsigned int, 1, 4>(P)",
       "elementwise"},
      {"void at::native::(anonymous namespace)::EmbeddingBag_updateOutputKernel_sum_mean<float, int>(P)", "embedding"},
  });
}

TEST(KernelCategoryTest, ExpertsAndCommunication) {
  ExpectCategories({
      {"void vllm::moe::moe_align_block_size_kernel<int>(P)", "routing"},
      {"void vllm::moe::topkGatingSoftmax<8, 64, 4, 16, int>(P)", "routing"},
      {"void vllm::moe::count_and_sort_expert_tokens_kernel<int>(P)", "routing"},
      {"void vllm::moe::moe_sum_kernel<c10::BFloat16, 6>(P)", "reduction"},
      {"ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)", "communication"},
      {"void vllm::cross_device_reduce_1stage<__nv_bfloat16, 2>(P)", "communication"},
      {"void deep_ep::intranode::dispatch<8, 768, 8192>(int4*)", "communication"},
      {"void flashinfer::trtllm_allreduce_fusion::allreduce_fusion_kernel_oneshot_lamport<X>(P)", "communication"},
  });
}

TEST(KernelCategoryTest, CopiesAndSetsAsProfilersNameThem) {
  ExpectCategories({
      {"Memcpy HtoD (Pageable -> Device)", "copy"},
      {"Memcpy DtoD (Device -> Device)", "copy"},
      {"[CUDA memcpy Device-to-Host]", "copy"},
      {"[CUDA memcpy HtoD]", "copy"},
      {"[CUDA Unified Memory memcpy HtoD]", "copy"},
      {"memcpy DtoH", "copy"},
      {"Memset (Device)", "memset"},
      {"[CUDA memset]", "memset"},
  });
}

TEST(KernelCategoryTest, DominatingOperatorOfAGeneratedKernel) {
  ExpectCategories({
      {"triton_per_fused_native_layer_norm_15", "norm"},
      {"triton_per_fused_add_embedding_native_layer_norm_0", "norm"},
      {"triton_red_fused__to_copy_add_mean_mul_pow_rsqrt_0", "norm"},
      {"triton_red_fused__softmax_masked_fill_7", "softmax"},
      {"triton_poi_fused_mul_silu_2", "activation"},
      {"triton_poi_fused_addmm_gelu_view_15", "activation"},
      {"triton_poi_fused_gelu_backward_1", "activation"},
      {"triton_poi_fused_add_addmm_view_3", "elementwise"},
      {"triton_poi_fused_convolution_1", "elementwise"},  // adds the bias
      {"triton_poi_fused__to_copy_7", "copy"},
      {"triton_poi_fused_cat_3", "copy"},
      {"triton_poi_fused_add_cat_mul_neg_slice_5", "rope"},
      {"triton_poi_fused_index_put_3", "index"},
      {"triton_poi_fused_embedding_0", "embedding"},
      {"triton_poi_fused__upsample_bicubic2d_aa_0", "interpolate"},
      {"triton_red_fused_mean_silu_14", "reduction"},
      {"triton_red_fused_argmax_0", "reduction"},
      {"triton_red_fused_mm_0", "gemv"},
      {"triton_tem_fused_addmm_relu_9", "gemm"},
      {"triton_tem_fused_convolution_2", "conv"},
      {"triton_poi_fused_0", "elementwise"},
      {"triton_mm", "gemm"},
  });
}

TEST(KernelCategoryTest, MangledNamesAreReadAsTheyStand) {
  ExpectCategories({
      {"_ZN2at6native29vectorized_elementwise_kernelILi4ENS0_11FillFunctorIfEESt5arrayIPcLm1EEEEviT0_T1_", "copy"},
      {"_ZN2at6native13reduce_kernelILi512ELi1ENS0_8ReduceOpIfNS0_14func_wrapper_tIfZNS0_11sum_functorIfffEclE",
       "reduction"},
      {"_Z27moe_align_block_size_kernelIiEvPKT_PiS3_S3_iimS3_bii", "routing"},
      {"_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi256ELi16ELb0EEEvPT0_PT_", "norm"},
      {"_ZN7ck_tile6kentryILi2ENS_38FmhaBatchPrefillWithPagedKVCacheKernelINS_1XEEEEEvv", "attention"},
      // nvcc writes the file into a nameless namespace: that it has "Activation" in it says nothing.
      {"_ZN2at6native57_GLOBAL__N__06c19b41_28_ActivationThresholdKernel_cu_ef1a713210add_kernelIfEEvPT_",
       "elementwise"},
      {"_Z6vecAddPdS_S_i", "other"},
      {"_ZN2at6native29vectorized_elementwise_kernelILi4ENS0_11FillFunctorIfEESt5arr", "copy"},  // cut off
  });
}

TEST(KernelCategoryTest, WhatNobodyKnowsIsOther) {
  ExpectCategories({{"", "other"},
                    {"my_own_kernel", "other"},
                    {"void renderCUDA<3u, 16u>(uint2 const*)", "other"},
                    {"triton__0d1d2d", "other"},
                    {"atomicity", "other"},
                    {"europe", "other"},
                    {"category_kernel", "other"}});
}

TEST(KernelCategoryTest, HostileNamesAreAnsweredSoon) {
  std::vector<std::string> names = {"_Z",
                                    "_ZN",
                                    "_Z99999999999999999999x",
                                    "_ZNL",
                                    "_ZNS",
                                    "<",
                                    ">",
                                    "(",
                                    ")",
                                    "::",
                                    "a<",
                                    "a<(",
                                    "triton_",
                                    "triton_poi_fused",
                                    "triton_poi_fused_",
                                    "triton_poi_fused__",
                                    "triton__fused",
                                    std::string("\0\xff\n", 3),
                                    "std::enable_if<",
                                    "std::enable_if<>::type "};
  for (const char* piece : {"<", "(", "<(", "a<", "::", "_", "a_", "_ZN1aI", "N", "9", "S_", "add_",
                            "(anonymous namespace)", "\xff", "gem", "St4pairIS_S_E", "triton_poi_fused_"}) {
    std::string name;
    while (name.size() < 100'000) {
      name += piece;
    }
    names.push_back(name);
    names.push_back("_Z" + name);
    names.push_back("triton_red_fused_" + name);
  }
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    std::string name(4096, '\0');
    for (char& c : name) {
      c = "<>():_ Z123NIELSTabcXY\xf0"[random() % 23];
    }
    names.push_back(i % 2 == 0 ? name : "_ZN" + name);
  }
  const auto start = std::chrono::steady_clock::now();
  for (const std::string& name : names) {
    EXPECT_LT(KernelCategory(name), static_cast<int>(kCategoryCount));
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  EXPECT_LT(elapsed.count() / static_cast<double>(names.size()), 0.05) << "seconds a name";
}

}  // namespace
}  // namespace dsocr::attribution
