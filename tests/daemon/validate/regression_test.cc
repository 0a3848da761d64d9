#include "daemon/validate/regression.h"

#include <cmath>
#include <random>

#include "daemon/validate/baseline.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/daemon/validate/recorded_noise.h"

namespace dsocr::validate {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// Four stages of six modules. The machine's speed wanders by tens of percent, and not all of them feel it alike; each
// module has 2 % of its own.
v1::RunRepeats Noise(uint64_t seed, int repeats = 30) {
  std::mt19937_64 random(seed);
  const auto uniform = [&] { return static_cast<double>(random() >> 11) / 9007199254740992.0 - 0.5; };
  v1::RunRepeats noise;
  for (const char* stage : {"sam", "clip", "prefill", "decode"}) {
    for (int i = 0; i < 6; ++i) {
      v1::ModuleTimes& module = *noise.add_modules();
      module.set_module_id(stage + std::string("/layer") + std::to_string(i));
      module.set_operator_category(i % 2 == 0 ? "gemm" : "norm");
    }
  }
  double machine = 0;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    machine = 0.7 * machine + 0.3 * uniform();
    for (int i = 0; i < noise.modules_size(); ++i) {
      const double feels = 1.0 - 0.05 * (i % 6);
      const double ns = 1e5 * (10 + i) * std::exp(feels * machine + 0.07 * uniform());
      noise.mutable_modules(i)->add_self_time_ns(std::llround(ns));
    }
  }
  return noise;
}

v1::RegressionVerdict Compare(const v1::RunRepeats& now, const v1::RunRepeats& before) {
  const absl::StatusOr<v1::RegressionVerdict> verdict = FindRegression(now, before);
  EXPECT_TRUE(verdict.ok()) << verdict.status();
  return verdict.ok() ? *verdict : v1::RegressionVerdict();
}

TEST(RegressionTest, NamesTheModuleThatBecameSlower) {
  v1::RunRepeats now = Noise(2);
  SlowDown("decode/layer4", 0.05, &now);
  const v1::RegressionVerdict verdict = Compare(now, Noise(1));
  EXPECT_TRUE(verdict.is_regression());
  EXPECT_EQ(verdict.module_id(), "decode/layer4");
  EXPECT_EQ(verdict.operator_category(), "gemm");
  EXPECT_NEAR(verdict.change_pct(), 5, 2);
  EXPECT_LE(verdict.p_value(), 0.01);
  EXPECT_EQ(verdict.repeats(), 30);
  EXPECT_THAT(verdict.why(), StartsWith("decode/layer4 (gemm) is "));
}

TEST(RegressionTest, AWholeStageIsNamedAsOne) {
  v1::RunRepeats now = Noise(2);
  SlowDown("decode", 0.08, &now);
  EXPECT_EQ(Compare(now, Noise(1)).module_id(), "decode");
}

TEST(RegressionTest, AMachineThatIsSlowerIsNoRegression) {
  v1::RunRepeats now = Noise(2);
  for (v1::ModuleTimes& module : *now.mutable_modules()) {
    for (int64_t& ns : *module.mutable_self_time_ns()) {
      ns = ns * 3 / 2;
    }
  }
  const v1::RegressionVerdict verdict = Compare(now, Noise(1));
  EXPECT_FALSE(verdict.is_regression()) << verdict.why();
  EXPECT_GT(verdict.machine_change_pct(), Compare(Noise(2), Noise(1)).machine_change_pct() + 30);
}

TEST(RegressionTest, FasterIsNoRegressionAndMakesNoneOfTheOthers) {
  v1::RunRepeats now = Noise(2);
  SlowDown("decode/layer5", -0.3, &now);
  EXPECT_FALSE(Compare(now, Noise(1)).is_regression());
}

TEST(RegressionTest, WithItselfNothingHasChanged) {
  const v1::RunRepeats noise = Noise(1);
  EXPECT_FALSE(Compare(noise, noise).is_regression());
}

TEST(RegressionTest, WhatIsTooSmallToMatterIsNoRegression) {
  v1::RunRepeats now = Noise(1);
  SlowDown("decode/layer4", 0.01, &now);
  EXPECT_FALSE(Compare(now, Noise(1)).is_regression());
}

TEST(RegressionTest, WhatCostsTheRequestNothingIsNoRegression) {
  v1::RunRepeats now = Noise(2);
  SlowDown("decode/layer4", 0.05, &now);  // 4.7 % of the request, of which it costs 0.23 %
  const RegressionOptions more_than_that = {.min_excess = 0.004};
  EXPECT_TRUE(FindRegression(now, Noise(1))->is_regression());
  EXPECT_FALSE(FindRegression(now, Noise(1), more_than_that)->is_regression());
}

TEST(RegressionTest, TooFewRepeatsOrNoCommonModuleSaysSo) {
  const absl::Status few = FindRegression(Noise(1, 4), Noise(2)).status();
  EXPECT_THAT(std::string(few.message()), HasSubstr("4 repeats now and 30 in the baseline: at least 5"));
  v1::RunRepeats other = Noise(1);
  for (v1::ModuleTimes& module : *other.mutable_modules()) {
    module.set_module_id("other/" + module.module_id());
  }
  EXPECT_EQ(FindRegression(other, Noise(1)).status().code(), absl::StatusCode::kInvalidArgument);
}

v1::Validation ValidationOf(const v1::RunRepeats& repeats, const char* tool_version) {
  v1::Validation validation;
  validation.set_validation_id("v-1");
  v1::CaseVerdict& verdict = *validation.add_cases();
  verdict.set_name("small");
  verdict.set_passed(true);
  verdict.mutable_provenance()->set_tool_version(tool_version);
  *verdict.mutable_repeats() = repeats;
  return validation;
}

TEST(RegressionTest, AFinishedRegressionFailsTheCaseAndNamesWhatElseChanged) {
  v1::RunRepeats slower = Noise(2);
  SlowDown("prefill/layer2", 0.1, &slower);
  v1::Validation now = ValidationOf(slower, "0.2.0");
  CompareWithBaseline(ValidationOf(Noise(1), "0.1.0"), &now);
  EXPECT_FALSE(now.cases(0).passed());
  EXPECT_EQ(now.cases(0).regression().baseline_id(), "v-1");
  EXPECT_THAT(now.cases(0).why(), HasSubstr("changed since: tool_version 0.1.0 -> 0.2.0"));
}

TEST(RegressionTest, ACaseThatTheBaselineLacksIsNotJudged) {
  v1::Validation now = ValidationOf(Noise(1), "0.1.0");
  CompareWithBaseline(v1::Validation(), &now);
  EXPECT_TRUE(now.cases(0).passed());
  EXPECT_THAT(now.cases(0).regression().why(), StartsWith("not compared: "));
}

// The study of docs/validation.md in small; its table is made by validate_power.
class RecordedNoiseTest : public ::testing::Test {
 protected:
  static constexpr int kTrials = 10;
  const v1::RunRepeats recording_ =
      ReadRecording(std::string(DSOCR_SOURCE_DIR) + "/tests/golden/validate/small_cpu_repeats.csv");

  v1::RegressionVerdict Trial(uint64_t seed, const std::string& module, double by) {
    std::mt19937_64 random(seed);
    const v1::RunRepeats before = Resample(recording_, 30, 10, &random);
    v1::RunRepeats now = Resample(recording_, 30, 10, &random);
    SlowDown(module, by, &now);
    return Compare(now, before);
  }
};

TEST_F(RecordedNoiseTest, HasTwoHundredRepeats) {
  for (const v1::ModuleTimes& module : recording_.modules()) {
    EXPECT_EQ(module.self_time_ns_size(), 200) << module.module_id();
  }
}

TEST_F(RecordedNoiseTest, RaisesFewFalseAlarms) {
  int alarms = 0;
  for (uint64_t seed = 0; seed < kTrials; ++seed) {
    alarms += Trial(seed, "", 0).is_regression() ? 1 : 0;
  }
  EXPECT_LE(alarms, 1);
}

TEST_F(RecordedNoiseTest, FindsAndNamesFivePercentInAModule) {
  const std::string module = "vision/sam/block[1,3]";
  int named = 0;
  for (uint64_t seed = 0; seed < kTrials; ++seed) {
    named += Trial(seed, module, 0.05).module_id().starts_with(module) ? 1 : 0;
  }
  EXPECT_GE(named, kTrials - 2);
}

TEST_F(RecordedNoiseTest, TenPercentIsFoundInEveryMainModuleButTheNoisiest) {
  const auto modules = MainModules(recording_, 0.03);
  int named = 0;
  for (const auto& [module, share] : modules) {
    const v1::RegressionVerdict verdict = Trial(1, module, 0.10);
    const bool is_on_path = verdict.module_id().starts_with(module) || module.starts_with(verdict.module_id());
    named += verdict.is_regression() && is_on_path ? 1 : 0;
  }
  EXPECT_GE(named, static_cast<int>(modules.size()) - 2);
}

}  // namespace
}  // namespace dsocr::validate
