// How often `validate --baseline` finds a planted slow-down, and how often it raises a false alarm, in recorded noise.
//
// usage: validate_power RECORDING [TRIALS [BLOCK]]
//
// A trial draws a baseline and a run of 30 repeats each, in blocks of BLOCK consecutive ones, makes one main module
// slower and asks for the verdict. TRIALS for each module and slow-down, and twice as many without any. Seeded by the
// trial's number: the table is the same each time.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "daemon/validate/regression.h"
#include "fmt/format.h"
#include "tests/daemon/validate/recorded_noise.h"

namespace dsocr::validate {
namespace {

constexpr int kRepeats = 30;
constexpr double kMainShare = 0.03;
constexpr double kSlowDowns[] = {0.02, 0.05, 0.10};

struct Score {
  int found = 0;
  int named = 0;  // the module itself, or one below or above it on the same path
};

bool IsOnPath(const std::string& a, const std::string& b) {
  return a == b || a.starts_with(b + "/") || b.starts_with(a + "/");
}

v1::RegressionVerdict Trial(const v1::RunRepeats& recording, int block, uint64_t seed, const std::string& module,
                            double by) {
  std::mt19937_64 random(seed);
  const v1::RunRepeats before = Resample(recording, kRepeats, block, &random);
  v1::RunRepeats now = Resample(recording, kRepeats, block, &random);
  SlowDown(module, by, &now);
  const absl::StatusOr<v1::RegressionVerdict> verdict = FindRegression(now, before);
  if (!verdict.ok()) {
    fmt::print(stderr, "validate_power: {}\n", std::string(verdict.status().message()));
    std::exit(1);
  }
  return *verdict;
}

void PrintTable(const v1::RunRepeats& recording, int trials, int block) {
  fmt::print("| module | slow-down | found | named |\n| --- | ---: | ---: | ---: |\n");
  for (const double by : kSlowDowns) {
    Score all;
    const std::vector<std::string> modules = MainModules(recording, kMainShare);
    for (const std::string& module : modules) {
      Score score;
      for (int trial = 0; trial < trials; ++trial) {
        const v1::RegressionVerdict verdict = Trial(recording, block, static_cast<uint64_t>(trial), module, by);
        score.found += verdict.is_regression() ? 1 : 0;
        score.named += verdict.is_regression() && IsOnPath(verdict.module_id(), module) ? 1 : 0;
      }
      fmt::print("| {} | {:.0f} % | {} | {} |\n", module, 100 * by, score.found, score.named);
      std::fflush(stdout);
      all.found += score.found;
      all.named += score.named;
    }
    const auto runs = static_cast<double>(trials) * static_cast<double>(modules.size());
    fmt::print("| all {} | {:.0f} % | {:.1f} % | {:.1f} % |\n", modules.size(), 100 * by, 100 * all.found / runs,
               100 * all.named / runs);
  }
  int alarms = 0;
  for (int trial = 0; trial < 2 * trials; ++trial) {
    alarms += Trial(recording, block, static_cast<uint64_t>(1'000'000 + trial), "", 0).is_regression() ? 1 : 0;
  }
  fmt::print("\nfalse alarms: {} of {}\n", alarms, 2 * trials);
}

}  // namespace
}  // namespace dsocr::validate

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    fmt::print(stderr, "usage: validate_power RECORDING [TRIALS [BLOCK]]\n");
    return 2;
  }
  const int trials = argc > 2 ? std::atoi(argv[2]) : 100;
  const int block = argc > 3 ? std::atoi(argv[3]) : 10;
  dsocr::validate::PrintTable(dsocr::validate::ReadRecording(argv[1]), trials, block);
  return 0;
}
