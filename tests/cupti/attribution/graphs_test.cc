#include "cupti/attribution/graphs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/cupti/attribution/recording.h"

namespace dsocr::attribution {
namespace {

constexpr uint32_t kGraph = 5;

// Every module is its name's, but "warm-up" is nobody's.
Options GraphModel() {
  Options options;
  options.request_range = "request";
  options.resolve_range = [](std::string_view name) -> RangeMeaning {
    return name == "warm-up" ? RangeMeaning{} : RangeMeaning{std::string(name), ""};
  };
  return options;
}

// The model is expected to launch: norm, then two products in mlp, then a softmax beside them.
Options ModelWithStep() {
  Options options = GraphModel();
  options.expected_step = {
      {{"decode", "norm"}, {"norm"}, 1}, {{"decode", "mlp"}, {"gemm", "gemv"}, 2}, {{"decode"}, {"softmax"}, 1}};
  return options;
}

// warm-up > decode > layer > { norm: node 1, mlp: nodes 2 and 3 }
void CaptureStep(Recording& job, int64_t at_ns) {
  job.Push(at_ns, "warm-up");
  job.Push(at_ns + 1, "decode");
  job.Push(at_ns + 2, "layer");
  job.Push(at_ns + 3, "norm");
  job.Capture(kGraph, 1);
  job.Pop(at_ns + 4);
  job.Push(at_ns + 5, "mlp");
  job.Capture(kGraph, 2);
  job.Capture(kGraph, 3);
  job.Pop(at_ns + 6);
  job.Pop(at_ns + 7);
  job.Pop(at_ns + 8);
  job.Pop(at_ns + 9);
}

// norm [0,10)  mlp [20,50) [60,100)
void Replay(Recording& job, uint32_t launch, int64_t at_ns) {
  job.Replayed(launch, kGraph, 1, at_ns, at_ns + 10, "rms_norm");
  job.Replayed(launch, kGraph, 2, at_ns + 20, at_ns + 50);
  job.Replayed(launch, kGraph, 3, at_ns + 60, at_ns + 100);
}

TEST(GraphsTest, AReplaysOperationsBelongToTheirCapturedModulesBelowTheLaunch) {
  Recording job(GraphModel());
  CaptureStep(job, 100);
  job.Push(1000, "request");
  job.Push(1010, "decode");
  const uint32_t first = job.Launch(1011, kGraph, 3);
  const uint32_t second = job.Launch(1012, kGraph, 3);
  job.Pop(1020);
  job.Pop(1030);
  Replay(job, second, 3000);
  Replay(job, first, 2000);
  const Result result = job.Finish();

  EXPECT_EQ(ModuleOf(result, "norm").parent_id, "layer");
  EXPECT_EQ(ModuleOf(result, "layer").parent_id, "decode");
  EXPECT_EQ(ModuleOf(result, "decode").parent_id, "request");
  EXPECT_EQ(ModuleOf(result, "mlp").self_device_ns, 140);
  EXPECT_EQ(ModuleOf(result, "mlp").launches, 4);
  EXPECT_EQ(ModuleOf(result, "layer").device_ns, 160);
  EXPECT_EQ(ModuleOf(result, "decode").self_device_ns, 0);
  ExpectPartsAddUp(result, 160);
  ASSERT_TRUE(result.gpu.has_value());
  EXPECT_EQ(result.gpu->graphs.launches, 2);
  EXPECT_EQ(result.gpu->graphs.graphs, 1);
  EXPECT_EQ(result.gpu->graphs.operations_captured, 6);
  EXPECT_EQ(result.gpu->graphs.operations_unknown, 0);
  EXPECT_EQ(result.records_invalid, 0);
}

TEST(GraphsTest, EachCapturedEntryIsACallOfItsModuleInEachReplay) {
  Recording job(GraphModel());
  CaptureStep(job, 100);
  job.Push(1000, "request");
  job.Push(1010, "decode");
  const uint32_t first = job.Launch(1011, kGraph, 3);
  const uint32_t second = job.Launch(1012, kGraph, 3);
  job.Pop(1020);
  job.Pop(1030);
  Replay(job, first, 2000);
  Replay(job, second, 3000);
  const Result result = job.Finish();

  const ModuleSum& mlp = ModuleOf(result, "mlp");
  EXPECT_EQ(mlp.calls, 2);
  EXPECT_EQ(mlp.wall_ns, 0) << "the host was not there";
  EXPECT_EQ(mlp.busy_ns, 140);
  EXPECT_EQ(mlp.gap_ns, 20) << "10 in each call";
  EXPECT_EQ(mlp.p50_ns, 80);
  const ModuleSum& layer = ModuleOf(result, "layer");
  EXPECT_EQ(layer.calls, 2) << "it launched nothing itself";
  EXPECT_EQ(layer.gap_ns, 40);
  EXPECT_EQ(layer.p50_ns, 100);
  EXPECT_EQ(ModuleOf(result, "decode").calls, 1) << "the launch's own range, not the captured one";
  EXPECT_EQ(ModuleOf(result, "decode").gap_ns, 1100 - 160);
}

TEST(GraphsTest, AModuleEnteredTwiceInACaptureIsTwoCalls) {
  Recording job(GraphModel());
  job.Push(10, "warm-up");
  for (const uint64_t node : {1, 2}) {
    job.Push(20 + static_cast<int64_t>(node) * 10, "norm");
    job.Capture(kGraph, node);
    job.Pop(25 + static_cast<int64_t>(node) * 10);
  }
  job.Pop(60);
  job.Push(100, "request");
  const uint32_t launch = job.Launch(101, kGraph, 2);
  job.Pop(110);
  job.Replayed(launch, kGraph, 1, 200, 210);
  job.Replayed(launch, kGraph, 2, 300, 310);
  const Result result = job.Finish();
  EXPECT_EQ(ModuleOf(result, "norm").calls, 2);
  EXPECT_EQ(ModuleOf(result, "norm").gap_ns, 0);
  EXPECT_EQ(ModuleOf(result, "norm").p95_ns, 10);
}

TEST(GraphsTest, TheSameGraphLaunchedFromTwoRangesHasAPathBelowEach) {
  Options options;
  options.request_range = "request";  // the model is not known: ids are nestings
  Recording job(options);
  job.Push(10, "capture");
  job.Push(11, "norm");
  job.Capture(kGraph, 1);
  job.Pop(12);
  job.Pop(13);
  job.Push(100, "request");
  job.Push(110, "prefill");
  const uint32_t first = job.Launch(111, kGraph, 1);
  job.Pop(120);
  job.Push(130, "decode");
  const uint32_t second = job.Launch(131, kGraph, 1);
  job.Pop(140);
  job.Pop(150);
  job.Replayed(first, kGraph, 1, 200, 210);
  job.Replayed(second, kGraph, 1, 300, 320);
  const Result result = job.Finish();
  EXPECT_EQ(ModuleOf(result, "request.prefill.capture.norm").self_device_ns, 10);
  EXPECT_EQ(ModuleOf(result, "request.decode.capture.norm").self_device_ns, 20);
}

TEST(GraphsTest, PathsOfItsOwnDoNotDisturbTheAgentsNumbers) {
  Recording job(GraphModel());
  CaptureStep(job, 100);
  job.Push(1000, "request");
  job.Push(1010, "decode");
  const uint32_t launch = job.Launch(1011, kGraph, 3);
  Replay(job, launch, 2000);
  job.Push(1012, "layer");  // the agent defines these only now
  job.Push(1013, "mlp");
  job.Kernel(job.Owner(), 5000, 5007);
  job.Pop(1014);
  job.Pop(1015);
  job.Pop(1016);
  job.Pop(1017);
  const Result result = job.Finish();
  EXPECT_EQ(result.records_invalid, 0);
  EXPECT_EQ(ModuleOf(result, "mlp").self_device_ns, 77);
  EXPECT_EQ(ModuleOf(result, "mlp").calls, 2);
}

TEST(GraphsTest, OperationsThatArriveAfterTheirGraphIsGoneAreStillKnown) {
  Recording job(GraphModel());
  CaptureStep(job, 100);
  job.Push(1000, "request");
  const uint32_t launch = job.Launch(1011, kGraph, 3);
  job.Pop(1020);
  job.GraphGone(kGraph);
  Replay(job, launch, 2000);
  const Result result = job.Finish();
  EXPECT_EQ(ModuleOf(result, "mlp").self_device_ns, 70);
  EXPECT_EQ(result.gpu->graphs.operations_captured, 3);
}

TEST(GraphsTest, NumbersOfAGraphThatIsGoneMayComeAgain) {
  Recording job(GraphModel());
  CaptureStep(job, 100);
  job.GraphGone(kGraph);
  job.Push(500, "head");
  job.Capture(kGraph, 2);
  job.Pop(510);
  job.Push(1000, "request");
  const uint32_t launch = job.Launch(1011, kGraph, 1);
  job.Pop(1020);
  job.Replayed(launch, kGraph, 2, 2000, 2030);
  job.Replayed(launch, kGraph, 3, 2040, 2050);  // of the old graph: nobody's now
  const Result result = job.Finish();
  EXPECT_EQ(ModuleOf(result, "head").self_device_ns, 30);
  EXPECT_EQ(ModuleOf(result, "request").self_device_ns, 10);
  EXPECT_EQ(result.gpu->graphs.operations_unknown, 1);
}

TEST(GraphsTest, WhatNobodyCapturedBelongsToTheLaunchAndIsCounted) {
  Recording job(GraphModel());
  job.Push(1000, "request");
  job.Push(1001, "decode");
  const uint32_t launch = job.Launch(1011, kGraph);
  job.Pop(1015);
  job.Pop(1020);
  Replay(job, launch, 2000);
  const Result result = job.Finish();
  EXPECT_EQ(ModuleOf(result, "decode").self_device_ns, 80);
  EXPECT_EQ(result.gpu->graphs.operations_unknown, 3);
  EXPECT_EQ(result.gpu->graphs.inferred_confidence, 0.0);
  ExpectPartsAddUp(result, 80);
}

TEST(GraphsTest, AGraphCapturedUnseenIsAlignedWithTheExpectedStep) {
  Recording job(ModelWithStep());
  job.Push(1000, "request");
  job.Push(1001, "decode");
  std::vector<uint32_t> launches;
  for (int64_t i = 0; i < 3; ++i) {
    launches.push_back(job.Launch(1011 + i, kGraph));
  }
  job.Pop(1015);
  job.Pop(1020);
  for (int64_t i = 0; i < 3; ++i) {
    Replay(job, launches[static_cast<size_t>(i)], 2000 + 1000 * i);
    job.Replayed(launches[static_cast<size_t>(i)], kGraph, 4, 2110 + 1000 * i, 2120 + 1000 * i, "softmax");
  }
  const Result result = job.Finish();

  EXPECT_EQ(ModuleOf(result, "norm").self_device_ns, 30);
  EXPECT_EQ(ModuleOf(result, "norm").parent_id, "decode");
  EXPECT_EQ(ModuleOf(result, "norm").calls, 3);
  EXPECT_EQ(ModuleOf(result, "mlp").self_device_ns, 210);
  EXPECT_EQ(ModuleOf(result, "mlp").inferred_ns, 210);
  EXPECT_GT(ModuleOf(result, "mlp").inferred_confidence, 0.5);
  EXPECT_EQ(ModuleOf(result, "decode").self_device_ns, 30) << "the softmax";
  EXPECT_EQ(ModuleOf(result, "request").inferred_ns, 270) << "children included";
  EXPECT_EQ(result.gpu->graphs.operations_inferred, 12);
  EXPECT_EQ(result.gpu->graphs.operations_unknown, 0);
  EXPECT_GT(result.gpu->graphs.inferred_confidence, 0.5);
  ExpectPartsAddUp(result, 270);
}

TEST(GraphsTest, AnAlignedGraphIsTheSameHoweverItsReplaysArrive) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 20; ++trial) {
    Recording job(ModelWithStep());
    job.Push(1000, "request");
    job.Push(1001, "decode");
    std::vector<std::pair<uint32_t, uint64_t>> operations;
    for (int64_t i = 0; i < 6; ++i) {
      const uint32_t launch = job.Launch(1011 + i, kGraph);
      for (uint64_t node = 1; node <= 3; ++node) {
        operations.emplace_back(launch, node);
      }
    }
    job.Pop(1030);
    job.Pop(1040);
    // Buffers hold two replays each and are shuffled.
    for (auto buffer = operations.begin(); buffer != operations.end(); buffer += 6) {
      std::shuffle(buffer, buffer + 6, random);
    }
    for (const auto& [launch, node] : operations) {
      const int64_t start_ns = 1000 + 1000 * int64_t{launch} + 20 * static_cast<int64_t>(node);
      job.Replayed(launch, kGraph, node, start_ns, start_ns + 10, node == 1 ? "rms_norm" : "sgemm");
    }
    const Result result = job.Finish();
    ExpectPartsAddUp(result, 180);
    EXPECT_EQ(result.gpu->graphs.operations_inferred + result.gpu->graphs.operations_unknown, 18);
    EXPECT_EQ(ModuleOf(result, "norm").self_device_ns, 60);
    EXPECT_EQ(ModuleOf(result, "mlp").self_device_ns, 120);
    EXPECT_EQ(ModuleOf(result, "mlp").calls, 6);
  }
}

TEST(GraphsTest, NodesThatFitNoStepBelongToTheLaunch) {
  Recording job(ModelWithStep());
  job.Push(1000, "request");
  job.Push(1001, "decode");
  const uint32_t launch = job.Launch(1011, kGraph);
  job.Pop(1015);
  job.Pop(1020);
  job.Replayed(launch, kGraph, 1, 2000, 2010, "ncclDevKernel_AllReduce");
  const Result result = job.Finish();
  EXPECT_EQ(ModuleOf(result, "decode").self_device_ns, 10);
  EXPECT_EQ(ModuleOf(result, "decode").inferred_ns, 0);
  EXPECT_EQ(result.gpu->graphs.operations_unknown, 1);
}

TEST(GraphsTest, HeldBackOperationsAreOfTheirRequestThoughItIsLongOver) {
  Recording job(ModelWithStep());
  job.Push(1000, "request");
  const uint32_t launch = job.Launch(1011, kGraph);
  job.Pop(1020);
  Replay(job, launch, 2000);  // one replay: nobody can tell yet that it is complete
  for (int64_t i = 0; i < 70'000; ++i) {
    job.Push(10'000 + i * 10, "elsewhere");
    job.Pop(10'005 + i * 10);
  }
  const Result result = job.Finish();
  ASSERT_EQ(result.request_total_ns.size(), 1u);
  EXPECT_EQ(result.request_total_ns[0], 100);
  ExpectPartsAddUp(result, 80);
}

TEST(GraphsTest, NodesBeyondTheLimitAreRefusedAndUnknown) {
  Recording job(GraphModel());
  job.Push(10, "warm-up");
  job.Push(11, "mlp");
  for (uint64_t node = 1; node <= (1 << 16) + 2; ++node) {
    job.Capture(kGraph, node);
  }
  job.Pop(12);
  job.Pop(13);
  job.Push(1000, "request");
  const uint32_t launch = job.Launch(1011, kGraph);
  job.Pop(1020);
  job.Replayed(launch, kGraph, 1, 2000, 2010);
  job.Replayed(launch, kGraph, (1 << 16) + 1, 2010, 2030);
  const Result result = job.Finish();
  EXPECT_EQ(result.records_invalid, 2);
  EXPECT_EQ(ModuleOf(result, "mlp").self_device_ns, 10);
  EXPECT_EQ(ModuleOf(result, "request").self_device_ns, 20);
  EXPECT_EQ(result.gpu->graphs.operations_unknown, 1);
}

TEST(GraphsTest, ReplaysOfManyGraphsCountEveryCallOnce) {
  Recording job(GraphModel());
  constexpr uint32_t kGraphs = 300;
  job.Push(10, "warm-up");
  for (uint32_t graph = 1; graph <= kGraphs; ++graph) {
    job.Push(20 + graph * 10, "mlp");
    job.Capture(graph, graph);
    job.Pop(25 + graph * 10);
  }
  job.Pop(10'000);
  job.Push(20'000, "request");
  std::vector<std::pair<uint32_t, uint32_t>> replays;
  for (int step = 0; step < 100; ++step) {
    for (uint32_t graph = 1; graph <= kGraphs; ++graph) {
      replays.emplace_back(job.Launch(20'001, graph, 1), graph);
    }
  }
  job.Pop(30'000);
  std::mt19937 random(1);
  for (size_t i = 0; i < replays.size(); i += 1000) {
    std::shuffle(replays.begin() + static_cast<int64_t>(i), replays.begin() + static_cast<int64_t>(i) + 1000, random);
  }
  for (const auto& [launch, graph] : replays) {
    job.Replayed(launch, graph, graph, 100'000 + launch * 10, 100'005 + launch * 10);
  }
  const Result result = job.Finish();
  EXPECT_EQ(ModuleOf(result, "mlp").calls, 100 * kGraphs);
  EXPECT_EQ(result.gpu->graphs.graphs, kGraphs);
  ExpectPartsAddUp(result, 100 * kGraphs * 5);
}

}  // namespace
}  // namespace dsocr::attribution
