#include "cupti/attribution/attribution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/cupti/attribution/recording.h"

namespace dsocr::attribution {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Every module is its name's; "?..." is nobody's.
Options Model(int skip_requests = 0) {
  Options options;
  options.request_range = "request";
  options.skip_requests = skip_requests;
  options.resolve_range = [](std::string_view name) -> RangeMeaning {
    return name.substr(0, 1) == "?" ? RangeMeaning{} : RangeMeaning{std::string(name), name == "fc1" ? "gemm" : ""};
  };
  return options;
}

// request [100,200) { aten::mul [105,115)  block [120,180) { fc1 [130,170) { mm [131,161) } aten::add [172,178) } }
void RunCpuRequest(Recording& job, int64_t at_ns) {
  job.Push(at_ns + 100, "request");
  job.Cpu(at_ns + 105, at_ns + 115, "aten::mul", 0, 2);
  job.Push(at_ns + 120, "block");
  job.Push(at_ns + 130, "fc1");
  job.Cpu(at_ns + 131, at_ns + 161, "aten::linear", 0, 3);
  job.Pop(at_ns + 170);
  job.Cpu(at_ns + 172, at_ns + 178, "aten::add");
  job.Pop(at_ns + 180);
  job.Pop(at_ns + 200);
}

TEST(AttributionTest, GivesEachOperationToItsInnermostModule) {
  Recording job(Model());
  RunCpuRequest(job, 0);
  const Result result = job.Finish();

  EXPECT_THAT(result.request_total_ns, ElementsAre(178 - 105));
  EXPECT_EQ(result.request.total_ns, 73);
  EXPECT_EQ(result.request.operations, 3);
  ExpectPartsAddUp(result, 10 + 30 + 6);
  const ModuleSum& block = ModuleOf(result, "block");
  EXPECT_EQ(block.parent_id, "request");
  EXPECT_EQ(block.calls, 1);
  EXPECT_EQ(block.device_ns, 36);
  EXPECT_EQ(block.self_device_ns, 6);
  EXPECT_EQ(block.launches, 2);
  EXPECT_EQ(ModuleOf(result, "request").device_ns, 46);
  EXPECT_EQ(ModuleOf(result, "fc1").parent_id, "block");
  EXPECT_EQ(result.records_invalid, 0);
}

TEST(AttributionTest, WallIsBusyPlusGapAtEveryLevelOnACpu) {
  Recording job(Model());
  RunCpuRequest(job, 0);
  const Result result = job.Finish();
  EXPECT_EQ(ModuleOf(result, "fc1").wall_ns, 40);
  EXPECT_EQ(ModuleOf(result, "fc1").gap_ns, 10);
  EXPECT_EQ(ModuleOf(result, "block").wall_ns, 60);
  EXPECT_EQ(ModuleOf(result, "block").gap_ns, 24);
  for (const ModuleSum& module : result.request.modules) {
    EXPECT_EQ(module.wall_ns, module.busy_ns + module.gap_ns);
  }
  // wall = own operations + child ranges + own gap, where own gap is this gap without the children's
  const ModuleSum& block = ModuleOf(result, "block");
  EXPECT_EQ(block.wall_ns,
            block.self_device_ns + ModuleOf(result, "fc1").wall_ns + (block.gap_ns - ModuleOf(result, "fc1").gap_ns));
}

TEST(AttributionTest, TakesTheCategoryOfTheLeafElseOfTheOperator) {
  Recording job(Model());
  RunCpuRequest(job, 0);
  const Result result = job.Finish();
  ASSERT_EQ(ModuleOf(result, "block").categories.size(), 2u);
  EXPECT_EQ(ModuleOf(result, "block").categories[0].category_id, "gemm");
  EXPECT_EQ(ModuleOf(result, "block").categories[0].device_ns, 30);
  EXPECT_EQ(ModuleOf(result, "block").categories[1].category_id, "elementwise");
}

TEST(AttributionTest, CallsAProductOverOneRowGemv) {
  Options options;
  options.resolve_range = [](std::string_view range) {
    return RangeMeaning{.module_id = std::string(range), .has_one_row = range == "experts"};
  };
  Recording job(options);
  job.Push(0, "experts");
  job.Cpu(1, 4, "aten::linear");
  job.Cpu(5, 6, "aten::silu_");
  job.Pop(7);
  job.Push(8, "gate");
  job.Cpu(9, 11, "aten::linear");
  job.Pop(12);
  const Result result = job.Finish();
  ASSERT_EQ(ModuleOf(result, "experts").categories.size(), 2u);
  EXPECT_EQ(ModuleOf(result, "experts").categories[0].category_id, "gemv");
  EXPECT_EQ(ModuleOf(result, "experts").categories[0].device_ns, 3);
  EXPECT_EQ(ModuleOf(result, "gate").categories[0].category_id, "gemm");
}

TEST(AttributionTest, KeepsTheTimesOfEveryRepeatWhereAsked) {
  attribution::Options options = Model(1);
  options.keeps_repeats = true;
  Recording job(std::move(options));
  int64_t at_ns = 1000;
  for (const int64_t duration_ns : {9000, 50, 10}) {  // the first is warm-up
    job.Push(at_ns, "request");
    if (duration_ns == 10) {
      job.Push(at_ns + 1, "gate");
      job.Cpu(at_ns + 2, at_ns + 4, "aten::mm");
      job.Pop(at_ns + 7);
    }
    job.Cpu(at_ns + 8, at_ns + 10, "aten::mm");
    job.Pop(at_ns + duration_ns);
    at_ns += 10'000;
  }
  const Result result = job.Finish();
  ASSERT_EQ(result.repeats.size(), 2u);
  EXPECT_EQ(result.repeats[0].module_id, "request");
  EXPECT_THAT(result.repeats[0].time_ns, ElementsAre(50, 10));
  EXPECT_EQ(result.repeats[1].module_id, "gate");
  EXPECT_EQ(result.repeats[1].parent_id, "request");
  EXPECT_THAT(result.repeats[1].time_ns, ElementsAre(0, 6));
  EXPECT_THAT(Recording(Model(1)).Finish().repeats, IsEmpty());
}

TEST(AttributionTest, ReportsTheLowerMedianOfTheRequestsAfterWarmUp) {
  Recording job(Model(1));
  int64_t at_ns = 1000;
  for (const int64_t duration_ns : {9000, 50, 10, 40, 20}) {  // the first is warm-up; 10 20 40 50 → 20
    job.Push(at_ns, "request");
    job.Cpu(at_ns, at_ns + duration_ns, "aten::mm");
    job.Pop(at_ns + duration_ns);
    at_ns += 10'000;
  }
  const Result result = job.Finish();
  EXPECT_THAT(result.request_total_ns, ElementsAre(50, 10, 40, 20));
  EXPECT_EQ(result.request.total_ns, 20);
  EXPECT_EQ(ModuleOf(result, "request").p50_ns, 20);
  EXPECT_EQ(ModuleOf(result, "request").p95_ns, 50);
}

TEST(AttributionTest, NamesNotOfTheModelGoToTheEnclosingModuleAndAreListed) {
  Recording job(Model());
  job.Push(100, "request");
  job.Push(110, "?helper");
  job.Cpu(120, 130, "aten::mul");
  job.Pop(140);
  job.Pop(200);
  const Result result = job.Finish();
  EXPECT_THAT(result.unknown_ranges, ElementsAre("?helper"));
  EXPECT_EQ(ModuleOf(result, "request").self_device_ns, 10);
  EXPECT_EQ(result.request.modules.size(), 1u);
}

TEST(AttributionTest, WhatHasNoRangeIsUnattributedAndCountedFromRecords) {
  Recording job(Model());
  job.Cpu(50, 60, "aten::mul");  // before the request: not of it
  job.Push(100, "request");
  job.Cpu(110, 120, "aten::mul");
  job.Cpu(130, 170, "aten::mul", 1);  // another thread, no range
  job.Pop(200);
  job.Cpu(250, 260, "aten::mul");  // after it
  const Result result = job.Finish();
  EXPECT_EQ(result.request.operations, 2);
  EXPECT_EQ(result.request.operations_unattributed, 1);
  EXPECT_EQ(result.request.unattributed_ns, 40);
  ExpectPartsAddUp(result, 50);
}

TEST(AttributionTest, PathsOfAnUnknownModelAreTheNestingOfItsRanges) {
  Recording job(Options{});
  job.Push(100, "model");
  job.Push(110, "layers.0");
  job.Cpu(120, 130, "aten::mul");
  job.Push(140, "layers.0.mlp");  // a name that is its parent's and more
  job.Pop(150);
  job.Pop(160);
  job.Pop(170);
  const Result result = job.Finish();
  ASSERT_EQ(result.request.modules.size(), 3u);
  EXPECT_EQ(result.request.modules[0].module_id, "model");
  EXPECT_EQ(result.request.modules[1].module_id, "model.layers.0");
  EXPECT_EQ(result.request.modules[2].module_id, "model.layers.0.mlp");
  EXPECT_EQ(result.request.modules[2].parent_id, "model.layers.0");
}

TEST(AttributionTest, AModuleInsideItselfIsCountedOnce) {
  Recording job(Model());
  job.Push(100, "request");
  job.Push(110, "block");
  job.Push(120, "block");
  job.Cpu(130, 140, "aten::mul");
  job.Pop(150);
  job.Pop(160);
  job.Pop(200);
  const Result result = job.Finish();
  EXPECT_EQ(ModuleOf(result, "block").calls, 1);
  EXPECT_EQ(ModuleOf(result, "block").wall_ns, 50);
  EXPECT_EQ(ModuleOf(result, "block").device_ns, 10);
  ExpectPartsAddUp(result, 10);
}

TEST(AttributionTest, ThreadsNestOnTheirOwn) {
  Recording job(Options{});
  job.Push(100, "a", 1);
  job.Push(110, "b", 2);
  job.Cpu(120, 130, "aten::mul", 1);
  job.Cpu(125, 145, "aten::mul", 2);
  job.Pop(150, 1);
  job.Pop(160, 2);
  const Result result = job.Finish();
  EXPECT_EQ(ModuleOf(result, "a").device_ns, 10);
  EXPECT_EQ(ModuleOf(result, "b").device_ns, 20);
  EXPECT_EQ(ModuleOf(result, "b").parent_id, "");
}

TEST(AttributionTest, LostPushesAndPopsCostNoOperationItsModule) {
  Recording job(Model());
  job.Push(100, "request");
  job.LosePush("block");
  job.Push(120, "fc1");
  job.Cpu(130, 140, "aten::linear");
  job.LosePop();                   // fc1's
  job.Cpu(150, 160, "aten::add");  // so this is block's own
  job.Pop(170);                    // block, whose push never came
  job.Pop(200);
  const Result result = job.Finish();
  EXPECT_EQ(ModuleOf(result, "fc1").device_ns, 10);
  EXPECT_EQ(ModuleOf(result, "block").self_device_ns, 10);
  ExpectPartsAddUp(result, 20);
  EXPECT_THAT(result.request_total_ns, ElementsAre(30)) << "the request itself is whole";
  for (const ModuleSum& module : result.request.modules) {
    EXPECT_EQ(module.wall_ns, module.busy_ns + module.gap_ns) << module.module_id;
    EXPECT_GE(module.gap_ns, 0) << module.module_id;
  }
}

TEST(AttributionTest, AHalfRequestCountsOnlyWhereThereIsNoWholeOne) {
  Recording with_whole(Model());
  RunCpuRequest(with_whole, 0);
  with_whole.Push(1000, "request");
  with_whole.Cpu(1001, 1002, "aten::mul");
  EXPECT_THAT(with_whole.Finish().request_total_ns, ElementsAre(73));

  Recording half(Model());
  half.Push(100, "request");
  half.Cpu(110, 130, "aten::mul");
  const Result result = half.Finish();
  EXPECT_THAT(result.request_total_ns, IsEmpty());
  EXPECT_EQ(ModuleOf(result, "request").device_ns, 20);
}

TEST(AttributionTest, StatesTheAgentsCostOfTheMeasuredRequest) {
  Recording job(Model(1));
  job.Costs(10'000, 100'000, 50'000);
  RunCpuRequest(job, 0);
  RunCpuRequest(job, 1000);
  // 6 range records x 10 ns + 3 operations x 100 ns + 5 nested calls x 50 ns
  EXPECT_EQ(job.Finish().agent_cost_ns, 60 + 300 + 250);
}

// --- GPU
// ---------------------------------------------------------------------------------------------------------------------------

TEST(AttributionTest, KernelsThatComeAfterTheirRangeClosedBelongToIt) {
  Recording job(Model());
  job.Push(100, "request");
  job.Push(110, "block");
  const record::Owner block = job.Owner();
  job.Pop(120);
  const record::Owner request = job.Owner();
  job.Pop(130);
  job.Kernel(request, 2000, 2100);
  job.Kernel(block, 1000, 1300);
  job.Kernel(block, 1200, 1500, "sgemm", 8);  // overlaps on another stream
  const Result result = job.Finish();
  const ModuleSum& of_block = ModuleOf(result, "block");
  EXPECT_EQ(of_block.device_ns, 600) << "device time is a sum";
  EXPECT_EQ(of_block.busy_ns, 500) << "busy time is a union";
  EXPECT_EQ(of_block.gap_ns, 0);
  EXPECT_EQ(of_block.p50_ns, 500 + 2) << "bucket [500,504)";
  EXPECT_EQ(of_block.wall_ns, 10) << "host time";
  const ModuleSum& root = ModuleOf(result, "request");
  EXPECT_EQ(root.busy_ns, 600);
  EXPECT_EQ(root.gap_ns, 500) << "device idle between 1500 and 2000";
  EXPECT_EQ(result.request.total_ns, 1100);
  ExpectPartsAddUp(result, 700);
}

TEST(AttributionTest, KernelsOfWarmUpThatRunLateAreNotTheMeasuredRequests) {
  Recording job(Model(1));
  job.Push(100, "request");
  const record::Owner warmup = job.Owner();
  job.Pop(150);
  job.Push(160, "request");
  const record::Owner measured = job.Owner();
  job.Pop(260);
  job.Kernel(warmup, 170, 200);
  job.Kernel(measured, 200, 230);
  const Result result = job.Finish();
  EXPECT_EQ(result.request.operations, 1);
  EXPECT_EQ(result.request.total_ns, 30);
}

TEST(AttributionTest, OperatorCallsAreNoOperationsOfAGpuJob) {
  Recording job(Model());
  job.Push(100, "request");
  job.Cpu(110, 120, "aten::mul");
  job.Kernel(job.Owner(), 1000, 1300);
  job.Cpu(130, 140, "aten::mul");
  job.Pop(200);
  const Result result = job.Finish();
  EXPECT_EQ(result.request.operations, 1);
  ExpectPartsAddUp(result, 300);
}

TEST(AttributionTest, KernelsOfCallsLongForgottenStillFindTheirModule) {
  Recording job(Options{});
  std::vector<record::Owner> owners;
  for (int64_t i = 0; i < 70'000; ++i) {  // more than the fold remembers
    job.Push(100 + i * 10, "block");
    owners.push_back(job.Owner());
    job.Pop(105 + i * 10);
  }
  for (size_t i = 0; i < owners.size(); ++i) {
    job.Kernel(owners[i], 1'000'000 + static_cast<int64_t>(i) * 10, 1'000'003 + static_cast<int64_t>(i) * 10);
  }
  const Result result = job.Finish();
  EXPECT_EQ(ModuleOf(result, "block").launches, 70'000);
  EXPECT_EQ(ModuleOf(result, "block").busy_ns, 210'000);
  ExpectPartsAddUp(result, 210'000);
}

// --- Nonsense
// ----------------------------------------------------------------------------------------------------------------------

TEST(AttributionTest, RecordsThatMakeNoSenseAreCountedAndLeftOut) {
  Recording job(Model());
  job.Push(100, "request");
  job.Cpu(110, 120, "aten::mul");
  job.Cpu(115, 125, "aten::mul");                        // overlaps the one before: not outermost
  job.Cpu(140, 130, "aten::mul");                        // ends before it starts
  job.Cpu(0, 10, "aten::mul");                           // no time at all
  job.Kernel(record::MakeOwner(60'000, 1), 1000, 1300);  // a path that nobody defined
  record::Record record{};
  record.kind = static_cast<record::Kind>(200);
  job.Send(record);
  record.kind = record::Kind::kRangePop;
  record.range = {150, record::MakeOwner(1, 999)};  // never pushed
  job.Send(record);
  record.kind = record::Kind::kPathDefinition;
  record.path_definition = {7, 9, 1, 0};  // out of order, and its parent is later
  job.Send(record);
  job.Pop(200);
  const Result result = job.Finish();
  EXPECT_EQ(result.records_invalid, 7);
  EXPECT_EQ(result.request.operations, 1);
  ExpectPartsAddUp(result, 10);
}

TEST(AttributionTest, AnEmptyRecordingHasNoRequestAndNoTime) {
  Recording job(Model());
  const Result result = job.Finish();
  EXPECT_THAT(result.request_total_ns, IsEmpty());
  EXPECT_EQ(result.request.total_ns, 0);
  EXPECT_THAT(result.request.modules, IsEmpty());
}

TEST(AttributionTest, PartsAddUpForRandomNestingsOnFourThreads) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    Recording job(Options{});
    int depth[4] = {};
    int64_t now_ns = 1000;
    int64_t device_ns = 0;
    for (int step = 0; step < 5000; ++step) {
      const uint32_t thread = random() % 4;
      now_ns += 1 + random() % 50;
      switch (random() % 4) {
        case 0:
          if (depth[thread] < 10) {
            job.Push(now_ns, std::string(1, static_cast<char>('a' + random() % 5)), thread);
            ++depth[thread];
          }
          break;
        case 1:
          if (depth[thread] > 0) {
            job.Pop(now_ns, thread);
            --depth[thread];
          }
          break;
        default: {
          const int64_t duration_ns = random() % 20;
          job.Cpu(now_ns, now_ns + duration_ns, "aten::mul", thread);
          now_ns += duration_ns;
          device_ns += duration_ns;
        }
      }
    }
    const Result result = job.Finish();
    EXPECT_EQ(result.records_invalid, 0);
    ExpectPartsAddUp(result, device_ns);
    for (const ModuleSum& module : result.request.modules) {
      ASSERT_EQ(module.wall_ns, module.busy_ns + module.gap_ns);
      ASSERT_GE(module.gap_ns, 0);
    }
  }
}

}  // namespace
}  // namespace dsocr::attribution
