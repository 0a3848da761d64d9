// Sessions without end in a PyTorch job: 4 threads in NVTX ranges and ATen operators, one that is new each time, and a
// daemon that comes, records and goes, or is gone at once. At the end the process has what it had.
//
// Usage: session_soak CYCLES. Prints one JSON line; 0 if nothing was left behind and every session had its records.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/ones.h>
#include <c10/core/InferenceMode.h>
#include <dlfcn.h>
#include <nvtx3/nvToolsExt.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "tests/cupti/agent/session_daemon.h"
#include "tests/scratch_directory.h"

namespace dsocr::agent {
namespace {

constexpr int kThreads = 4;
constexpr int kWarmUp = 5;  // cycles after which nothing may grow: the heap has its arenas, the linker its tables

class Worker {
 public:
  Worker()
      : thread_([this] {
          const c10::InferenceMode inference;
          const at::Tensor x = at::ones({8, 8});
          while (!is_over_) {
            nvtxRangePushA("request");
            at::mul(x, x);
            nvtxRangePop();
          }
        }) {}
  ~Worker() {
    is_over_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

int Run(int cycles) {
  const ScratchDirectory directory;
  setenv("XDG_RUNTIME_DIR", directory.path().c_str(), 1);
  setenv("NVTX_INJECTION64_PATH", DSOCR_BIN_DIR "/libdsocr_agent.so", 1);
  at::set_num_threads(1);
  void* const agent = dlopen(DSOCR_BIN_DIR "/libdsocr_agent.so", RTLD_NOW);
  const auto attach = agent == nullptr ? nullptr : reinterpret_cast<int (*)(int)>(dlsym(agent, "dsocr_agent_attach"));
  if (attach == nullptr) {
    return 1;
  }
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < kThreads; ++i) {
    workers.push_back(std::make_unique<Worker>());
  }
  Holdings first;
  Holdings last;
  int failed = 0;
  std::vector<double> end_ms;
  for (int cycle = 0; cycle < cycles; ++cycle) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0 ||
        !Await([&] { return attach(ends[1]) == 0; })) {
      return 1;
    }
    {
      SessionDaemon daemon(ends[0]);
      const bool has_recorded = daemon.Begin() && daemon.AwaitRecords(record::Kind::kRangePop, 100) &&
                                daemon.AwaitRecords(record::Kind::kCpuOperation, 100);
      workers[cycle % kThreads] = std::make_unique<Worker>();
      const auto start = std::chrono::steady_clock::now();
      const bool has_ended = cycle % 4 == 3 || daemon.End();  // else it is gone without a word
      end_ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
      failed += has_recorded && has_ended ? 0 : 1;
    }
    const bool is_settled = Await([&] {
      last = Holdings::OfThisProcess();
      return cycle < kWarmUp || (last.descriptors <= first.descriptors && last.threads <= first.threads &&
                                 last.mappings <= first.mappings);
    });
    failed += is_settled ? 0 : 1;
    if (cycle < kWarmUp) {
      std::this_thread::sleep_for(std::chrono::milliseconds(300));  // until the last thread of a session has ended
      first = Holdings::OfThisProcess();
    }
  }
  workers.clear();
  std::sort(end_ms.begin(), end_ms.end());
  std::printf(
      "{\"cycles\": %d, \"failed\": %d, \"median_end_ms\": %.2f, \"slowest_end_ms\": %.2f, \"descriptors\": [%zu, "
      "%zu], "
      "\"threads\": [%zu, %zu], \"mappings\": [%zu, %zu], \"resident_mib\": [%.1f, %.1f]}\n",
      cycles, failed, end_ms[end_ms.size() / 2], end_ms.back(), first.descriptors, last.descriptors, first.threads,
      last.threads, first.mappings, last.mappings, static_cast<double>(first.resident_bytes) / (1 << 20),
      static_cast<double>(last.resident_bytes) / (1 << 20));
  constexpr size_t kSlackBytes = 4 << 20;  // of the job's own allocator
  return failed == 0 && last.resident_bytes <= first.resident_bytes + kSlackBytes ? 0 : 1;
}

}  // namespace
}  // namespace dsocr::agent

int main(int argc, char** argv) { return dsocr::agent::Run(argc > 1 ? std::atoi(argv[1]) : 20); }
