// Compiled against LibTorch's own header, with stand-ins for what that wants of a CUDA toolkit.
#include <ATen/cuda/CUDAGraph.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <type_traits>
#include <utility>

#include "model/cuda_graph.h"

namespace dsocr::model {
namespace {

TEST(CudaGraphSize, AnObjectOfTheLibraryFits) {
  EXPECT_LE(sizeof(at::cuda::CUDAGraph), kCudaGraphBytes);
  EXPECT_LE(alignof(at::cuda::CUDAGraph), alignof(std::max_align_t));
  // Of the return types, which a mangled name does not spell.
  static_assert(
      std::is_same_v<decltype(at::cuda::graph_pool_handle()), std::pair<unsigned long long, unsigned long long>>);
  EXPECT_EQ(cudaStreamCaptureModeThreadLocal, 1);
}

}  // namespace
}  // namespace dsocr::model
