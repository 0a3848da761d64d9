// A C++ job that computes a small DeepSeek-OCR and says nothing of it: no range, no symbols that NVTX could be found
// by.
//
// usage: unranged_job MODEL_DIR [--log]
//
// The model is that of MODEL_DIR/config.json, with random weights. As the jobs in Python it says "ready" after its
// first page, then reads pages until standard input ends. With --log it keeps a log of its own: every outermost ATen
// operator with the module that called it, and says it at the end, a line each: start_ns, name, module.
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <c10/core/InferenceMode.h>
#include <poll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "model/device.h"
#include "model/generate.h"
#include "model/load.h"
#include "model/ranges.h"
#include "model/synthetic.h"

namespace {

using namespace dsocr::model;

constexpr int kNewTokens = 8;

struct LoggedOperator {
  int64_t start_ns;
  std::string name;
  const RangeName* module;  // null: none
};

class Modules : public RangeObserver {
 public:
  void Enter(const RangeName& name) override { open_.push_back(&name); }
  void Leave() override { open_.pop_back(); }
  const RangeName* innermost() const { return open_.empty() ? nullptr : open_.back(); }

 private:
  std::vector<const RangeName*> open_;
};

Modules modules;
std::vector<LoggedOperator> operators;
thread_local int operator_depth = 0;

int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

void KeepLog() {
  range_observer = &modules;
  at::addGlobalCallback(
      at::RecordFunctionCallback(
          [](const at::RecordFunction& call) -> std::unique_ptr<at::ObserverContext> {
            if (range_observer != nullptr && operator_depth++ == 0) {  // of this thread alone
              operators.push_back({NowNs(), call.name(), modules.innermost()});
            }
            return nullptr;
          },
          [](const at::RecordFunction&, at::ObserverContext*) { operator_depth -= range_observer != nullptr; })
          .scopes({at::RecordScope::FUNCTION}));
}

bool HasInputEnded() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  char byte = 0;
  return poll(&input, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

}  // namespace

int main(int count, char** arguments) {
  unsetenv("NVTX_INJECTION64_PATH");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (count < 2) {
    return 2;
  }
  std::thread([] { pause(); }).detach();  // a thread at rest, as a service has
  const c10::InferenceMode inference;
  at::set_num_threads(1);
  const ModelConfig config = LoadModelConfig(arguments[1]);
  const LoadedModel loaded = LoadModel(config, std::nullopt, /*seed=*/1, at::kFloat, at::kCPU);
  constexpr Size kPage{500, 380};
  const TokenLayout layout = LayoutTokens(kPage, config.preprocess);
  const Request request =
      loaded.model->Prepare(MakeViews(SyntheticPage(kPage), config.preprocess),
                            SyntheticPrompt(config, layout.image_tokens(), layout.image_tokens() + 8));
  KvCache cache = loaded.model->MakeCache(static_cast<int64_t>(request.ids.size()) + kNewTokens);
  const Generator generator(*loaded.model);
  if (count > 2 && std::string_view(arguments[2]) == "--log") {
    KeepLog();
  }
  generator.Run(request, cache, {.max_new_tokens = kNewTokens});
  std::puts("ready");
  std::fflush(stdout);
  while (!HasInputEnded()) {
    generator.Run(request, cache, {.max_new_tokens = kNewTokens});
  }
  for (const LoggedOperator& logged : operators) {
    std::printf("%lld\t%s\t%s\n", static_cast<long long>(logged.start_ns), logged.name.c_str(),
                logged.module == nullptr ? "" : logged.module->id().c_str());
  }
  return 0;
}
