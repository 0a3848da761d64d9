#include "daemon/ops/unix_listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/scratch_directory.h"

namespace dsocr::ops {
namespace {

using ::testing::HasSubstr;

class UnixListenerTest : public ::testing::Test {
 protected:
  UniqueFd Connect(int flags = 0) const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ? std::move(fd)
                                                                                                  : UniqueFd();
  }
  static mode_t ModeOf(const std::string& path) {
    struct stat status {};
    ::lstat(path.c_str(), &status);
    return status.st_mode & 0777;
  }

  const ScratchDirectory directory_;
  const std::string path_ = directory_ / "s";
};

TEST_F(UnixListenerTest, OnlyItsUserMayConnect) {
  const auto listener = UnixListener::Bind(path_);
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_EQ(ModeOf(path_), 0600u);
}

TEST_F(UnixListenerTest, ConnectionsOfTheSameUserAreHandedOver) {
  auto listener = UnixListener::Bind(path_);
  ASSERT_TRUE(listener.ok()) << listener.status();
  absl::Notification accepted;
  (*listener)->Serve([&](UniqueFd) { accepted.Notify(); }, [](uid_t) { FAIL(); });
  const UniqueFd connection = Connect();
  EXPECT_TRUE(connection.valid());
  EXPECT_TRUE(accepted.WaitForNotificationWithTimeout(absl::Seconds(10)));
}

// As gRPC connects: where the backlog is full, it does not wait for room.
TEST_F(UnixListenerTest, HundredsMayWaitToBeAccepted) {
  const auto listener = UnixListener::Bind(path_);
  ASSERT_TRUE(listener.ok()) << listener.status();
  std::vector<UniqueFd> waiting;
  for (int i = 0; i < 400; ++i) {
    waiting.push_back(Connect(SOCK_NONBLOCK));
    ASSERT_TRUE(waiting.back().valid()) << "connection " << i << ": " << std::strerror(errno);
  }
}

TEST_F(UnixListenerTest, SecondListenerIsRefusedWhileTheFirstLives) {
  auto first = UnixListener::Bind(path_);
  ASSERT_TRUE(first.ok());
  const auto second = UnixListener::Bind(path_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("already serves it"));
  first->reset();
  EXPECT_TRUE(UnixListener::Bind(path_).ok());
}

TEST_F(UnixListenerTest, SocketThatAKilledDaemonLeftIsReplaced) {
  {
    const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  ASSERT_TRUE(std::filesystem::exists(path_));
  EXPECT_TRUE(UnixListener::Bind(path_).ok());
}

TEST_F(UnixListenerTest, FileInTheWayIsLeftAlone) {
  std::ofstream(path_) << "precious";
  EXPECT_EQ(UnixListener::Bind(path_).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(std::filesystem::file_size(path_), 8u);
}

TEST_F(UnixListenerTest, DirectoryThatOthersMayEnterIsRefused) {
  std::filesystem::permissions(directory_.path(), std::filesystem::perms::others_exec,
                               std::filesystem::perm_options::add);
  EXPECT_EQ(PrepareSocketDir(directory_.path(), ::getuid(), /*must_be_private=*/true).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(UnixListenerTest, DirectoryIsCreatedPrivate) {
  ASSERT_TRUE(PrepareSocketDir(directory_ / "new", ::getuid(), /*must_be_private=*/true).ok());
  EXPECT_EQ(ModeOf(directory_ / "new"), 0700u);
}

TEST_F(UnixListenerTest, LinkInPlaceOfTheDirectoryIsRefused) {
  std::filesystem::create_directory_symlink(directory_.path(), directory_ / "link");
  EXPECT_FALSE(PrepareSocketDir(directory_ / "link", ::getuid(), /*must_be_private=*/true).ok());
}

}  // namespace
}  // namespace dsocr::ops
