// A job to be profiled: NVTX ranges of known names and ATen operators of known numbers, and nothing of ours. Usage:
// profiled_job MODE
//
//   requests N   N requests: request { vision { block[0], block[1]: mm + add each }, [an operator of the request
//   itself: mul], unknown { relu } } linked       operators without any range, for the preloaded agent killed       one
//   request, then half of a second, then SIGKILL forked       one request; a forked child runs another and exits; the
//   parent runs one more threads N    N threads, each one range "worker" with 100 operators gpu N        N requests on
//   a fake GPU (tests/fake/fake_gpu.h): request { a copy, vision { 3 kernels }, a kernel of the request itself }
//   toggled N    one request of N steps "step", recording off in every other one
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/add.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/relu.h>
#include <c10/core/InferenceMode.h>
#include <dlfcn.h>
#include <nvtx3/nvToolsExt.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/fake/fake_gpu.h"

namespace {

class Range {
 public:
  explicit Range(const char* name) { nvtxRangePushA(name); }
  ~Range() { nvtxRangePop(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};

void Block(const char* name, const at::Tensor& x) {
  const Range range(name);
  at::add(at::mm(x, x), x);
}

void RunRequest(const at::Tensor& x) {
  const Range request("request");
  {
    const Range vision("vision");
    Block("vision/block[0]", x);
    Block("vision/block[1]", x);
  }
  at::mul(x, x);
  {
    const Range unknown("not a module");
    at::relu(x);
  }
}

void RunSteps(const at::Tensor& x, int steps) {
  const Range request("request");
  // The agent is in the process or it is not: the job runs the same.
  void* agent = dlopen("libdsocr_agent.so", RTLD_NOW | RTLD_NOLOAD);
  const auto pause = agent ? reinterpret_cast<void (*)()>(dlsym(agent, "dsocr_agent_pause")) : nullptr;
  const auto resume = agent ? reinterpret_cast<void (*)()>(dlsym(agent, "dsocr_agent_resume")) : nullptr;
  for (int i = 0; i < steps; ++i) {
    if (void (*toggle)() = i % 2 == 0 ? resume : pause) {
      toggle();
    }
    const Range step("step");
    at::mul(x, x);
  }
}

template <typename Function>
Function Find(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}
#define FAKE_GPU(name) Find<decltype(&name)>(#name)

void RunOnFakeGpu(const at::Tensor& x, int requests) {
  const auto launch = FAKE_GPU(fake_gpu_launch);
  const auto copy = FAKE_GPU(fake_gpu_copy);
  const auto function = FAKE_GPU(fake_gpu_function);
  void* const stream = FAKE_GPU(fake_gpu_stream)(1, 7);
  FAKE_GPU(fake_gpu_init)();
  std::printf("%d\n", FAKE_GPU(fake_gpu_enabled_kinds)());
  for (int i = 0; i < requests; ++i) {
    const Range request("request");
    copy(FAKE_GPU_HTOD, 4096, 500, stream, FAKE_GPU_DRIVER);
    {
      const Range vision("vision");
      at::mul(x, x);  // what launches kernels on a real GPU: an operator call, and no operation of a GPU job
      launch(function("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64"), 1000, stream, FAKE_GPU_DRIVER);
      launch(function("void flash_fwd_kernel<Flash_fwd_kernel_traits<128>>(Flash_fwd_params)"), 2000, stream,
             FAKE_GPU_DRIVER);
      launch(function("some_unheard_of_kernel"), 300, stream, FAKE_GPU_DRIVER);
    }
    launch(function("void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>>(int)"), 40,
           stream, FAKE_GPU_DRIVER);
    FAKE_GPU(fake_gpu_synchronize)(stream);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  const int count = argc > 2 ? std::atoi(argv[2]) : 1;
  at::set_num_threads(1);  // OpenMP's threads do not survive a fork
  const c10::InferenceMode inference;
  const at::Tensor x = at::ones({32, 32});
  if (mode == "requests") {
    for (int i = 0; i < count; ++i) {
      RunRequest(x);
    }
  } else if (mode == "linked") {
    // Until the agent has found libtorch: it looks every 50 ms, and then needs a while on a machine that does other
    // things.
    for (int i = 0; i < 200; ++i) {
      usleep(10'000);
      at::mm(x, x);
    }
  } else if (mode == "killed") {
    RunRequest(x);
    const Range request("request");
    const Range vision("vision");
    at::mm(x, x);
    usleep(200'000);  // the agent joins the daemon meanwhile
    raise(SIGKILL);
  } else if (mode == "forked") {
    RunRequest(x);
    const pid_t child = fork();
    if (child == 0) {
      RunRequest(x);
      std::exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    RunRequest(x);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  } else if (mode == "threads") {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&x] {
        const c10::InferenceMode inference;
        const Range worker("worker");
        for (int k = 0; k < 100; ++k) {
          at::mul(x, x);
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  } else if (mode == "gpu") {
    RunOnFakeGpu(x, count);
  } else if (mode == "toggled") {
    RunSteps(x, count);
  } else {
    std::fprintf(stderr, "profiled_job: unknown mode '%s'\n", mode.c_str());
    return 2;
  }
  return 0;
}
