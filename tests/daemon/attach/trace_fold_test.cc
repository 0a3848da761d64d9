#include "daemon/attach/trace_fold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "tests/daemon/attach/trace_text.h"

namespace dsocr::attach {
namespace {

using attribution::ModuleSum;
using ::testing::ElementsAre;

FoldedTrace Fold(std::string text) {
  auto trace = ReadTrace(std::move(text));
  EXPECT_TRUE(trace.ok()) << trace.status();
  return *FoldTrace(*std::move(trace), {}, [] { return false; });
}

// module_id: calls, wall, device, own device in ns; operations.
std::vector<std::string> Rows(const FoldedTrace& folded) {
  std::vector<std::string> rows;
  for (const ModuleSum& module : folded.attribution.request.modules) {
    rows.push_back(module.module_id + ": " + std::to_string(module.calls) + ", " + std::to_string(module.wall_ns) +
                   ", " + std::to_string(module.device_ns) + ", " + std::to_string(module.self_device_ns) + "; " +
                   std::to_string(module.launches));
  }
  return rows;
}

std::string Event(std::string_view category, std::string_view name, int start_us, int end_us, int thread = 1) {
  return R"({"ph":"X","cat":")" + std::string(category) + R"(","name":")" + std::string(name) + R"(","pid":1,"tid":)" +
         std::to_string(thread) + ",\"ts\":" + std::to_string(start_us) +
         ",\"dur\":" + std::to_string(end_us - start_us) + "}";
}

std::string Trace(const std::vector<std::string>& events) {
  std::string text = "[";
  for (const std::string& event : events) {
    text += (text.size() > 1 ? "," : "") + event;
  }
  return text + "]";
}

TEST(TraceFoldTest, OutermostOperatorsBelongToTheInnermostModuleAroundThem) {
  const FoldedTrace folded = Fold(GoldenTrace("module_calls.json"));
  EXPECT_EQ(folded.module_calls, 3);
  EXPECT_EQ(folded.operations, 5);  // addmm is inside linear
  EXPECT_EQ(folded.attribution.request.attributed_ns, 6000 + 2250 + 3000);
  EXPECT_EQ(folded.attribution.request.unattributed_ns, 1000 + 750);  // after the module, and on the other thread
  EXPECT_EQ(folded.attribution.request.operations_unattributed, 2);
  EXPECT_EQ(folded.attribution.records_invalid, 0);
  EXPECT_THAT(Rows(folded), ElementsAre("Net_0: 1, 40000, 11250, 2250; 3",         //
                                        "Net_0.Linear_0: 1, 8000, 6000, 6000; 1",  //
                                        "Net_0.Linear_1: 1, 5000, 3000, 3000; 1"));
}

TEST(TraceFoldTest, DeviceOperationsBelongToWhereTheyWereLaunched) {
  const FoldedTrace folded = Fold(GoldenTrace("gpu.json"));
  EXPECT_EQ(folded.operations, 5);
  EXPECT_EQ(folded.without_launch, 2);  // correlation 99 and 97
  EXPECT_EQ(folded.attribution.request.attributed_ns, 9125 + 2000 + 10000);
  EXPECT_EQ(folded.attribution.request.unattributed_ns, 1000 + 500);
  EXPECT_EQ(folded.attribution.records_invalid, 0);
  EXPECT_TRUE(folded.attribution.gpu.has_value());
  EXPECT_THAT(Rows(folded), ElementsAre("prefill: 1, 100000, 21125, 10000; 3",  //
                                        "prefill.Linear_0: 1, 20000, 11125, 11125; 2"));
}

TEST(TraceFoldTest, ReadsOldTraces) {
  EXPECT_THAT(Rows(Fold(GoldenTrace("old.json"))), ElementsAre("step: 1, 30000, 6000, 6000; 1"));
}

TEST(TraceFoldTest, TheOrderOfTheFileDoesNotMatter) {
  std::vector<std::string> events = {
      Event("python_function", "nn.Module: A_0", 0, 100),
      Event("python_function", "nn.Module: B_0", 10, 40),
      Event("cpu_op", "aten::mm", 12, 20),
      Event("cpu_op", "aten::mm", 13, 15),
      Event("cpu_op", "aten::add", 50, 60),
      Event("python_function", "nn.Module: B_1", 60, 90),
      Event("cpu_op", "aten::mul", 5, 30, 2),
  };
  const std::vector<std::string> expected = Rows(Fold(Trace(events)));
  EXPECT_THAT(expected, ElementsAre("A_0: 1, 100000, 18000, 10000; 2", "A_0.B_0: 1, 30000, 8000, 8000; 1",
                                    "A_0.B_1: 1, 30000, 0, 0; 0"));
  std::mt19937 random(6);
  for (int i = 0; i < 20; ++i) {
    std::shuffle(events.begin(), events.end(), random);
    EXPECT_EQ(Rows(Fold(Trace(events))), expected);
  }
}

TEST(TraceFoldTest, AnOperatorAroundModulesIsNoOperation) {
  const FoldedTrace folded = Fold(Trace({
      Event("cpu_op", "DistributedDataParallel.forward", 0, 100),
      Event("cpu_op", "aten::to", 1, 5),
      Event("python_function", "nn.Module: A_0", 10, 50),
      Event("cpu_op", "aten::mm", 20, 30),
  }));
  EXPECT_EQ(folded.operations, 2);
  EXPECT_EQ(folded.attribution.request.unattributed_ns, 4000);
  EXPECT_THAT(Rows(folded), ElementsAre("A_0: 1, 40000, 10000, 10000; 1"));
}

TEST(TraceFoldTest, StepsOfAProfilerAreOneRange) {
  const FoldedTrace folded = Fold(Trace({
      Event("user_annotation", "ProfilerStep#8", 0, 50),
      Event("user_annotation", "ProfilerStep#10", 50, 90),
      Event("user_annotation", "ProfilerStep#x", 90, 99),
      Event("cpu_op", "aten::mm", 45, 50),
      Event("cpu_op", "aten::mm", 70, 75),
  }));
  EXPECT_THAT(Rows(folded), ElementsAre("ProfilerStep: 2, 90000, 10000, 10000; 2", "ProfilerStep#x: 1, 9000, 0, 0; 0"));
}

TEST(TraceFoldTest, RangesThatOverlapAreCut) {
  const FoldedTrace folded = Fold(Trace({
      Event("user_annotation", "a", 0, 50),
      Event("user_annotation", "b", 40, 80),
      Event("cpu_op", "aten::mm", 45, 60),
      Event("cpu_op", "aten::add", 70, 75),
  }));
  EXPECT_EQ(folded.attribution.records_invalid, 0);
  EXPECT_THAT(Rows(folded), ElementsAre("a: 1, 50000, 5000, 0; 1", "a.b: 1, 10000, 5000, 5000; 1"));
  EXPECT_EQ(folded.attribution.request.unattributed_ns, 5000);
}

TEST(TraceFoldTest, OperationsBeforeTheirLaunchFindIt) {  // the clock of a device may be off
  const FoldedTrace folded = Fold(R"([
      {"ph":"X","cat":"kernel","name":"k","ts":1,"dur":2,"args":{"correlation":3}},
      {"ph":"X","cat":"user_annotation","name":"a","tid":1,"ts":10,"dur":9},
      {"ph":"X","cat":"cuda_runtime","name":"cudaLaunchKernel","tid":1,"ts":12,"dur":1,"args":{"correlation":3}}])");
  EXPECT_THAT(Rows(folded), ElementsAre("a: 1, 9000, 2000, 2000; 1"));
}

TEST(TraceFoldTest, WhatIsTooDeepIsCountedWithWhatEnclosesIt) {
  std::vector<std::string> events;
  for (int i = 0; i < 70; ++i) {
    events.push_back(Event("user_annotation", "r" + std::to_string(i), i, 200 - i));
  }
  events.push_back(Event("cpu_op", "aten::mm", 90, 95));
  const FoldedTrace folded = Fold(Trace(events));
  EXPECT_EQ(folded.ranges_left_out, 6);
  EXPECT_EQ(folded.attribution.request.attributed_ns, 5000);
  EXPECT_EQ(folded.attribution.request.modules.back().self_device_ns, 5000);
}

TEST(TraceFoldTest, ACancelledFoldEnds) {
  auto trace = ReadTrace(R"({"traceEvents":[)" + Event("cpu_op", "aten::mm", 0, 1) + "]}");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(FoldTrace(*std::move(trace), {}, [] { return true; }).status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace dsocr::attach
