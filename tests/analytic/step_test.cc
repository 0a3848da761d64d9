#include "analytic/step.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "analytic/cost_model.h"
#include "analytic/module/builder.h"
#include "analytic/module/tree.h"
#include "analytic/prediction.h"
#include "gtest/gtest.h"

namespace dsocr::analytic {
namespace {

constexpr HostCosts kHost = {.launch_ns = 5000, .latency_ns = 2000, .sync_ns = 3000};
constexpr int kLayers = 5;

// Slots: 0; five layers of 1 (the host reads its result), 2 and 3 (one leaf); 4; 5 (the host always reads it).
ModuleTree SmallTree() {
  const LeafOperator anything = {CategoryId::kElementwise, [](const Frame&) { return Elementwise{}; }};
  ModuleTree tree;
  TreeBuilder builder(&tree, {.name = "root"});
  const auto decode = builder.OpenStage({.name = "decode", .repetition = Repetition::kFor, .repeats_with_passes = true},
                                        Stage::kDecode, FrameSet::kDecode);
  builder.Leaf({.name = "embed", .operators = {anything}});
  {
    const auto layers = builder.OpenGroup({.name = "layer"}, {0, 1, 2, 3, 4});
    builder.Leaf({.name = "route", .operators = {anything}, .host_wait = HostWait::kUnlessReplayed});
    builder.Leaf({.name = "experts", .operators = {anything, anything}});
  }
  builder.Leaf({.name = "norm", .operators = {anything}});
  builder.Leaf({.name = "sample", .operators = {anything}, .host_wait = HostWait::kAlways});
  return tree;
}

std::vector<size_t> SlotsOfAPass() {
  std::vector<size_t> order = {0};
  for (int layer = 0; layer < kLayers; ++layer) {
    order.insert(order.end(), {1, 2, 3});
  }
  order.insert(order.end(), {4, 5});
  return order;
}

// The two clocks, kernel by kernel.
struct Clocks {
  double host_ns = 0;
  double device_ns = 0;
  std::vector<double> idle_ns = std::vector<double>(6);

  void Launch(double kernel_ns, size_t slot) {
    host_ns += kHost.launch_ns;
    const double start_ns = std::max(host_ns + kHost.latency_ns, device_ns);
    idle_ns[slot] += start_ns - device_ns;
    device_ns = start_ns + kernel_ns;
  }
  void Wait() { host_ns = std::max(host_ns, device_ns) + kHost.sync_ns; }
};

Clocks RunEager(const std::vector<DeviceCall>& calls, int passes, double lead) {
  Clocks clocks;
  clocks.device_ns = lead;
  for (int pass = 0; pass < passes; ++pass) {
    for (const size_t slot : SlotsOfAPass()) {
      for (int kernel = 0; kernel < static_cast<int>(calls[slot].launches); ++kernel) {
        clocks.Launch(calls[slot].device_ns / calls[slot].launches, slot);
      }
      if (slot == 1 || slot == 5) {
        clocks.Wait();
      }
    }
  }
  return clocks;
}

struct Outcome {
  std::vector<double> idle_ns = std::vector<double>(6);
  double lead = 0;
};

Outcome RunPlan(const std::vector<DeviceCall>& calls, const Frame& frame, double lead) {
  const StepPlan plan(SmallTree(), FrameSet::kDecode);
  EXPECT_EQ(plan.slots(), 6);
  std::vector<uint32_t> itself(6);
  std::iota(itself.begin(), itself.end(), 0U);
  StepPlan::Scratch scratch;
  Outcome outcome;
  outcome.lead = plan.Run(calls, itself.data(), frame, kHost, lead, &scratch, outcome.idle_ns.data());
  return outcome;
}

TEST(StepPlan, GivesWhatTwoClocksGiveKernelByKernel) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> kernel_ns(8.5, 1.5);  // around 5 us, as long as a launch
  std::uniform_int_distribution<int> launches(0, 9);
  std::uniform_int_distribution<int> passes(1, 40);
  std::uniform_real_distribution<double> leads(-1e4, 1e6);
  for (int trial = 0; trial < 3000; ++trial) {
    std::vector<DeviceCall> calls;
    for (int slot = 0; slot < 6; ++slot) {
      const int n = launches(random);
      calls.push_back({n * kernel_ns(random), static_cast<double>(n)});
    }
    calls[1] = {4000, 1};  // what the host waits for runs
    calls[5] = {4000, 1};
    const Frame frame = {.passes = passes(random)};
    const double lead = leads(random);
    const Clocks clocks = RunEager(calls, static_cast<int>(frame.passes), lead);
    const Outcome outcome = RunPlan(calls, frame, lead);
    const double scale = 1e-9 * clocks.device_ns;
    for (size_t slot = 0; slot < 6; ++slot) {
      ASSERT_NEAR(outcome.idle_ns[slot], clocks.idle_ns[slot], scale) << "slot " << slot << " of trial " << trial;
    }
    ASSERT_NEAR(outcome.lead, clocks.device_ns - clocks.host_ns, scale);
  }
}

// Waits and kernels are all of the time there is.
TEST(StepPlan, WaitsAndKernelsSumToTheTime) {
  const std::vector<DeviceCall> calls = {{1000, 1}, {9000, 2}, {700, 1}, {800, 1}, {40'000, 1}, {500, 3}};
  const Clocks clocks = RunEager(calls, 7, 0);
  const Outcome outcome = RunPlan(calls, {.passes = 7}, 0);
  double sum_ns = 0;
  for (const size_t slot : SlotsOfAPass()) {
    sum_ns += 7 * calls[slot].device_ns;
  }
  for (const double idle_ns : outcome.idle_ns) {
    sum_ns += idle_ns;
  }
  EXPECT_NEAR(sum_ns, clocks.device_ns, 1e-6);
}

TEST(StepPlan, AReplayIsOneLaunch) {
  const std::vector<DeviceCall> calls = {{1000, 1}, {2000, 1}, {3000, 2}, {500, 1}, {700, 1}, {900, 1}};
  const Frame frame = {.passes = 10, .is_replayed = true};
  const Outcome outcome = RunPlan(calls, frame, -kHost.sync_ns);
  // The device waits for each replay alone: sampling is launched while the graph runs.
  EXPECT_NEAR(outcome.idle_ns[0], 10 * SyncIdleNs(kHost), 1e-6);
  EXPECT_EQ(std::accumulate(outcome.idle_ns.begin() + 1, outcome.idle_ns.end(), 0.0), 0);
  EXPECT_EQ(outcome.lead, -kHost.sync_ns);
}

TEST(StepPlan, KnowsWhatFollowsAWait) {
  const StepPlan plan(SmallTree(), FrameSet::kDecode);
  const auto follows = [&plan](bool is_replayed) {
    std::vector<bool> of_slot;
    for (size_t slot = 0; slot < plan.slots(); ++slot) {
      of_slot.push_back(plan.FollowsWait(slot, is_replayed));
    }
    return of_slot;
  };
  EXPECT_EQ(follows(false), (std::vector<bool>{true, false, true, false, false, false}));
  EXPECT_EQ(follows(true), (std::vector<bool>{true, false, false, false, false, false}));
}

ModuleFigures DecodeOf(const Workload& workload, const Device& device) {
  const auto prediction = Predict(ModelSpec(), workload, device);
  EXPECT_TRUE(prediction.ok()) << prediction.status();
  return prediction->modules[static_cast<size_t>(prediction->module_of_range.at("decode"))].figures;
}

// One token at a time no kernel takes as long as its launch; of a large batch the layers' products do.
TEST(Predict, OneRequestWaitsForTheHostAndManyDoNot) {
  Workload workload = *FindWorkload("dsocr-standard-v1");
  const Device device = *FindDevice("h100-sxm");
  const ModuleFigures one = DecodeOf(workload, device);
  EXPECT_EQ(one.bound, Bound::kLaunch);
  EXPECT_GT(one.idle_ns, 0.4 * one.time_ns);
  // The host is never done sooner than with all launches.
  EXPECT_GT(one.time_ns, static_cast<double>(one.launches) * device.launch_ns);
  EXPECT_LT(one.time_ns, 1.2 * static_cast<double>(one.launches) * device.launch_ns);
  workload.batch = 4096;
  const ModuleFigures many = DecodeOf(workload, device);
  EXPECT_LT(many.idle_ns, 0.15 * many.time_ns);
  EXPECT_NE(many.bound, Bound::kLaunch);
}

TEST(Predict, GraphsSpareTheLaunchesOfDecode) {
  Workload workload = *FindWorkload("dsocr-standard-v1");
  const Device device = *FindDevice("h100-sxm");
  const ModuleFigures eager = DecodeOf(workload, device);
  workload.cuda_graphs = true;
  const ModuleFigures replayed = DecodeOf(workload, device);
  EXPECT_LT(replayed.time_ns, 0.5 * eager.time_ns);
  EXPECT_NEAR(replayed.idle_ns, 63 * SyncIdleNs(HostOf(device)), 1e-3);  // 64 tokens, the first of them by prefill
  EXPECT_GT(replayed.io_bytes, eager.io_bytes);                          // experts are copied, spans padded
}

TEST(Predict, ACpuHasNoGraphsAndWaitsForNobody) {
  Workload workload = *FindWorkload("dsocr-standard-v1");
  EXPECT_EQ(DecodeOf(workload, *FindDevice("cpu")).idle_ns, 0);
  workload.cuda_graphs = true;
  EXPECT_EQ(Predict(ModelSpec(), workload, *FindDevice("cpu")).status().message(),
            "cuda_graphs: device 'cpu' has none; choose a GPU or leave it out");
}

// Of what a GPU waits, the part behind synchronisations is that of as many as there are: one a layer of experts and
// one a token.
TEST(Predict, EachSynchronisationCostsItsWait) {
  const Workload workload = *FindWorkload("dsocr-standard-v1");
  const Device device = *FindDevice("h100-sxm");
  double sync_idle_ns = 0;
  for (const CategoryFigures& category : DecodeOf(workload, device).operators) {
    EXPECT_LE(category.sync_idle_ns, category.idle_ns);
    EXPECT_LE(category.idle_ns, category.time_ns);
    sync_idle_ns += category.sync_idle_ns;
  }
  EXPECT_NEAR(sync_idle_ns, 63 * 12 * SyncIdleNs(HostOf(device)), 1e-3);
}

}  // namespace
}  // namespace dsocr::analytic
