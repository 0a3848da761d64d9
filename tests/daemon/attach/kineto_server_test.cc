#include "daemon/attach/kineto_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/file.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <thread>

#include "tests/daemon/attach/fake_profiler.h"
#include "tests/scratch_directory.h"

namespace dsocr::attach {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kLong = absl::Seconds(50);

std::string Contents(const UniqueFd& file) {
  std::string bytes;
  char piece[4096];
  for (ssize_t n = 0; (n = ::read(file.get(), piece, sizeof(piece))) > 0;) {
    bytes.append(piece, static_cast<size_t>(n));
  }
  return bytes;
}

std::string ContentsOf(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class KinetoServerTest : public ::testing::Test {
 protected:
  Target TargetOf(const Child& child) const {
    return KinetoTarget(child.pid(), child.pid(), ::getuid(), directory_.path());
  }
  absl::StatusOr<UniqueFd> Take(const Child& child, absl::Duration ask_timeout = kLong) const {
    return TakeKinetoTrace(TargetOf(child), {.duration = absl::Milliseconds(300), .ask_timeout = ask_timeout}, -1);
  }
  std::string SocketDir() const { return directory_.path(); }
  // Where a child leaves what it was told.
  std::string ToldPath() const { return directory_ / "told"; }

  // Runs forever after it has done what it was told.
  std::unique_ptr<Child> Profiler(const std::string& bytes) const {
    return std::make_unique<Child>([this, bytes] {
      const std::string configuration = AskForConfiguration(SocketDir());
      std::ofstream(ToldPath()) << configuration;
      WriteTrace(TracePath(configuration), bytes);
      ::pause();
    });
  }

  ScratchDirectory directory_;
};

TEST_F(KinetoServerTest, TakesTheTraceAndLeavesNothing) {
  const std::unique_ptr<Child> profiler = Profiler("a trace");
  const auto file = Take(*profiler);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(Contents(*file), "a trace");
  const std::filesystem::path trace = ValueOf(ContentsOf(ToldPath()), "ACTIVITIES_LOG_FILE");
  EXPECT_EQ(trace.parent_path().parent_path(), "/tmp");
  EXPECT_FALSE(std::filesystem::exists(trace.parent_path()));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "dynolog"));
}

TEST_F(KinetoServerTest, TellsHowLongAndWhat) {
  const std::unique_ptr<Child> profiler = Profiler("");
  ASSERT_TRUE(Take(*profiler).ok());
  EXPECT_THAT(ContentsOf(ToldPath()),
              AllOf(HasSubstr("ACTIVITIES_DURATION_MSECS=300\n"), HasSubstr("ACTIVITIES_WARMUP_PERIOD_SECS=0\n"),
                    HasSubstr("PROFILE_WITH_STACK=true\n")));
}

TEST_F(KinetoServerTest, ItsDirectoryIsOfTheUserAlone) {
  Child profiler([this] {
    const std::string path = TracePath(AskForConfiguration(SocketDir()));
    struct stat status;
    ::stat(std::filesystem::path(path).parent_path().c_str(), &status);
    WriteTrace(path, std::to_string(status.st_mode & 07777) + " " + std::to_string(status.st_uid));
    ::pause();
  });
  const auto file = Take(profiler);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(Contents(*file), std::to_string(0700) + " " + std::to_string(::getuid()));
}

TEST_F(KinetoServerTest, HearsNobodyElse) {
  // Each sends what would be answered, were it from the process that is meant, and much that makes no sense.
  const auto flood = [this] {
    const DynologClient client(SocketDir(), "dynoconfigclient" + std::to_string(::getpid()));
    std::mt19937 random(static_cast<unsigned>(::getpid()));
    for (int i = 0; i < 5000; ++i) {
      client.Send(EncodeDynologRequest({.activities = 3, .pids = {static_cast<int32_t>(::getppid())}}), MSG_DONTWAIT);
      std::string noise = Request();
      noise[random() % noise.size()] = static_cast<char>(random());
      client.Send(noise, MSG_DONTWAIT);
      client.Send(std::string(random() % 5000, 'x'), MSG_DONTWAIT);
      std::string giant = Request();
      std::memset(giant.data(), 0xff, 8);
      client.Send(giant, MSG_DONTWAIT);
    }
  };
  Child one(flood);
  Child two(flood);
  const Child eavesdropper([this] { std::ofstream(directory_ / "leaked") << AskForConfiguration(SocketDir()); });
  const std::unique_ptr<Child> profiler = Profiler("a trace");
  const auto file = Take(*profiler);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(Contents(*file), "a trace");
  EXPECT_THAT(ContentsOf(directory_ / "leaked"), IsEmpty());
}

// Sends for ever, as fast as it can.
void Flood(const std::string& directory) {
  const DynologClient client(directory, "dynoconfigclient" + std::to_string(::getpid()));
  const std::string wanted = EncodeDynologRequest({.activities = 3, .pids = {static_cast<int32_t>(::getppid())}});
  for (;;) {
    client.Send(wanted);
    client.Send(std::string(4000, 'x'));
  }
}

TEST_F(KinetoServerTest, AFloodThatDoesNotEndKeepsTheProcessNotFromAsking) {
  const Child one([this] { Flood(SocketDir()); });
  const Child two([this] { Flood(SocketDir()); });
  const std::unique_ptr<Child> profiler = Profiler("a trace");
  const auto file = Take(*profiler);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(Contents(*file), "a trace");
}

TEST_F(KinetoServerTest, AFloodThatDoesNotEndDoesNotPutOffTheDeadlineNorTheStop) {
  const Child one([this] { Flood(SocketDir()); });
  const Child two([this] { Flood(SocketDir()); });
  Child silent([] { ::pause(); });
  EXPECT_EQ(Take(silent, absl::Milliseconds(300)).status().code(), absl::StatusCode::kDeadlineExceeded);
  const UniqueFd stop(::eventfd(1, EFD_CLOEXEC));
  EXPECT_EQ(TakeKinetoTrace(TargetOf(silent), {.duration = absl::Milliseconds(300), .ask_timeout = kLong}, stop.get())
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

TEST_F(KinetoServerTest, RemovesWhatADaemonThatWasKilledLeftAndNothingElse) {
  const std::filesystem::path left = "/tmp/dsocr-" + std::string(27, '0') + std::to_string(10000 + ::getpid() % 90000);
  const std::filesystem::path in_use = left.string().replace(11, 1, "a");
  const std::filesystem::path named = left.string() + "-of-the-job";
  for (const auto& path : {left, in_use, named}) {
    std::filesystem::create_directory(path);
    std::ofstream(path / "trace.json.tmp") << "half";
  }
  const UniqueFd lock(::open(in_use.c_str(), O_DIRECTORY | O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);  // as the daemon does that uses it
  Child silent([] { ::pause(); });
  (void)Take(silent, absl::Milliseconds(20));
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_TRUE(std::filesystem::exists(in_use / "trace.json.tmp"));
  EXPECT_TRUE(std::filesystem::exists(named / "trace.json.tmp"));
  std::filesystem::remove_all(in_use);
  std::filesystem::remove_all(named);
}

TEST_F(KinetoServerTest, SaysThatTheProcessDidNotAsk) {
  Child silent([] { ::pause(); });
  const auto file = Take(silent, absl::Milliseconds(20));
  EXPECT_EQ(file.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(file.status().message()), HasSubstr("the process did not ask for something to record"));
}

TEST_F(KinetoServerTest, SaysThatAProfilerIsAtWork) {
  Child busy([this] { AskForConfiguration(SocketDir(), 1); });
  // Whoever is busy is told nothing and asks again.
  const auto file = Take(busy, absl::Milliseconds(500));
  EXPECT_EQ(file.status().code(), absl::StatusCode::kFailedPrecondition) << file.status();
  EXPECT_THAT(std::string(file.status().message()), HasSubstr("a profiler is at work"));
}

TEST_F(KinetoServerTest, SaysThatTheProcessEnded) {
  Child profiler([this] { AskForConfiguration(SocketDir()); });
  const auto file = Take(profiler);
  EXPECT_EQ(file.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(file.status().message()), HasSubstr("ended before it could write its trace"));
}

TEST_F(KinetoServerTest, TakesATraceOfAProcessThatEndedThen) {
  Child profiler([this] { WriteTrace(TracePath(AskForConfiguration(SocketDir())), "the last"); });
  const auto file = Take(profiler);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(Contents(*file), "the last");
}

TEST_F(KinetoServerTest, WaitingCanBeStopped) {
  Child silent([] { ::pause(); });
  const UniqueFd stop(::eventfd(1, EFD_CLOEXEC));
  const auto file =
      TakeKinetoTrace(TargetOf(silent), {.duration = absl::Milliseconds(300), .ask_timeout = kLong}, stop.get());
  EXPECT_EQ(file.status().code(), absl::StatusCode::kCancelled);
}

TEST_F(KinetoServerTest, RefusesAnotherDaemonsName) {
  const UniqueFd other(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
  std::strcpy(name.sun_path, std::string(directory_ / "dynolog").c_str());
  ASSERT_EQ(::bind(other.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
  Child silent([] { ::pause(); });
  const auto file = Take(silent);
  EXPECT_EQ(file.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(file.status().message()), HasSubstr("a dynolog daemon already serves this machine"));
}

TEST_F(KinetoServerTest, ReplacesTheNameOfADaemonThatIsGone) {
  {
    const UniqueFd other(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
    std::strcpy(name.sun_path, std::string(directory_ / "dynolog").c_str());
    ASSERT_EQ(::bind(other.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
  }
  const std::unique_ptr<Child> profiler = Profiler("a trace");
  const auto file = Take(*profiler);
  EXPECT_TRUE(file.ok()) << file.status();
}

TEST_F(KinetoServerTest, ReadsNoFileThatIsNotTheProcesssOwn) {
  for (const bool is_symbolic : {true, false}) {
    directory_.Write("secret", "secret");
    Child profiler([this, is_symbolic] {
      const std::string path = TracePath(AskForConfiguration(SocketDir()));
      const std::string secret = directory_ / "secret";
      is_symbolic ? ::symlink(secret.c_str(), path.c_str()) : ::link(secret.c_str(), path.c_str());
      WriteTrace(path + ".wake", "");
      ::pause();
    });
    const auto file = Take(profiler);
    EXPECT_EQ(file.status().code(), absl::StatusCode::kFailedPrecondition) << file.status();
  }
}

TEST_F(KinetoServerTest, ReadsNoPipe) {
  Child profiler([this] {
    const std::string path = TracePath(AskForConfiguration(SocketDir()));
    ::mkfifo((path + ".tmp").c_str(), 0600);
    ::rename((path + ".tmp").c_str(), path.c_str());
    ::pause();
  });
  EXPECT_EQ(Take(profiler).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(KinetoServerTest, RefusesDurationsThatFillADisk) {
  Child silent([] { ::pause(); });
  for (const absl::Duration duration : {absl::ZeroDuration(), absl::Seconds(31)}) {
    EXPECT_EQ(TakeKinetoTrace(TargetOf(silent), {.duration = duration}, -1).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(KinetoServerTest, RefusesAProcessThatWasNotPrepared) {
  Child silent([] { ::pause(); });
  Target target = TargetOf(silent);
  target.uses_kineto_daemon = false;
  EXPECT_EQ(TakeKinetoTrace(target, {.duration = absl::Milliseconds(300)}, -1).status().message(),
            "process " + std::to_string(silent.pid()) + " was started without KINETO_USE_DAEMON");
}

}  // namespace
}  // namespace dsocr::attach
