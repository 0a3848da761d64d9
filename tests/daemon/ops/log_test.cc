#include "daemon/ops/log.h"

#include <fstream>
#include <iterator>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/scratch_directory.h"

namespace dsocr::ops {
namespace {

using ::testing::HasSubstr;

class LogTest : public ::testing::Test {
 protected:
  LogTest() : log_(path_, [this] { return now_; }) { EXPECT_TRUE(log_.Reopen().ok()); }
  std::string Text() const {
    std::ifstream stream(path_);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  const ScratchDirectory directory_;
  const std::string path_ = directory_ / "dsocrd.log";
  absl::Time now_ = absl::FromUnixMillis(1'700'000'000'250);
  Log log_;
};

TEST_F(LogTest, WritesOneLineAnEvent) {
  log_.Warning("run {}: {}", "r-1", "late");
  EXPECT_EQ(Text(), "2023-11-14T22:13:20.250Z warning run r-1: late\n");
}

TEST_F(LogTest, PeersCannotForgeLines) {
  log_.Info("{}", "a\nb\x1b[31m");
  EXPECT_THAT(Text(), HasSubstr("info a?b?[31m\n"));
}

TEST_F(LogTest, FloodIsCutAndCounted) {
  for (int i = 0; i < Log::kLinesPerSecond + 5; ++i) {
    log_.Info("event {}", i);
  }
  now_ += absl::Seconds(1);
  log_.Info("later");
  EXPECT_THAT(Text(), HasSubstr("event 199\n"));
  EXPECT_THAT(Text(), ::testing::Not(HasSubstr("event 200\n")));
  EXPECT_THAT(Text(), HasSubstr("5 lines left out"));
  EXPECT_THAT(Text(), HasSubstr("info later\n"));
}

TEST_F(LogTest, FileThatCannotBeOpenedIsAnError) {
  EXPECT_EQ(Log("/nonexistent/dsocrd.log").Reopen().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace dsocr::ops
