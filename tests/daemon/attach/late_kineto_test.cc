// With PyTorch itself: jobs of the venv that were started without KINETO_USE_DAEMON.
#include "daemon/attach/late_kineto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "daemon/attach/kineto.h"
#include "tests/daemon/attach/fake_profiler.h"
#include "tests/scratch_directory.h"

namespace dsocr::attach {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr absl::Duration kLong = absl::Seconds(120);
const std::string kAgent = DSOCR_BIN_DIR "/libdsocr_agent.so";

class LateKinetoTest : public ::testing::Test {
 protected:
  // In this process, which it replaces. Its stderr is a file.
  void Run(const std::string& how = "") const {
    ::dup2(::open((directory_ / "stderr").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), STDERR_FILENO);
    const std::string python = DSOCR_TEST_PYTHON;
    const std::string script = DSOCR_SOURCE_DIR "/tests/daemon/attach/late_kineto_job.py";
    const std::string directory = directory_.path();
    const std::string runtime = "XDG_RUNTIME_DIR=" + directory;
    const char* const arguments[] = {python.c_str(), script.c_str(), directory.c_str(),
                                     how.empty() ? nullptr : how.c_str(), nullptr};
    const char* const variables[] = {runtime.c_str(), "PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1", nullptr};
    ::execve(python.c_str(), const_cast<char**>(arguments), const_cast<char**>(variables));
  }

  bool Await(const std::string& file) const {
    const absl::Time deadline = absl::Now() + kLong;
    while (!std::filesystem::exists(directory_ / file) && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(10));
    }
    return std::filesystem::exists(directory_ / file);
  }
  // What torch.profiler sees in the job: events, and the job's KINETO_USE_DAEMON.
  std::string Profile(const Child& job) const {
    std::filesystem::remove(directory_ / "events");
    ::kill(job.pid(), SIGUSR1);
    std::string line;
    if (Await("events")) {
      std::getline(std::ifstream(directory_ / "events"), line);
    }
    return line;
  }

  const ScratchDirectory directory_;
};

TEST_F(LateKinetoTest, IsSwitchedOnOnceAndTheJobLivesOn) {
  Child job([this] { Run(); });
  ASSERT_TRUE(Await("running"));
  for (int time = 0; time < 2; ++time) {
    auto target = Inspect(job.pid());
    ASSERT_TRUE(target.ok()) << target.status();
    ASSERT_FALSE(target->uses_kineto_daemon);
    ASSERT_TRUE(CheckLateKineto(*target).ok()) << CheckLateKineto(*target);
    const absl::Status started = StartKineto(kAgent, &*target);
    ASSERT_TRUE(started.ok()) << started;
    EXPECT_EQ(target->kineto_socket_dir, (directory_ / "dsocr/kineto-").string() + std::to_string(job.pid()));
    const auto recording =
        RecordWithKineto(*target, {.duration = absl::Milliseconds(50), .ask_timeout = kLong}, {}, -1);
    ASSERT_TRUE(recording.ok()) << recording.status();
    EXPECT_THAT(recording->attribution.request.modules,
                Contains(Field(&attribution::ModuleSum::module_id, HasSubstr("Linear_"))));
  }
  EXPECT_THAT(Profile(job), AllOf(HasSubstr(" None"), Not(StartsWith("0"))));
  EXPECT_EQ(::kill(job.pid(), 0), 0);
  std::ifstream said(directory_ / "stderr");
  EXPECT_THAT(std::string(std::istreambuf_iterator<char>(said), {}), Not(HasSubstr("sync_send")));
}

TEST_F(LateKinetoTest, AJobThatUsedAProfilerIsRefusedAndUnharmed) {
  Child job([this] { Run("profiled"); });
  ASSERT_TRUE(Await("running"));
  auto target = Inspect(job.pid());
  ASSERT_TRUE(target.ok()) << target.status();
  const absl::Status started = StartKineto(kAgent, &*target);
  EXPECT_EQ(started.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(started.message()), HasSubstr("torch.profiler was already used in it"));
  EXPECT_THAT(Profile(job), HasSubstr(" None"));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "dsocr"));
}

TEST_F(LateKinetoTest, AnotherTorchIsRefusedFromOutside) {
  auto target = Inspect(::getpid());
  ASSERT_TRUE(target.ok());
  target->has_libtorch = true;
  target->libtorch_version = "2.12.0";
  EXPECT_EQ(CheckLateKineto(*target).code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace dsocr::attach
