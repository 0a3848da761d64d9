// What only root may set up: other users, and namespaces.
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#include <fstream>
#include <iterator>
#include <string>

#include "daemon/attach/kineto_server.h"
#include "tests/daemon/attach/fake_profiler.h"
#include "tests/scratch_directory.h"

namespace dsocr::attach {
namespace {

using ::testing::IsEmpty;

constexpr uid_t kNobody = 65534;

std::string ContentsOf(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// A child that has died makes no file: that is told, not waited for.
void AwaitFile(const std::string& path) {
  for (int waited_ms = 0; !std::filesystem::exists(path); ++waited_ms) {
    ASSERT_LT(waited_ms, 60'000) << path;
    ::usleep(1000);
  }
}

void BecomeNobody() {
  if (::setgroups(0, nullptr) != 0 || ::setresgid(kNobody, kNobody, kNobody) != 0 ||
      ::setresuid(kNobody, kNobody, kNobody) != 0) {
    ::_exit(1);
  }
}

// After a change of user, which forgets it.
void EndWithParent() { ::prctl(PR_SET_PDEATHSIG, SIGKILL); }

// The abstract name is one of a net namespace, so a test makes one of its own.
class KinetoNamespaceTest : public ::testing::Test {
 protected:
  void SetUp() override { ::chmod(directory_.path().c_str(), 0777); }

  std::string Read(const absl::StatusOr<UniqueFd>& file) {
    EXPECT_TRUE(file.ok()) << file.status();
    char bytes[100];
    return file.ok() ? std::string(bytes,
                                   static_cast<size_t>(std::max<ssize_t>(0, ::read(file->get(), bytes, sizeof(bytes)))))
                     : "";
  }
  // Until a child has said that it is where it should be.
  void Await(const std::string& name) { AwaitFile(directory_ / name); }

  ScratchDirectory directory_;
  const KinetoRequest request_{.duration = absl::Milliseconds(300), .ask_timeout = absl::Seconds(50)};
};

TEST_F(KinetoNamespaceTest, AnswersInTheNetNamespaceOfAnotherUsersProcess) {
  Child profiler([this] {
    ::unshare(CLONE_NEWNET);
    BecomeNobody();
    directory_.Write("ready", "");
    WriteTrace(TracePath(AskForConfiguration("")), "of nobody");
    ::pause();
  });
  Await("ready");
  EXPECT_EQ(Read(TakeKinetoTrace(KinetoTarget(profiler.pid(), profiler.pid(), kNobody, ""), request_, -1)),
            "of nobody");
}

TEST_F(KinetoNamespaceTest, ADifferentUserIsNotHeardWhateverPidItNames) {
  Child profiler([this] {
    ::unshare(CLONE_NEWNET);
    const pid_t self = ::getpid();
    if (::fork() == 0) {
      BecomeNobody();
      EndWithParent();
      const DynologClient client("", "dynoconfigclient-nobody");
      directory_.Write("ready", "");
      for (int told = 0;;) {
        client.Send(EncodeDynologRequest({.activities = 3, .pids = {self}}));
        if (client.Receive().has_value()) {
          directory_.Write("leaked", std::to_string(++told));
        }
      }
    }
    Await("ready");
    WriteTrace(TracePath(AskForConfiguration("")), "of root");
    for (;;) {
      ::pause();
    }
  });
  Await("ready");
  EXPECT_EQ(Read(TakeKinetoTrace(KinetoTarget(profiler.pid(), profiler.pid(), 0, ""), request_, -1)), "of root");
  EXPECT_THAT(ContentsOf(directory_ / "leaked"), IsEmpty());
}

// As in a container: its own pids, its own /tmp, its own socket directory in it.
TEST_F(KinetoNamespaceTest, FindsTheFilesOfAProcessInItsOwnNamespaces) {
  Child container([this] {
    ::unshare(CLONE_NEWPID | CLONE_NEWNS);
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    const pid_t inner = ::fork();
    if (inner == 0) {
      EndWithParent();
      Await("pid");  // which the mount would hide
      ::mount("tmpfs", "/tmp", "tmpfs", 0, nullptr);
      ::mkdir("/tmp/sockets", 0700);
      WriteTrace(TracePath(AskForConfiguration("/tmp/sockets")), "of pid " + std::to_string(::getpid()));
      ::pause();
    }
    directory_.Write("pid.tmp", std::to_string(inner));
    std::filesystem::rename(directory_ / "pid.tmp", directory_ / "pid");
    ::pause();
  });
  Await("pid");
  const pid_t pid = std::stoi(ContentsOf(directory_ / "pid"));
  AwaitFile("/proc/" + std::to_string(pid) + "/root/tmp/sockets");
  EXPECT_EQ(Read(TakeKinetoTrace(KinetoTarget(pid, 1, 0, "/tmp/sockets"), request_, -1)), "of pid 1");
  EXPECT_FALSE(std::filesystem::exists("/proc/" + std::to_string(pid) + "/root/tmp/sockets/dynolog"));
}

// A link of the process's making must not lead the daemon out of the process's root.
TEST_F(KinetoNamespaceTest, LinksOfTheProcessStayInItsRoot) {
  const ScratchDirectory root;
  std::filesystem::create_directories(root / "tmp");
  std::filesystem::create_symlink(directory_.path(), root / "sockets");
  Child jailed([this, &root] {
    if (::chroot(root.path().c_str()) != 0 || ::chdir("/") != 0) {
      ::_exit(1);
    }
    WriteTrace("/tmp/ready", "");
    ::pause();
  });
  AwaitFile(root / "tmp/ready");
  const auto file = TakeKinetoTrace(KinetoTarget(jailed.pid(), jailed.pid(), 0, "/sockets"), request_, -1);
  EXPECT_EQ(file.status().code(), absl::StatusCode::kFailedPrecondition) << file.status();
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

}  // namespace
}  // namespace dsocr::attach
