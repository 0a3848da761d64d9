#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "model/calibrate/measure.h"

namespace dsocr::model {
namespace {

// A machine whose operators take as long as they are told, one entry a call; the last entry repeats.
class FakeMachine {
 public:
  Clock clock() {
    return [this] { return now_s_; };
  }

  Point Operator(const std::string& name, std::vector<double> seconds, int64_t flops = 0) {
    return {"gemm", name, {.flops = flops}, [this, name, seconds](Bench&) -> Body {
              return [this, name, seconds, call = size_t{0}]() mutable {
                calls_.push_back(name);
                now_s_ += seconds[std::min(call++, seconds.size() - 1)];
              };
            }};
  }

  // As fast as told, one entry a probe; the last entry repeats.
  std::function<Speed()> probe(std::vector<double> gemm_ns = {100}) {
    return [this, gemm_ns] {
      now_s_ += 0.01;
      return Speed{gemm_ns[std::min(probes_++, gemm_ns.size() - 1)], 50};
    };
  }

  double now_s() const { return now_s_; }
  const std::vector<std::string>& calls() const { return calls_; }

 private:
  double now_s_ = 1000;
  size_t probes_ = 0;
  std::vector<std::string> calls_;
};

Suite OneGroup(std::vector<Point> points, int turns = 2) {
  Suite suite;
  suite.groups.push_back({std::move(points), turns});
  return suite;
}

Bench CpuBench() { return Bench(at::kCPU, at::kBFloat16); }

TEST(Measure, TakesTheMedianAndLeavesTheFirstCallOut) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const Suite suite = OneGroup({machine.Operator("a", {0.1, 0.003, 0.001, 0.002})}, 3);

  const std::vector<MeasuredPoint> points = Measure(suite, bench, 10, machine.clock(), machine.probe()).points;

  ASSERT_EQ(points.size(), 1u);
  EXPECT_EQ(points[0].name, "a");
  EXPECT_NEAR(points[0].time_ns, 2e6, 1);
}

TEST(Measure, PointWithoutTimeForASecondCallIsNoPoint) {
  FakeMachine machine;
  Bench bench = CpuBench();

  EXPECT_TRUE(
      Measure(OneGroup({machine.Operator("a", {3})}), bench, 4, machine.clock(), machine.probe()).points.empty());

  EXPECT_EQ(machine.calls().size(), 1u);
}

TEST(Measure, TakesPointsOfAGroupInTurn) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const Suite suite = OneGroup({machine.Operator("a", {0.01}), machine.Operator("b", {0.01})}, 2);

  Measure(suite, bench, 100, machine.clock(), machine.probe());

  const std::vector<std::string> first(machine.calls().begin(), machine.calls().begin() + 6);
  EXPECT_EQ(first, (std::vector<std::string>{"a", "a", "b", "b", "a", "b"}));  // each is warmed once
}

TEST(Measure, TakesOneSampleOfAllThatIsUsualBeforeASecond) {
  FakeMachine machine;
  Bench bench = CpuBench();
  Suite suite = OneGroup({machine.Operator("a", {0.01})}, 3);
  suite.groups.push_back({{machine.Operator("b", {0.01})}, 1});
  suite.groups.push_back({{machine.Operator("rare", {0.01})}, 1});
  suite.usual = 2;

  Measure(suite, bench, 100, machine.clock(), machine.probe());

  const std::vector<std::string> first(machine.calls().begin(), machine.calls().begin() + 12);
  EXPECT_EQ(first, (std::vector<std::string>{"a", "a", "b", "b", "a", "a", "a", "a", "b", "b", "rare", "rare"}));
}

TEST(Measure, StartsNothingThatWouldEndAfterTheBudget) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const Suite suite = OneGroup({machine.Operator("a", {0.7}), machine.Operator("b", {0.1})});

  const auto points = Measure(suite, bench, 2, machine.clock(), machine.probe()).points;

  EXPECT_LE(machine.now_s(), 1002);
  EXPECT_EQ(points.size(), 2u);
}

TEST(Measure, JudgesANewPointByTheSlowestRateSeen) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const Suite suite =
      OneGroup({machine.Operator("a", {0.5}, 1'000'000'000), machine.Operator("too long", {50}, 100'000'000'000),
                machine.Operator("b", {0.1}, 200'000'000)});

  const auto points = Measure(suite, bench, 5, machine.clock(), machine.probe()).points;

  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[1].name, "b");
}

TEST(Measure, GivesNothingWithoutABudget) {
  FakeMachine machine;
  Bench bench = CpuBench();

  EXPECT_TRUE(
      Measure(OneGroup({machine.Operator("a", {0.1})}), bench, 0, machine.clock(), machine.probe()).points.empty());
  EXPECT_TRUE(machine.calls().empty());
}

TEST(Measure, RepeatsWhatWasMeasuredWhileTheDeviceWasSlow) {
  FakeMachine machine;
  Bench bench = CpuBench();
  // The second probe, after two calls of 1.5 s, is slow: the first samples do not count.
  const Suite suite = OneGroup({machine.Operator("a", {1.5})}, 1);

  const Measurement measured = Measure(suite, bench, 100, machine.clock(), machine.probe({100, 200, 100}));

  ASSERT_EQ(measured.points.size(), 1u);
  EXPECT_GT(measured.discarded_share, 0);
  EXPECT_LT(measured.discarded_share, 0.5);
  EXPECT_EQ(measured.speed.gemm_ns, 100);
  EXPECT_EQ(measured.speed.copy_ns, 50);
}

TEST(Measure, TakesOnlyQuietSamplesForAPoint) {
  FakeMachine machine;
  Bench bench = CpuBench();
  // Visits make a warm call and a sample: disturbed ones take 9 s.
  int visits = 0;
  const Point point = {"gemm", "a", {}, [&](Bench& on) -> Body {
                         return machine.Operator("a", {++visits == 1 ? 9.0 : 3.0}).prepare(on);
                       }};

  const Measurement measured =
      Measure(OneGroup({point}, 1), bench, 200, machine.clock(), machine.probe({100, 200, 100}));

  ASSERT_EQ(measured.points.size(), 1u);
  EXPECT_NEAR(measured.points[0].time_ns, 3e9, 1);
}

TEST(Measure, ADeviceThatIsNeverQuietIsMeasuredAtItsLeastDisturbed) {
  FakeMachine machine;
  Bench bench = CpuBench();

  const Measurement measured = Measure(OneGroup({machine.Operator("a", {1})}, 1), bench, 20, machine.clock(),
                                       machine.probe({300, 100, 300, 100, 300, 100, 300, 100, 300, 100, 300, 100}));

  ASSERT_EQ(measured.points.size(), 1u);
  EXPECT_EQ(measured.discarded_share, 1);
}

TEST(SpeedLog, AStretchIsAsQuietAsTheSlowerOfItsProbes) {
  SpeedLog log;
  log.Add({100, 50});
  EXPECT_TRUE(log.IsQuiet(log.stretch()));
  log.Add({102, 51});
  EXPECT_TRUE(log.IsQuiet(0));
  log.Add({100, 53});
  EXPECT_TRUE(log.IsQuiet(0));
  EXPECT_FALSE(log.IsQuiet(1));
  EXPECT_DOUBLE_EQ(log.Slowdown(1), 1.06);
}

TEST(SpeedLog, WhatIsFasterLaterMakesWhatWasEarlierSlow) {
  SpeedLog log;
  log.Add({100, 50});
  log.Add({100, 50});
  log.Add({90, 50});
  EXPECT_FALSE(log.IsQuiet(0));
  EXPECT_EQ(log.Median().gemm_ns, 100);
}

TEST(SpeedProbe, TimesAProductAndACopy) {
  const Speed speed = SpeedProbe(at::kCPU).Measure();
  EXPECT_GT(speed.gemm_ns, 0);
  EXPECT_GT(speed.copy_ns, 0);
}

}  // namespace
}  // namespace dsocr::model
