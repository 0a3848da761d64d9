// How often `validate --baseline` finds a planted slow-down, and how often it raises a false alarm, in recorded noise.
//
// usage: validate_power RECORDING [TRIALS [BLOCK]]
//
// A trial draws a baseline and a run of 30 repeats each, in blocks of BLOCK consecutive ones, makes one main module
// slower and asks for the verdict. TRIALS for each module and slow-down, and five times as many without any. Seeded by
// the trial's number: the table is the same each time.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "daemon/validate/regression.h"
#include "fmt/format.h"
#include "tests/daemon/validate/recorded_noise.h"

namespace dsocr::validate {
namespace {

constexpr int kRepeats = 30;
constexpr double kMainShare = 0.03;
constexpr double kLargeShare = 0.1;
constexpr double kSlowDowns[] = {0.02, 0.05, 0.10};

struct Score {
  int trials = 0;
  int found = 0;
  int named = 0;  // the module itself, or one below or above it on the same path

  void Add(const Score& other) {
    trials += other.trials;
    found += other.found;
    named += other.named;
  }
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

void PrintRow(const std::string& what, double by, const Score& score) {
  const auto percent = [&](int count) { return 100.0 * count / score.trials; };
  fmt::print("| {} | {:.0f} % | {} | {:.1f} % | {:.1f} % |\n", what, 100 * by, score.trials, percent(score.found),
             percent(score.named));
  std::fflush(stdout);
}

void PrintTable(const v1::RunRepeats& recording, int trials, int block) {
  fmt::print("| module | slow-down | trials | found | named |\n| --- | ---: | ---: | ---: | ---: |\n");
  for (const double by : kSlowDowns) {
    Score small;
    Score large;
    for (const auto& [module, share] : MainModules(recording, kMainShare)) {
      Score score{.trials = trials};
      for (int trial = 0; trial < trials; ++trial) {
        const v1::RegressionVerdict verdict = Trial(recording, block, static_cast<uint64_t>(trial), module, by);
        score.found += verdict.is_regression() ? 1 : 0;
        score.named += verdict.is_regression() && IsOnPath(verdict.module_id(), module) ? 1 : 0;
      }
      PrintRow(fmt::format("{}, {:.1f} % of the request", module, 100 * share), by, score);
      (share < kLargeShare ? small : large).Add(score);
    }
    PrintRow("all of 3 to 10 % of the request", by, small);
    PrintRow("all of 10 to 50 %", by, large);
    small.Add(large);
    PrintRow("all", by, small);
  }
  const int quiet_trials = 5 * trials;
  int alarms = 0;
  for (int trial = 0; trial < quiet_trials; ++trial) {
    alarms += Trial(recording, block, static_cast<uint64_t>(1'000'000 + trial), "", 0).is_regression() ? 1 : 0;
  }
  fmt::print("\nfalse alarms: {} of {}\n", alarms, quiet_trials);
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
