// libfake_gpu.so: preloaded into a program that runs LibTorch on its CPU, it makes of it a job on the fake GPU. Every
// outermost operator call that computes something launches one kernel, named after the operator, where it is made; one
// that reads a value back waits for the device.
//
// At the end it writes how many into the file that FAKE_GPU_TRUTH names: {"launches": 123}.
#include <ATen/record_function.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

#include "tests/fake/fake_gpu.h"

namespace {

constexpr int64_t kKernelNs = 1500;

// What only makes another view of memory, or memory: on a GPU, no kernel. And the call on which the agent measures its
// own callbacks, which computes nothing.
constexpr std::string_view kWithoutKernel[] = {"alias",
                                               "as_strided",
                                               "chunk",
                                               "contiguous",
                                               "detach",
                                               "empty",
                                               "empty_like",
                                               "empty_strided",
                                               "expand",
                                               "flatten",
                                               "item",
                                               "narrow",
                                               "permute",
                                               "reshape",
                                               "resize_",
                                               "select",
                                               "slice",
                                               "split",
                                               "squeeze",
                                               "t",
                                               "to",
                                               "transpose",
                                               "unflatten",
                                               "unsqueeze",
                                               "view",
                                               "view_as",
                                               "_local_scalar_dense",
                                               "_reshape_alias",
                                               "_unsafe_view",
                                               "dsocr_measures_itself"};

std::atomic<int64_t> launches{0};
thread_local int depth = 0;

bool HasKernel(std::string_view op) {
  return std::find(std::begin(kWithoutKernel), std::end(kWithoutKernel), op) == std::end(kWithoutKernel);
}

// As the libraries of a real device name theirs, as far as categories need it.
std::string KernelName(std::string_view op) {
  for (const std::string_view product : {"mm", "linear", "matmul", "baddbmm", "addmm"}) {
    if (op.find(product) != std::string_view::npos) {
      return "sm90_xmma_gemm_" + std::string(op);
    }
  }
  return "void at::native::" + std::string(op) + "_kernel<float>(int)";
}

std::unique_ptr<at::ObserverContext> OnStart(const at::RecordFunction& call) {
  std::string_view op = call.name();
  op.remove_prefix(std::min(op.find("::") + 2, op.size()));
  const bool reads_back = op == "item";
  if (depth++ == 0 && (reads_back || HasKernel(op))) {
    fake_gpu_init();
    static const fake_gpu_stream_t stream = fake_gpu_stream(1, 7);
    if (reads_back) {
      fake_gpu_synchronize(stream);
    } else {
      fake_gpu_launch(fake_gpu_function(KernelName(op).c_str()), kKernelNs, stream, FAKE_GPU_RUNTIME);
      launches.fetch_add(1);
    }
  }
  return nullptr;
}

void OnEnd(const at::RecordFunction&, at::ObserverContext*) { --depth; }

void WriteTruth() {
  const char* const path = std::getenv("FAKE_GPU_TRUTH");
  if (std::FILE* const file = path == nullptr ? nullptr : std::fopen(path, "w")) {
    std::fprintf(file, "{\"launches\": %lld}\n", static_cast<long long>(launches.load()));
    std::fclose(file);
  }
}

[[maybe_unused]] const auto callback = [] {
  std::atexit(WriteTruth);
  return at::addGlobalCallback(at::RecordFunctionCallback(OnStart, OnEnd).scopes({at::RecordScope::FUNCTION}));
}();

}  // namespace
