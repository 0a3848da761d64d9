// What being recorded costs a decode step: one process, one full-size request, the agent toggled from token to token.
//
//   dsocrctl launch -- build/tests/decode_overhead [PAIRS]
//
// Prints a JSON object: the median step in ms with and without recording, and over pairs of neighbouring tokens the
// median of recorded / paused with its 95 % interval (order statistics). Which token of a pair is recorded is drawn
// from a fixed seed: drift, the growing cache, and anything periodic on the machine fall on both alike.
#include <ATen/ATen.h>
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
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
constexpr int kDefaultPairs = 120;
constexpr unsigned kSeed = 1;

// Times the steps between tokens and switches the agent at each.
class Toggler : public Observer {
 public:
  // is_recorded: for each step.
  Toggler(Switch pause, Switch resume, const std::vector<bool>& is_recorded)
      : pause_(pause), resume_(resume), is_recorded_(is_recorded) {}

  void See(const std::string& name, const at::Tensor&) override {
    if (name != "step_logits") {
      return;
    }
    const auto now = std::chrono::steady_clock::now();
    if (is_started_) {
      step_ms_.push_back(std::chrono::duration<double, std::milli>(now - last_).count());
    }
    is_started_ = true;
    if (step_ms_.size() < is_recorded_.size()) {
      (is_recorded_[step_ms_.size()] ? resume_ : pause_)();
    }
    last_ = std::chrono::steady_clock::now();
  }

  const std::vector<double>& step_ms() const { return step_ms_; }

 private:
  Switch pause_;
  Switch resume_;
  const std::vector<bool>& is_recorded_;
  bool is_started_ = false;  // the first step, which no token precedes, is not timed
  std::chrono::steady_clock::time_point last_;
  std::vector<double> step_ms_;
};

// Two steps a pair, one of them recorded.
std::vector<bool> DrawPairs(int pairs) {
  std::minstd_rand random(kSeed);
  std::vector<bool> is_recorded;
  for (int i = 0; i < pairs; ++i) {
    const bool first = std::bernoulli_distribution(0.5)(random);
    is_recorded.push_back(first);
    is_recorded.push_back(!first);
  }
  return is_recorded;
}

// The value below which `share` of the others lie.
double Quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  return values[static_cast<size_t>(std::lround(std::clamp(place, 0.0, static_cast<double>(values.size() - 1))))];
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
  const std::vector<bool> is_recorded = DrawPairs(pairs);
  const int64_t tokens = static_cast<int64_t>(is_recorded.size()) + 1;
  KvCache cache = loaded.model->MakeCache(kPromptTokens + tokens);
  Toggler toggler(pause, resume, is_recorded);
  Generator(*loaded.model).Run(request, cache, {.max_new_tokens = tokens}, Probe(&toggler, ""));

  std::vector<double> on, off, ratios;
  const std::vector<double>& step_ms = toggler.step_ms();
  for (size_t step = 0; step + 1 < step_ms.size(); step += 2) {
    on.push_back(step_ms[is_recorded[step] ? step : step + 1]);
    off.push_back(step_ms[is_recorded[step] ? step + 1 : step]);
    ratios.push_back(on.back() / off.back());
  }
  // Of n pairs, the median lies between the order statistics at n / 2 -+ 0.98 sqrt(n) with 95 %.
  const double half_width = 0.98 / std::sqrt(static_cast<double>(ratios.size()));
  std::printf(
      "{\"pairs\": %zu, \"recorded_ms\": %.3f, \"paused_ms\": %.3f, \"ratio_median\": %.4f, "
      "\"ratio_95\": [%.4f, %.4f]}\n",
      ratios.size(), Quantile(on, 0.5), Quantile(off, 0.5), Quantile(ratios, 0.5), Quantile(ratios, 0.5 - half_width),
      Quantile(ratios, 0.5 + half_width));
  return 0;
}
