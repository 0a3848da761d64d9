// Random scenarios for tests and benchmarks: every knob, on its own or with others, sizes from all over their ranges.
#ifndef DSOCR_TESTS_ANALYTIC_WHAT_IF_RANDOM_SCENARIOS_H_
#define DSOCR_TESTS_ANALYTIC_WHAT_IF_RANDOM_SCENARIOS_H_

#include <cstdint>
#include <random>

#include "analytic/what_if/what_if.h"

namespace dsocr::analytic {

// Draws scenarios on one device. Each knob is turned in half of them; sizes are those that a model with patches of 16,
// crops of 640 and a baseline batch of one accepts, nearly always.
class RandomScenarios {
 public:
  explicit RandomScenarios(uint64_t seed) : random_(seed) {}

  Scenario Next() {
    Scenario scenario;
    if (Coin()) scenario.peak_tflops = Real(1, 4000);
    if (Coin()) scenario.memory_bandwidth_gbs = Real(10, 16000);
    if (Coin()) scenario.batch_scale = static_cast<double>(Integer(1, 64));
    if (Coin()) scenario.device = &DeviceCatalogue()[static_cast<size_t>(Integer(0, 6))];
    if (Coin() && scenario.device != nullptr && scenario.device->kind == DeviceKind::kCuda) {
      scenario.cuda_graphs = Coin();
    }
    if (Coin()) {
      scenario.page_width = Integer(200, 4000);
      scenario.page_height = Integer(200, 4000);
    }
    if (Coin()) scenario.base_size = 16 * Integer(16, 96);
    if (Coin()) {
      scenario.crop_mode = Coin();
      scenario.image_size = *scenario.crop_mode ? 640 : 16 * Integer(16, 96);
    }
    scenario.seq_len = Integer(1800, 16384);  // over any image's tokens
    if (Coin()) scenario.max_new_tokens = Integer(1, 8192);
    if (Coin()) scenario.dtype = static_cast<Precision>(Integer(0, 4));
    return scenario;
  }

  int64_t Integer(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(random_); }
  double Real(double low, double high) { return std::uniform_real_distribution<double>(low, high)(random_); }
  bool Coin() { return Integer(0, 1) == 1; }

 private:
  std::mt19937_64 random_;
};

}  // namespace dsocr::analytic

#endif  // DSOCR_TESTS_ANALYTIC_WHAT_IF_RANDOM_SCENARIOS_H_
