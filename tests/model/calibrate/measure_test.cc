#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
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

  // Its calls scatter so much that no number of them is enough.
  Point Jittery(const std::string& name, double seconds) {
    const auto call = std::make_shared<size_t>(0);
    return {"gemm", name, {}, [this, name, seconds, call](Bench&) -> Body {
              return [this, name, seconds, call] {
                constexpr double kGolden = 0.618033988749895;  // fills 0 to 1 evenly, however many calls
                calls_.push_back(name);
                now_s_ += seconds * (0.5 + std::fmod(static_cast<double>((*call)++) * kGolden, 1));
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

Suite OneGroup(std::vector<Point> points) { return {.groups = {std::move(points)}}; }

Bench CpuBench() { return Bench(at::kCPU, at::kBFloat16); }

TEST(Measure, LeavesTheFirstCallOut) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const Suite suite = OneGroup({machine.Operator("a", {0.1, 0.001})});

  const std::vector<MeasuredPoint> points =
      Measure(suite, bench, 10, machine.clock(), CpuTimer(machine.clock()), machine.probe()).points;

  ASSERT_EQ(points.size(), 1u);
  EXPECT_EQ(points[0].name, "a");
  EXPECT_NEAR(points[0].time_ns, 1e6, 1);
}

// Every other call of one takes half as long again and that of the other does not: means are 1.25 and 1 times their
// medians, and both points have the geometric mean of the two.
TEST(Measure, TakesMediansAndTheSkewOfAll) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const Suite suite = OneGroup({machine.Operator("steady", {0.01}), machine.Operator("skewed", {0.1, 0.03, 0.02})});

  const std::vector<MeasuredPoint> points =
      Measure(suite, bench, 20, machine.clock(), CpuTimer(machine.clock()), machine.probe()).points;

  ASSERT_EQ(points.size(), 2u);
  EXPECT_NEAR(points[0].time_ns, 1e7 * std::sqrt(1.25), 2e4);
  EXPECT_NEAR(points[1].time_ns, 2e7 * std::sqrt(1.25), 4e4);
}

// A lost core for a whole call counts as a call of two medians.
TEST(Measure, OneLongCallIsNoPropertyOfAnOperator) {
  FakeMachine machine;
  Bench bench = CpuBench();
  int visits = 0;
  const Point point = {"gemm", "a", {}, [&](Bench& on) -> Body {
                         return machine.Operator("a", {0.01, ++visits == 1 ? 1.0 : 0.01, 0.01}).prepare(on);
                       }};

  const Measurement measured =
      Measure(OneGroup({point}), bench, 200, machine.clock(), CpuTimer(machine.clock()), machine.probe());

  ASSERT_EQ(measured.points.size(), 1u);
  EXPECT_GT(measured.points[0].time_ns, 1e7);
  EXPECT_LT(measured.points[0].time_ns, 1.21e7);
}

TEST(Measure, PointWithoutTimeForASecondCallIsNoPoint) {
  FakeMachine machine;
  Bench bench = CpuBench();

  EXPECT_TRUE(Measure(OneGroup({machine.Operator("a", {3})}), bench, 4, machine.clock(), CpuTimer(machine.clock()),
                      machine.probe())
                  .points.empty());

  EXPECT_EQ(machine.calls().size(), 1u);
}

// No call follows another of the same operator: it would find what it works on in the caches.
TEST(Measure, TakesPointsOfAGroupInTurn) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const Suite suite = OneGroup({machine.Operator("a", {0.01}), machine.Operator("b", {0.01})});

  Measure(suite, bench, 100, machine.clock(), CpuTimer(machine.clock()), machine.probe());

  const std::vector<std::string> first(machine.calls().begin(), machine.calls().begin() + 6);
  EXPECT_EQ(first, (std::vector<std::string>{"a", "b", "a", "b", "a", "b"}));  // the first two are not counted
}

TEST(Measure, TakesAFewSamplesOfAllThatIsUsualBeforeTheRest) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const Suite suite = {
      .groups = {{machine.Operator("a", {0.01})}, {machine.Operator("b", {0.01})}, {machine.Operator("rare", {0.01})}},
      .usual = 2};

  Measure(suite, bench, 100, machine.clock(), CpuTimer(machine.clock()), machine.probe());

  std::string calls;
  for (const std::string& call : machine.calls()) {
    calls += call.front();
  }
  // A first call of each visit is wasted: one sample of each, then two and two.
  EXPECT_EQ(calls.substr(0, 16), "aabbaaabbbaaabbb");
  EXPECT_EQ(calls.substr(16), "rrrrrrrrr");
}

TEST(Measure, AGroupWhoseMediansAreKnownIsLeftAlone) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const Suite suite = {.groups = {{machine.Operator("known", {0.01}), machine.Operator("known too", {0.02})},
                                  {machine.Operator("steady", {0.01}), machine.Jittery("jittery", 0.01)}}};

  Measure(suite, bench, 4, machine.clock(), CpuTimer(machine.clock()), machine.probe());

  const auto calls = [&](const char* name) { return std::ranges::count(machine.calls(), name); };
  EXPECT_EQ(calls("known"), 9);  // three visits: a wasted call and two samples each
  EXPECT_EQ(calls("known too"), 9);
  EXPECT_GT(calls("jittery"), 100);
  EXPECT_EQ(calls("steady"), calls("jittery")) << "a neighbour of what is not known";
}

TEST(Measure, GroupsGetSamplesByTheRootOfWhatTheyCost) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const Suite suite = {.groups = {{machine.Jittery("long", 0.16)}, {machine.Jittery("short", 0.01)}}};

  Measure(suite, bench, 60, machine.clock(), CpuTimer(machine.clock()), machine.probe());

  const auto calls = [&](const char* name) { return static_cast<double>(std::ranges::count(machine.calls(), name)); };
  EXPECT_NEAR(calls("short") / calls("long"), 4, 0.5);
}

// As on a GPU: a call of the device, and what the host did to start it.
TEST(Measure, KeepsWhatTheHostTookApart) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const Suite suite = OneGroup({machine.Operator("a", {0.1})});
  const Clock clock = machine.clock();
  const Timer timer = [&clock](const Body& body) {
    const double start_s = clock();
    body();
    const double seconds = clock() - start_s;
    return Burst{.wall_s = 16 * seconds, .call_s = seconds, .host_s = seconds / 4};
  };

  const std::vector<MeasuredPoint> points = Measure(suite, bench, 100, clock, timer, machine.probe()).points;

  ASSERT_EQ(points.size(), 1u);
  EXPECT_NEAR(points[0].host_ns, points[0].time_ns / 4, 1);
}

TEST(Measure, StartsNothingThatWouldEndAfterTheBudget) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const Suite suite = OneGroup({machine.Operator("a", {0.7}), machine.Operator("b", {0.1})});

  const auto points = Measure(suite, bench, 2.5, machine.clock(), CpuTimer(machine.clock()), machine.probe()).points;

  EXPECT_LE(machine.now_s(), 1002.5);
  EXPECT_EQ(points.size(), 2u);
}

TEST(Measure, JudgesANewPointByTheLargestOneSeen) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const Suite suite =
      OneGroup({machine.Operator("a", {0.5}, 1'000'000'000), machine.Operator("too long", {50}, 100'000'000'000),
                machine.Operator("b", {0.1}, 200'000'000)});

  const auto points = Measure(suite, bench, 5, machine.clock(), CpuTimer(machine.clock()), machine.probe()).points;

  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[1].name, "b");
}

TEST(Measure, WhatStartsALibraryKeepsNoLargerPointOut) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const Suite suite =
      OneGroup({machine.Operator("first", {1, 0.01}, 20'000'000), machine.Operator("second", {0.05}, 1'000'000'000),
                machine.Operator("large", {2}, 50'000'000'000)});

  const auto points = Measure(suite, bench, 12, machine.clock(), CpuTimer(machine.clock()), machine.probe()).points;

  ASSERT_EQ(points.size(), 3u);
  EXPECT_EQ(points[2].name, "large");
}

TEST(Measure, GivesNothingWithoutABudget) {
  FakeMachine machine;
  Bench bench = CpuBench();

  EXPECT_TRUE(Measure(OneGroup({machine.Operator("a", {0.1})}), bench, 0, machine.clock(), CpuTimer(machine.clock()),
                      machine.probe())
                  .points.empty());
  EXPECT_TRUE(machine.calls().empty());
}

TEST(Measure, RepeatsWhatWasMeasuredWhileTheDeviceWasSlow) {
  FakeMachine machine;
  Bench bench = CpuBench();
  // The second probe, after two calls of 1.5 s, is slow: the first samples do not count.
  const Suite suite = OneGroup({machine.Operator("a", {1.5})});

  const Measurement measured =
      Measure(suite, bench, 100, machine.clock(), CpuTimer(machine.clock()), machine.probe({100, 300, 100}));

  ASSERT_EQ(measured.points.size(), 1u);
  EXPECT_GT(measured.discarded_share, 0);
  EXPECT_LT(measured.discarded_share, 0.5);
  EXPECT_EQ(measured.speed.gemm_ns, 100);
  EXPECT_EQ(measured.speed.copy_ns, 50);
}

TEST(Measure, TakesOnlyQuietSamplesForAPoint) {
  FakeMachine machine;
  Bench bench = CpuBench();
  // A visit is a warm call and two samples, with a probe before each of them: disturbed ones take 9 s.
  int visits = 0;
  const Point point = {"gemm", "a", {}, [&](Bench& on) -> Body {
                         return machine.Operator("a", {++visits == 1 ? 9.0 : 3.0}).prepare(on);
                       }};

  const Measurement measured = Measure(OneGroup({point}), bench, 200, machine.clock(), CpuTimer(machine.clock()),
                                       machine.probe({100, 300, 300, 100}));

  ASSERT_EQ(measured.points.size(), 1u);
  EXPECT_NEAR(measured.points[0].time_ns, 3e9, 1);
}

TEST(Measure, APointThatWasNeverLeftAloneHasTheMedianOfAllItsSamples) {
  FakeMachine machine;
  Bench bench = CpuBench();
  // There is time for one sample of "a", between the first two probes; "b" goes on while the device is fast.
  const Suite suite = OneGroup({machine.Operator("a", {3, 5}), machine.Jittery("b", 0.1)});

  const Measurement measured =
      Measure(suite, bench, 17.5, machine.clock(), CpuTimer(machine.clock()), machine.probe({300, 300, 100}));

  ASSERT_EQ(measured.points.size(), 2u);
  EXPECT_NEAR(measured.points[0].time_ns, 5e9, 0.2e9);  // times the skew of "b"
  EXPECT_GT(measured.discarded_share, 0);
}

TEST(SpeedLog, AStretchIsAsSlowAsTheSlowerOfItsProbes) {
  SpeedLog log;
  log.Add({100, 50});
  EXPECT_EQ(log.Slowdown(log.stretch()), 1);
  log.Add({120, 55});
  log.Add({100, 77});
  EXPECT_DOUBLE_EQ(log.Slowdown(0), 1.2);
  EXPECT_DOUBLE_EQ(log.Slowdown(1), 1.4);
  EXPECT_EQ(log.Median().gemm_ns, 100);
  EXPECT_EQ(log.Median().copy_ns, 55);
}

TEST(SpeedLog, WhatIsFasterLaterMakesWhatWasEarlierSlow) {
  SpeedLog log;
  log.Add({130, 50});
  EXPECT_EQ(log.Slowdown(0), 1);
  log.Add({100, 50});
  log.Add({100, 50});
  EXPECT_DOUBLE_EQ(log.Slowdown(0), 1.3);
}

TEST(SpeedProbe, TimesAProductAndACopy) {
  const Speed speed = SpeedProbe(at::kCPU).Measure();
  EXPECT_GT(speed.gemm_ns, 0);
  EXPECT_GT(speed.copy_ns, 0);
}

}  // namespace
}  // namespace dsocr::model
