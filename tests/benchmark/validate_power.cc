// How often `validate --baseline` finds a planted slow-down, and how often it raises a false alarm, in recorded noise.
//
// usage: validate_power RECORDING [TRIALS [BLOCK]]
//
// A trial draws a baseline and a run of 30 repeats each, in blocks of BLOCK consecutive ones, makes one main module
// slower and asks for the verdict. TRIALS of each slow-down, the modules in turn, and twice as many without any. Seeded
// by the trial's number: the table is the same each time.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string>
#include <utility>
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

using Scores = std::array<Score, std::size(kSlowDowns)>;

Scores Sum(const Scores& a, const Scores& b) {
  Scores sum = a;
  for (size_t i = 0; i < sum.size(); ++i) {
    sum[i].Add(b[i]);
  }
  return sum;
}

void PrintRow(const std::string& what, const Scores& scores) {
  fmt::print("| {} |", what);
  for (const Score& score : scores) {
    fmt::print(" {} and {} of {} |", score.found, score.named, score.trials);
  }
  fmt::print("\n");
}

std::vector<Scores> ScoresOf(const v1::RunRepeats& recording,
                             const std::vector<std::pair<std::string, double>>& modules, int trials, int block) {
  std::vector<Scores> scores(modules.size());
  for (size_t i = 0; i < std::size(kSlowDowns); ++i) {
    for (int trial = 0; trial < trials; ++trial) {
      const size_t at = static_cast<size_t>(trial) % modules.size();
      const std::string& module = modules[at].first;
      const v1::RegressionVerdict verdict =
          Trial(recording, block, static_cast<uint64_t>(trial), module, kSlowDowns[i]);
      const bool found = verdict.is_regression();
      scores[at][i].Add({1, found ? 1 : 0, found && IsOnPath(verdict.module_id(), module) ? 1 : 0});
    }
  }
  return scores;
}

void PrintTable(const v1::RunRepeats& recording, int trials, int block) {
  const std::vector<std::pair<std::string, double>> modules = MainModules(recording, kMainShare);
  const std::vector<Scores> scores = ScoresOf(recording, modules, trials, block);
  fmt::print("| found and named | 2 % | 5 % | 10 % |\n| --- | ---: | ---: | ---: |\n");
  Scores small{};
  Scores large{};
  for (size_t i = 0; i < modules.size(); ++i) {
    const auto& [module, share] = modules[i];
    PrintRow(fmt::format("{}, {:.1f} %", module, 100 * share), scores[i]);
    Scores& of_share = share < kLargeShare ? small : large;
    of_share = Sum(of_share, scores[i]);
  }
  PrintRow("all of 3 to 10 % of the request", small);
  PrintRow("all of 10 to 50 %", large);
  PrintRow("all", Sum(small, large));
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
