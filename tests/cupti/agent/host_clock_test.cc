#include "cupti/agent/host_clock.h"

#include <gtest/gtest.h>

namespace dsocr::agent {
namespace {

constexpr int64_t kHourNs = 3'600'000'000'000;
int64_t set_by_ns = 0;

CUptiResult CUPTIAPI Timestamp(uint64_t* timestamp) {
  *timestamp = static_cast<uint64_t>(NowNs() + 10 * kHourNs + set_by_ns);
  return CUPTI_SUCCESS;
}

class HostClockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    set_by_ns = 0;
    library_.timestamp = Timestamp;
    int64_t jump_ns = 0;
    ASSERT_TRUE(clock_.Align(library_, &jump_ns));
    ASSERT_EQ(jump_ns, 0);
  }
  // CUPTI's time of a moment of ours.
  static uint64_t At(int64_t time_ns) { return static_cast<uint64_t>(time_ns + 10 * kHourNs + set_by_ns); }

  CuptiLibrary library_{};
  HostClock clock_;
  int64_t start_ns_ = 0;
  int64_t end_ns_ = 0;
};

TEST_F(HostClockTest, PlacesWithinItsUncertainty) {
  const int64_t now_ns = NowNs();
  ASSERT_TRUE(clock_.Place(At(now_ns), At(now_ns + 500), now_ns - 1000, now_ns + 5000, &start_ns_, &end_ns_));
  EXPECT_NEAR(static_cast<double>(start_ns_ - now_ns), 0, 100'000);
  EXPECT_EQ(end_ns_ - start_ns_, 500);
}

TEST_F(HostClockTest, RefusesWhatCannotBe) {
  const int64_t now_ns = NowNs();
  EXPECT_FALSE(clock_.Place(0, At(now_ns), 0, now_ns + kHourNs, &start_ns_, &end_ns_));
  EXPECT_FALSE(clock_.Place(At(now_ns), At(now_ns) - 1, 0, now_ns + kHourNs, &start_ns_, &end_ns_));
  EXPECT_FALSE(clock_.Place(At(now_ns), At(now_ns), now_ns + kHourNs, now_ns + 2 * kHourNs, &start_ns_, &end_ns_));
  EXPECT_FALSE(clock_.Place(UINT64_MAX - 1, UINT64_MAX, 0, now_ns + kHourNs, &start_ns_, &end_ns_));
}

TEST_F(HostClockTest, ASetClockHasTwoOffsets) {
  const int64_t now_ns = NowNs();
  const uint64_t before = At(now_ns);
  set_by_ns = kHourNs;
  const uint64_t after = At(now_ns);
  int64_t jump_ns = 0;
  ASSERT_TRUE(clock_.Align(library_, &jump_ns));
  EXPECT_NEAR(static_cast<double>(jump_ns), static_cast<double>(kHourNs), 1e6);
  for (const uint64_t time : {before, after}) {
    ASSERT_TRUE(clock_.Place(time, time + 10, now_ns - 5'000'000, now_ns + 5'000'000, &start_ns_, &end_ns_));
    EXPECT_NEAR(static_cast<double>(start_ns_ - now_ns), 0, 1e6);
  }
}

}  // namespace
}  // namespace dsocr::agent
