#include "cupti/agent/launch_table.h"

#include <gtest/gtest.h>

#include <memory>

namespace dsocr::agent {
namespace {

TEST(LaunchTable, GivesBackWhatWasPut) {
  const auto table = std::make_unique<LaunchTable>();
  table->Put(7, {record::MakeOwner(3, 9), 1234, 5, true, false, 42});
  Launch launch{};
  ASSERT_TRUE(table->Find(7, &launch));
  EXPECT_EQ(launch.owner, record::MakeOwner(3, 9));
  EXPECT_EQ(launch.time_ns, 1234);
  EXPECT_EQ(launch.row, 5);
  EXPECT_TRUE(launch.is_counted);
  EXPECT_FALSE(launch.is_skipped);
  EXPECT_EQ(launch.operations, 42u);
}

TEST(LaunchTable, ForgetsTheOldestAndSaysSo) {
  const auto table = std::make_unique<LaunchTable>();
  Launch launch{};
  EXPECT_FALSE(table->Find(7, &launch));
  EXPECT_FALSE(table->Find(0, &launch));
  table->Put(7, {1, 0, 0, false, false, 0});
  table->Put(7 + (1 << 16), {2, 0, 0, false, true, 0});
  EXPECT_FALSE(table->Find(7, &launch));
  ASSERT_TRUE(table->Find(7 + (1 << 16), &launch));
  EXPECT_TRUE(launch.is_skipped);
}

}  // namespace
}  // namespace dsocr::agent
