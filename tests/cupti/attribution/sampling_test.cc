#include "cupti/attribution/sampling.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/cupti/attribution/recording.h"

namespace dsocr::attribution {
namespace {

TEST(SamplingTest, EveryRecordedRequestStandsForItsWeight) {
  Options options;
  options.request_range = "request";
  Recording job(options);
  int64_t at_ns = 1000;
  for (int i = 0; i < 12; ++i, at_ns += 1000) {
    job.PushDrawn(at_ns, "request", 4);
    job.Push(at_ns + 1, "decode");
    job.Kernel(job.Owner(), at_ns + 10, at_ns + 110);
    job.Pop(at_ns + 2);
    job.Pop(at_ns + 3);
  }
  job.AgentCost({.units_seen = 50, .units_recorded = 12});
  const Result result = job.Finish();
  ASSERT_TRUE(result.sampling.has_value());
  EXPECT_EQ(result.sampling->requests_seen, 50);
  EXPECT_EQ(result.sampling->requests_recorded, 12);
  EXPECT_DOUBLE_EQ(result.sampling->device_ns, 4 * 12 * 100.0);
  // variance 12 x 4 x 3 x 100^2 = 1,440,000: 1.96 x 1200 to each side
  EXPECT_DOUBLE_EQ(result.sampling->device_ns_low, 4800 - 1.96 * 1200);
  EXPECT_DOUBLE_EQ(result.sampling->device_ns_high, 4800 + 1.96 * 1200);
}

TEST(SamplingTest, OutermostRangesAreTheUnitsWhereNoRangeMarksRequests) {
  Recording job(Options{});
  job.PushDrawn(100, "step", 2);
  job.Push(101, "norm");
  job.Cpu(110, 120, "aten::mul");
  job.Pop(130);
  job.Cpu(140, 145, "aten::mul");
  job.Pop(150);
  job.Push(200, "load");  // certain
  job.Cpu(210, 310, "aten::copy_");
  job.Pop(320);
  const Result result = job.Finish();
  ASSERT_TRUE(result.sampling.has_value());
  EXPECT_DOUBLE_EQ(result.sampling->device_ns, 2 * 15 + 100);
  EXPECT_EQ(result.sampling->requests_recorded, 2);
  EXPECT_EQ(result.sampling->requests_seen, 3) << "the sum of weights, where the agent did not live to say it";
}

TEST(SamplingTest, OneRecordedRequestGivesAWideInterval) {
  DeviceTimeEstimate estimate;
  estimate.Add(10, 1000);
  const SamplingSums sums = estimate.Sums();
  EXPECT_DOUBLE_EQ(sums.device_ns, 10'000);
  EXPECT_DOUBLE_EQ(sums.device_ns_low, 1000) << "that much did happen";
  EXPECT_NEAR(sums.device_ns_high, 10'000 + 4.472 * 9486.8, 10);
}

TEST(SamplingTest, ThereIsNoEstimateWhereEverythingWasRecorded) {
  Recording job(Options{});
  job.Push(100, "step");
  job.Cpu(110, 120, "aten::mul");
  job.Pop(130);
  job.AgentCost({.units_seen = 1, .units_recorded = 1});
  EXPECT_FALSE(job.Finish().sampling.has_value());
}

TEST(SamplingTest, OperatorCallsBeforeTheFirstKernelAreNoDeviceTime) {
  Recording job(Options{});
  job.PushDrawn(100, "step", 2);
  job.Cpu(110, 120, "aten::mul");
  job.Kernel(job.Owner(), 1000, 1003);
  job.Pop(130);
  EXPECT_DOUBLE_EQ(job.Finish().sampling->device_ns, 6);
}

TEST(SamplingTest, AProbabilityAboveOneOrNextToNoneIsRefused) {
  Recording job(Options{});
  job.PushDrawn(100, "a", uint64_t{1} << 40);
  job.LosePop();
  record::Record record{};
  record.kind = record::Kind::kRangePush;
  record.range = {200, record::MakeOwner(1, 77), 1};
  job.Send(record);
  EXPECT_EQ(job.Finish().records_invalid, 2);
}

TEST(SamplingTest, NineteenOfTwentyIntervalsHoldTheTruth) {
  std::mt19937 random(11);
  constexpr int kTrials = 2000;
  int held = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    DeviceTimeEstimate estimate;
    double truth = 0;
    for (int i = 0; i < 400; ++i) {
      const auto device_ns = static_cast<int64_t>(500 + random() % 1000);
      truth += static_cast<double>(device_ns);
      if (random() % 4 == 0) {
        estimate.Add(4, device_ns);
      }
    }
    const SamplingSums sums = estimate.Sums();
    held += sums.device_ns_low <= truth && truth <= sums.device_ns_high ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(held) / kTrials, 0.95, 0.02);
}

}  // namespace
}  // namespace dsocr::attribution
