#include "cupti/attribution/sync_gaps.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "tests/cupti/attribution/recording.h"

namespace dsocr::attribution {
namespace {

Options Requests(int skip_requests = 0) {
  Options options;
  options.request_range = "request";
  options.skip_requests = skip_requests;
  return options;
}

// A request of two kernels, [100, 200) and [250, 300), and of whatever `more` does while it is open.
template <typename More>
int64_t SyncGapOf(More more) {
  Recording job(Requests());
  job.Push(50, "request");
  job.Kernel(job.Owner(), 100, 200);
  job.Kernel(job.Owner(), 250, 300);
  more(job);
  job.Pop(400);
  const Result result = job.Finish();
  EXPECT_EQ(result.request.total_ns, 200);
  return result.request.sync_gap_ns;
}

TEST(SyncGapsTest, AGapCountsFromWhenTheDeviceRanDryWhileTheHostWaited) {
  EXPECT_EQ(SyncGapOf([](Recording& job) { job.Wait(150, 210); }), 50);
}

TEST(SyncGapsTest, TimeBeforeALateWaitIsTheHosts) {
  EXPECT_EQ(SyncGapOf([](Recording& job) { job.Wait(220, 225); }), 30);
}

TEST(SyncGapsTest, AWaitThatEndedWhileTheDeviceWasBusyIsNoGaps) {
  EXPECT_EQ(SyncGapOf([](Recording& job) { job.Wait(60, 190); }), 0);
}

TEST(SyncGapsTest, AWaitThatEndsLaterHeldUpNoLaunch) {
  EXPECT_EQ(SyncGapOf([](Recording& job) { job.Wait(150, 260); }), 0);
}

TEST(SyncGapsTest, BeforeTheFirstAndAfterTheLastOperationThereIsNoGap) {
  EXPECT_EQ(SyncGapOf([](Recording& job) {
              job.Wait(60, 90);
              job.Wait(290, 310);
            }),
            0);
}

TEST(SyncGapsTest, WaitsOfTwoThreadsInOneGapCountItOnce) {
  EXPECT_EQ(SyncGapOf([](Recording& job) {
              job.Wait(215, 240);
              job.Wait(205, 230);
            }),
            45);
}

TEST(SyncGapsTest, TheDeviceIsDryWhenAllItsStreamsAre) {
  const auto with_a_second_stream = [](int64_t wait_end_ns) {
    return SyncGapOf([wait_end_ns](Recording& job) {
      job.Kernel(job.Owner(), 120, 230, "sgemm", 8);
      job.Wait(150, wait_end_ns);
    });
  };
  EXPECT_EQ(with_a_second_stream(210), 0) << "the other stream still ran";
  EXPECT_EQ(with_a_second_stream(235), 20);
}

TEST(SyncGapsTest, OperationsOfNoModuleEndAGapToo) {
  EXPECT_EQ(SyncGapOf([](Recording& job) {
              job.Wait(150, 210);
              job.Kernel(0, 220, 230);
            }),
            20);
}

TEST(SyncGapsTest, WaitsOfWarmUpAreNotTheMeasuredRequests) {
  Recording job(Requests(1));
  for (const int64_t at_ns : {1000, 2000}) {
    job.Push(at_ns, "request");
    const record::Owner owner = job.Owner();
    job.Wait(at_ns + 150, at_ns + 210);
    job.Pop(at_ns + 400);
    job.Kernel(owner, at_ns + 250, at_ns + 300);
    job.Kernel(owner, at_ns + 100, at_ns + 200);
  }
  const Result result = job.Finish();
  EXPECT_EQ(result.request_total_ns.size(), 1u);
  EXPECT_EQ(result.request.sync_gap_ns, 50);
  EXPECT_EQ(result.gpu->wait_ns, 120) << "of the whole run";
}

TEST(SyncGapsTest, IsOfTheRequestThatIsReported) {
  Recording job(Requests());
  for (const int64_t gap_ns : {10, 300, 100}) {
    const int64_t at_ns = 1000 * gap_ns;
    job.Push(at_ns, "request");
    job.Wait(at_ns + 10, at_ns + 90);  // for what came before
    job.Kernel(job.Owner(), at_ns + 100, at_ns + 200);
    job.Wait(at_ns + 150, at_ns + 205);
    job.Kernel(job.Owner(), at_ns + 200 + gap_ns, at_ns + 300 + gap_ns);
    job.Pop(at_ns + 900);
  }
  EXPECT_EQ(job.Finish().request.sync_gap_ns, 100) << "the median";
}

using Interval = std::pair<int64_t, int64_t>;

// The definition, gap by gap.
int64_t SlowSyncGap(std::vector<Interval> operations, const std::vector<Interval>& waits) {
  std::sort(operations.begin(), operations.end());
  int64_t sum_ns = 0;
  int64_t until_ns = operations.front().second;
  for (const auto& [start_ns, end_ns] : operations) {
    int64_t from_ns = start_ns;
    for (const auto& [wait_start_ns, wait_end_ns] : waits) {
      if (until_ns <= wait_end_ns && wait_end_ns < start_ns) {
        from_ns = std::min(from_ns, std::max(until_ns, wait_start_ns));
      }
    }
    sum_ns += start_ns - from_ns;
    until_ns = std::max(until_ns, end_ns);
  }
  return sum_ns;
}

TEST(SyncGapsTest, IsWhatTheDefinitionSaysInWhateverOrderRecordsArrive) {
  for (uint32_t seed = 1; seed <= 30; ++seed) {
    std::mt19937 random(seed);
    std::vector<Interval> operations;
    std::vector<Interval> waits;
    for (int64_t at_ns = 1000; at_ns < 60'000; at_ns += 2 * static_cast<int64_t>(1 + random() % 200)) {
      operations.emplace_back(at_ns, at_ns + 2 * static_cast<int64_t>(random() % 120));
      const int64_t wait_end_ns = at_ns + 1 + 2 * static_cast<int64_t>(random() % 100);  // never when one starts
      waits.emplace_back(wait_end_ns - static_cast<int64_t>(random() % 300), wait_end_ns);
    }
    Recording job(Requests());
    job.Push(100, "request");
    std::vector<std::pair<bool, Interval>> arrivals;
    for (const Interval& operation : operations) arrivals.emplace_back(false, operation);
    for (const Interval& wait : waits) arrivals.emplace_back(true, wait);
    std::shuffle(arrivals.begin(), arrivals.end(), random);
    for (const auto& [is_wait, interval] : arrivals) {
      if (is_wait) {
        job.Wait(interval.first, interval.second);
      } else {
        job.Kernel(job.Owner(), interval.first, interval.second, "sgemm", 7 + random() % 3);
      }
    }
    job.Pop(100'000);
    const Result result = job.Finish();
    const int64_t expected_ns = SlowSyncGap(operations, waits);
    EXPECT_GT(expected_ns, 0);
    EXPECT_EQ(result.request.sync_gap_ns, expected_ns) << "seed " << seed;
    EXPECT_LE(result.request.sync_gap_ns, result.request.modules.front().gap_ns);
  }
}

TEST(SyncGapsTest, ALongRunIsExactThoughWaitsLagBehindTheirKernels) {
  constexpr int64_t kKernels = 100'000;
  constexpr int64_t kLag = 1000;
  Recording job(Requests());
  job.Push(50, "request");
  for (int64_t i = 0; i < kKernels + kLag; ++i) {
    if (i < kKernels) {
      job.Kernel(job.Owner(), 100 * i + 100, 100 * i + 160);
    }
    if (i >= kLag) {
      job.Wait(100 * (i - kLag) + 110, 100 * (i - kLag) + 170);
    }
  }
  job.Pop(100 * kKernels + 200);
  EXPECT_EQ(job.Finish().request.sync_gap_ns, 40 * (kKernels - 1));
}

TEST(SyncGapsTest, AnOperationThatComesLateCountsNothingTwice) {
  SyncGaps gaps;
  gaps.AddOperation(100, 200);
  gaps.AddWait(150, 210);
  gaps.AddOperation(250, 300);
  gaps.AddOperation(220, 240);
  gaps.AddWait(150, 245);
  gaps.AddOperation(300, 400);
  EXPECT_EQ(gaps.gap_ns(), 50);
}

}  // namespace
}  // namespace dsocr::attribution
