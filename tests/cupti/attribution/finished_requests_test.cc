#include "cupti/attribution/finished_requests.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace dsocr::attribution {
namespace {

class FinishedRequestsTest : public testing::Test {
 protected:
  void Add(int64_t total_ns, bool is_complete = true) {
    RequestSums sums;
    sums.AddCpuOperation(dictionary_, 0, 0, 1000, 1000 + total_ns, 0);
    finished_.Add(dictionary_, std::move(sums), is_complete);
  }

  const Options options_;
  const Dictionary dictionary_{options_};
  FinishedRequests finished_{/*keeps_repeats=*/false};
};

TEST_F(FinishedRequestsTest, HaveNoMedianWhereThereIsNone) { EXPECT_EQ(finished_.Median(), nullptr); }

TEST_F(FinishedRequestsTest, TakeTheLowerOfTwo) {
  Add(30);
  Add(10);
  Add(40);
  Add(20);
  ASSERT_NE(finished_.Median(), nullptr);
  EXPECT_EQ(finished_.Median()->total_ns(), 20);
  EXPECT_EQ(finished_.total_ns(), (std::vector<int64_t>{30, 10, 40, 20}));
}

TEST_F(FinishedRequestsTest, CountOneWithoutItsEndWhereThereIsNoOther) {
  Add(50, /*is_complete=*/false);
  Add(60, /*is_complete=*/false);
  ASSERT_NE(finished_.Median(), nullptr);
  EXPECT_EQ(finished_.Median()->total_ns(), 50);
  EXPECT_TRUE(finished_.total_ns().empty());
  Add(10);
  Add(70, /*is_complete=*/false);
  EXPECT_EQ(finished_.Median()->total_ns(), 10);
  EXPECT_EQ(finished_.total_ns(), (std::vector<int64_t>{10}));
}

TEST_F(FinishedRequestsTest, KnowTheMedianOfMoreThanTheyKeep) {
  std::vector<int64_t> totals(1001);
  std::mt19937_64 random(7);
  for (int64_t& total : totals) {
    total = 1000 + static_cast<int64_t>(random() % 100'000);
    Add(total);
  }
  ASSERT_GT(totals.size(), FinishedRequests::kMostKept);
  std::ranges::sort(totals);
  EXPECT_EQ(finished_.Median()->total_ns(), totals[500]);
}

}  // namespace
}  // namespace dsocr::attribution
