#include "tests/fake/fake_torch_cuda.h"

#include <utility>

// The declarations of ATen/cuda/CUDAGraph.h, so that the compiler gives them the names and the calling convention.
enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal };

namespace at::cuda {

using MempoolId_t = std::pair<unsigned long long, unsigned long long>;

MempoolId_t graph_pool_handle() {
  FakeTorchCudaCalls().push_back("graph_pool_handle()");
  return {0, 7};
}

struct CUDAGraph {
  CUDAGraph(bool keep_graph);
  ~CUDAGraph();
  void capture_begin(MempoolId_t pool, cudaStreamCaptureMode mode);
  void capture_end();
  void replay();

  std::string name;
};

CUDAGraph::CUDAGraph(bool keep_graph) : name("graph") {
  FakeTorchCudaCalls().push_back("CUDAGraph(" + std::to_string(keep_graph) + ")");
}

CUDAGraph::~CUDAGraph() { FakeTorchCudaCalls().push_back(name + ".~CUDAGraph()"); }

void CUDAGraph::capture_begin(MempoolId_t pool, cudaStreamCaptureMode mode) {
  FakeTorchCudaCalls().push_back(name + ".capture_begin({" + std::to_string(pool.first) + ", " +
                                 std::to_string(pool.second) + "}, " + std::to_string(mode) + ")");
}

void CUDAGraph::capture_end() { FakeTorchCudaCalls().push_back(name + ".capture_end()"); }

void CUDAGraph::replay() { FakeTorchCudaCalls().push_back(name + ".replay()"); }

}  // namespace at::cuda

std::vector<std::string>& FakeTorchCudaCalls() {
  static std::vector<std::string> calls;
  return calls;
}
