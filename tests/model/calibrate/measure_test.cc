#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "model/calibrate/calibrate.h"

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

  double now_s() const { return now_s_; }
  const std::vector<std::string>& calls() const { return calls_; }

 private:
  double now_s_ = 1000;
  std::vector<std::string> calls_;
};

Bench CpuBench() { return Bench(at::kCPU, at::kBFloat16); }

TEST(Measure, TakesTheMedianAndLeavesTheFirstCallOut) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const std::vector<Group> groups = {{{machine.Operator("a", {0.1, 0.003, 0.001, 0.002})}}};

  const std::vector<MeasuredPoint> points = Measure(groups, bench, 10, machine.clock());

  ASSERT_EQ(points.size(), 1u);
  EXPECT_EQ(points[0].name, "a");
  EXPECT_NEAR(points[0].time_ns, 2e6, 1);
}

TEST(Measure, PointWithoutTimeForASecondCallIsNoPoint) {
  FakeMachine machine;
  Bench bench = CpuBench();

  EXPECT_TRUE(Measure({{{machine.Operator("a", {3})}}}, bench, 4, machine.clock()).empty());

  EXPECT_EQ(machine.calls().size(), 1u);
}

TEST(Measure, TakesPointsOfAGroupInTurn) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const std::vector<Group> groups = {{{machine.Operator("a", {0.01}), machine.Operator("b", {0.01})}, 2}};

  Measure(groups, bench, 100, machine.clock());

  const std::vector<std::string> first(machine.calls().begin(), machine.calls().begin() + 6);
  EXPECT_EQ(first, (std::vector<std::string>{"a", "a", "b", "b", "a", "b"}));  // each is warmed once
}

TEST(Measure, StartsNothingThatWouldEndAfterTheBudget) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const std::vector<Group> groups = {{{machine.Operator("a", {0.7}), machine.Operator("b", {0.1})}}};

  const auto points = Measure(groups, bench, 2, machine.clock());

  EXPECT_LE(machine.now_s(), 1002);
  EXPECT_EQ(points.size(), 2u);
}

TEST(Measure, JudgesANewPointByTheSlowestRateSeen) {
  FakeMachine machine;
  Bench bench = CpuBench();
  const std::vector<Group> groups = {
      {{machine.Operator("a", {0.5}, 1'000'000'000), machine.Operator("too long", {50}, 100'000'000'000),
        machine.Operator("b", {0.1}, 200'000'000)}}};

  const auto points = Measure(groups, bench, 5, machine.clock());

  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[1].name, "b");
}

TEST(Measure, GivesNothingWithoutABudget) {
  FakeMachine machine;
  Bench bench = CpuBench();

  EXPECT_TRUE(Measure({{{machine.Operator("a", {0.1})}}}, bench, 0, machine.clock()).empty());
  EXPECT_TRUE(machine.calls().empty());
}

}  // namespace
}  // namespace dsocr::model
