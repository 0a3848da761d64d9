#include "model/cuda_graph.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "model/error.h"

namespace dsocr::model {
namespace {

// at::cuda::MempoolId_t: {0, a number that graph_pool_handle gave}.
using MempoolId = std::pair<unsigned long long, unsigned long long>;

// cudaStreamCaptureMode (cuda_runtime_api.h, CUDA 13.0). In the default mode what another thread asks of CUDA may spoil
// the capture; in a profiled process there are such threads.
enum CaptureMode : unsigned { kCaptureModeThreadLocal = 1 };

constexpr std::array<const char*, 6> kSymbols = {
    "_ZN2at4cuda17graph_pool_handleEv",                                         // graph_pool_handle()
    "_ZN2at4cuda9CUDAGraphC1Eb",                                                // CUDAGraph(bool keep_graph)
    "_ZN2at4cuda9CUDAGraphD1Ev",                                                // ~CUDAGraph()
    "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode",  // capture_begin(pool, mode)
    "_ZN2at4cuda9CUDAGraph11capture_endEv",                                     // capture_end()
    "_ZN2at4cuda9CUDAGraph6replayEv",                                           // replay()
};

// The functions behind kSymbols.
struct Library {
  MempoolId (*graph_pool_handle)();
  void (*construct)(void* graph, bool keep_graph);
  void (*destroy)(void* graph);
  void (*capture_begin)(void* graph, MempoolId pool, CaptureMode mode);
  void (*capture_end)(void* graph);
  void (*replay)(void* graph);
};

template <typename Function>
void Find(const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(RTLD_DEFAULT, symbol));
  if (function == nullptr) {
    throw InputError(ErrorCode::kFailedPrecondition, "cuda_graphs",
                     std::string("the CUDA backend of LibTorch has no ") + symbol,
                     "install the LibTorch that this program was built with, or leave cuda_graphs out");
  }
}

Library FindLibrary() {
  Library library;
  Find(kSymbols[0], library.graph_pool_handle);
  Find(kSymbols[1], library.construct);
  Find(kSymbols[2], library.destroy);
  Find(kSymbols[3], library.capture_begin);
  Find(kSymbols[4], library.capture_end);
  Find(kSymbols[5], library.replay);
  return library;
}

class CudaGraph : public DeviceGraph {
 public:
  CudaGraph(const Library& library, MempoolId pool) : library_(library), pool_(pool) {
    library_.construct(object_, /*keep_graph=*/false);
  }
  ~CudaGraph() override { library_.destroy(object_); }

  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  void Capture(const std::function<void()>& body) override {
    library_.capture_begin(object_, pool_, kCaptureModeThreadLocal);
    body();
    library_.capture_end(object_);
  }

  void Replay() override { library_.replay(object_); }

 private:
  const Library library_;
  const MempoolId pool_;
  alignas(std::max_align_t) std::byte object_[kCudaGraphBytes];
};

}  // namespace

std::span<const char* const> CudaGraphSymbols() { return kSymbols; }

MakeDeviceGraph CudaGraphs() {
  const Library library = FindLibrary();
  return [library, pool = library.graph_pool_handle()] { return std::make_unique<CudaGraph>(library, pool); };
}

c10::Stream CaptureStream(c10::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

}  // namespace dsocr::model
