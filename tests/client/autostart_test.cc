#include "client/autostart.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/scratch_directory.h"

namespace dsocr::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Autostart : public ::testing::Test {
 protected:
  // What the started programs found, a text each.
  std::vector<std::string> Reports() const {
    std::vector<std::string> reports;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      if (entry.path().filename().string().starts_with("d.sock.")) {
        std::ifstream file(entry.path());
        reports.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
      }
    }
    return reports;
  }

  const ScratchDirectory directory_;
  DaemonStart start_ = {
      .program = FAKE_DSOCRD, .socket_path = directory_ / "d.sock", .log_file = directory_ / "state/dsocr/dsocrd.log"};
};

TEST_F(Autostart, StartsADaemonOfItsOwnSessionWithoutOurDescriptors) {
  const int ours = ::open("/dev/null", O_RDONLY);  // not close-on-exec: an inheritable one
  EXPECT_FALSE(IsServed(start_.socket_path));
  EXPECT_EQ(StartDaemon(start_), absl::OkStatus());
  EXPECT_TRUE(IsServed(start_.socket_path));
  ::close(ours);
  ASSERT_EQ(Reports().size(), 1u);
  EXPECT_THAT(Reports()[0], Not(HasSubstr(fmt::format("session: {}\n", ::getsid(0)))));
  EXPECT_THAT(Reports()[0], HasSubstr("leads it: 0\ndescriptors: 0\n--listen\nunix:"));
  EXPECT_THAT(Reports()[0], HasSubstr("--idle-exit\n15m\n"));
}

TEST_F(Autostart, KeepsTheLogToOurselves) {
  EXPECT_EQ(StartDaemon(start_), absl::OkStatus());
  struct stat status;
  ASSERT_EQ(::stat(start_.log_file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
  ASSERT_EQ(::stat((directory_ / "state/dsocr").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0700u);
}

TEST_F(Autostart, LoserOfARaceFindsTheWinner) {
  EXPECT_EQ(StartDaemon(start_), absl::OkStatus());
  EXPECT_EQ(StartDaemon(start_), absl::OkStatus());  // this one's daemon finds the socket taken and ends
  EXPECT_GE(Reports().size(), 1u);
}

TEST_F(Autostart, SaysWhatIsMissing) {
  start_.program = directory_ / "dsocrd";
  EXPECT_EQ(StartDaemon(start_).code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(StartDaemon(start_).message()), HasSubstr("install it beside dsocrctl"));
}

TEST_F(Autostart, SaysThatADaemonEndedAtOnce) {
  start_.program = "/bin/false";
  start_.patience = absl::Milliseconds(300);
  const absl::Status status = StartDaemon(start_);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("it ended at its start"));
}

}  // namespace
}  // namespace dsocr::client
