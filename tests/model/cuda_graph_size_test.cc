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
  static_assert(sizeof(at::cuda::CUDAGraph) <= kCudaGraphBytes);
  static_assert(alignof(at::cuda::CUDAGraph) <= alignof(std::max_align_t));
  // Of the return types, which a mangled name does not spell.
  static_assert(
      std::is_same_v<decltype(at::cuda::graph_pool_handle()), std::pair<unsigned long long, unsigned long long>>);
  static_assert(cudaStreamCaptureModeThreadLocal == 1);
  SUCCEED();
}

}  // namespace
}  // namespace dsocr::model
