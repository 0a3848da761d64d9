// What being recorded costs a decode step: one process, one full-size request, the agent toggled from token to token.
//
//   dsocrctl launch -- build/tests/decode_overhead [PAIRS]
//
// Prints a JSON object: pairs, the median step in ms with and without recording, and the median of the pairs' ratios.
// Neighbouring tokens are a pair, each the other way round than the last, so that drift of the machine and growth of
// the cache cancel.
#include <ATen/ATen.h>
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "model/generate.h"
#include "model/image/preprocess.h"
#include "model/load.h"
#include "model/memory.h"
#include "model/synthetic.h"

namespace {

using namespace dsocr::model;
using Switch = void (*)();

constexpr int kSide = 512;
constexpr int64_t kPromptTokens = 128;
constexpr int kDefaultPairs = 60;

// Times the steps between tokens and switches the agent at each.
class Toggler : public Observer {
 public:
  Toggler(Switch pause, Switch resume) : pause_(pause), resume_(resume) {}

  void See(const std::string& name, const at::Tensor&) override {
    if (name != "step_logits") {
      return;
    }
    const auto now = std::chrono::steady_clock::now();
    if (step_ > 0) {
      step_ms_.push_back(std::chrono::duration<double, std::milli>(now - last_).count());
    }
    (IsRecorded(step_) ? resume_ : pause_)();
    ++step_;
    last_ = std::chrono::steady_clock::now();
  }

  // Steps go on, off | off, on | on, off | …
  static bool IsRecorded(size_t step) { return step % 4 == 0 || step % 4 == 3; }

  // The first step, which no token precedes, is left out by See.
  const std::vector<double>& step_ms() const { return step_ms_; }

 private:
  Switch pause_;
  Switch resume_;
  size_t step_ = 0;
  std::chrono::steady_clock::time_point last_;
  std::vector<double> step_ms_;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  KeepFreedMemory();
  const int pairs = argc > 1 ? std::atoi(argv[1]) : kDefaultPairs;
  const auto pause = reinterpret_cast<Switch>(dlsym(RTLD_DEFAULT, "dsocr_agent_pause"));
  const auto resume = reinterpret_cast<Switch>(dlsym(RTLD_DEFAULT, "dsocr_agent_resume"));
  if (pairs < 1 || pause == nullptr || resume == nullptr) {
    std::fprintf(stderr, "decode_overhead: error: no agent here; start it with 'dsocrctl launch -- decode_overhead'\n");
    return 2;
  }
  const c10::InferenceMode inference;
  ModelConfig config;
  config.preprocess.crop_mode = false;
  config.preprocess.image_size = kSide;
  const LoadedModel loaded = LoadModel(config, std::nullopt, /*seed=*/0, at::kBFloat16, at::kCPU);
  const int image_tokens = LayoutTokens({kSide, kSide}, config.preprocess).image_tokens();
  const Request request = loaded.model->Prepare(MakeViews(SyntheticPage({kSide, kSide}), config.preprocess),
                                                SyntheticPrompt(config, image_tokens, kPromptTokens));
  const int64_t tokens = 2 * pairs + 1;
  KvCache cache = loaded.model->MakeCache(kPromptTokens + tokens);
  Toggler toggler(pause, resume);
  Generator(*loaded.model).Run(request, cache, {.max_new_tokens = tokens}, Probe(&toggler, ""));

  std::vector<double> on, off, ratios;
  const std::vector<double>& step_ms = toggler.step_ms();
  for (size_t step = 0; step + 1 < step_ms.size(); step += 2) {
    const bool first_is_on = Toggler::IsRecorded(step);
    on.push_back(step_ms[first_is_on ? step : step + 1]);
    off.push_back(step_ms[first_is_on ? step + 1 : step]);
    ratios.push_back(on.back() / off.back());
  }
  std::printf("{\"pairs\": %zu, \"recorded_ms\": %.3f, \"paused_ms\": %.3f, \"ratio_median\": %.4f}\n", ratios.size(),
              Median(on), Median(off), Median(ratios));
  return 0;
}
