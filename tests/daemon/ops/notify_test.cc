#include "daemon/ops/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "tests/scratch_directory.h"

namespace dsocr::ops {
namespace {

TEST(NotifyTest, ManagerReceivesTheStateAsOneDatagram) {
  const ScratchDirectory directory;
  const std::string path = directory / "notify";
  const UniqueFd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(manager.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);

  EXPECT_TRUE(Notify(path, "READY=1"));

  char buffer[64];
  const ssize_t count = ::recv(manager.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
  EXPECT_EQ(std::string(buffer, static_cast<size_t>(count)), "READY=1");
}

TEST(NotifyTest, NoManagerIsNoError) {
  EXPECT_FALSE(Notify("", "READY=1"));
  EXPECT_FALSE(Notify("/nonexistent/notify", "READY=1"));
  EXPECT_FALSE(Notify("/" + std::string(200, 'a'), "READY=1"));
}

}  // namespace
}  // namespace dsocr::ops
