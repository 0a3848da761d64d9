// What being recorded costs a decode step: one process, one full-size request, the agent toggled from token to token.
//
//   dsocrctl launch -- build/tests/decode_overhead [BLOCKS]
//
// Prints a JSON object: the median step in ms with and without recording, and the median over blocks of recorded /
// paused. A block is four tokens, recorded, paused, paused, recorded: two pairs, each the other way round, so that
// drift of the machine and growth of the cache cancel.
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
constexpr int kBlock = 4;  // steps: recorded, paused, paused, recorded
constexpr int kDefaultBlocks = 60;

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

  static bool IsRecorded(size_t step) { return step % kBlock == 0 || step % kBlock == kBlock - 1; }

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
  const int blocks = argc > 1 ? std::atoi(argv[1]) : kDefaultBlocks;
  const auto pause = reinterpret_cast<Switch>(dlsym(RTLD_DEFAULT, "dsocr_agent_pause"));
  const auto resume = reinterpret_cast<Switch>(dlsym(RTLD_DEFAULT, "dsocr_agent_resume"));
  if (blocks < 1 || pause == nullptr || resume == nullptr) {
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
  const int64_t tokens = kBlock * blocks + 1;
  KvCache cache = loaded.model->MakeCache(kPromptTokens + tokens);
  Toggler toggler(pause, resume);
  Generator(*loaded.model).Run(request, cache, {.max_new_tokens = tokens}, Probe(&toggler, ""));

  std::vector<double> on, off, ratios;
  const std::vector<double>& step_ms = toggler.step_ms();
  for (size_t step = 0; step + kBlock <= step_ms.size(); step += kBlock) {
    double recorded = 0, paused = 0;
    for (size_t i = step; i < step + kBlock; ++i) {
      (Toggler::IsRecorded(i) ? on : off).push_back(step_ms[i]);
      (Toggler::IsRecorded(i) ? recorded : paused) += step_ms[i];
    }
    ratios.push_back(recorded / paused);
  }
  std::printf("{\"pairs\": %zu, \"recorded_ms\": %.3f, \"paused_ms\": %.3f, \"ratio_median\": %.4f}\n",
              2 * ratios.size(), Median(on), Median(off), Median(ratios));
  return 0;
}
