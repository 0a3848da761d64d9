// With PyTorch itself: a job of the venv that knows nothing of profilers.
#include "daemon/attach/kineto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/daemon/attach/fake_profiler.h"
#include "tests/scratch_directory.h"

namespace dsocr::attach {
namespace {

using attribution::ModuleSum;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Importing torch takes 2 s, and ten times as long on a machine that does other things too.
constexpr absl::Duration kLong = absl::Seconds(120);

class KinetoTest : public ::testing::Test {
 protected:
  // PyTorch, asked once a second, by a name that only this test knows.
  void Run(const std::string& python, const std::string& script) const {
    const std::string conf = directory_.Write("kineto.conf", "ON_DEMAND_CONFIG_UPDATE_INTERVAL_SECS=1\n");
    const std::vector<std::string> environment = {"KINETO_USE_DAEMON=1",
                                                  "KINETO_CONFIG=" + conf,
                                                  "KINETO_IPC_SOCKET_DIR=" + directory_.path().string(),
                                                  "PATH=/usr/bin:/bin",
                                                  "HOME=" + directory_.path().string(),
                                                  "PYTHONDONTWRITEBYTECODE=1"};
    std::vector<char*> variables;
    for (const std::string& variable : environment) {
      variables.push_back(const_cast<char*>(variable.c_str()));
    }
    variables.push_back(nullptr);
    const std::string running = directory_ / "running";
    const char* const argv[] = {python.c_str(), script.c_str(), running.c_str(), nullptr};
    ::execve(python.c_str(), const_cast<char**>(argv), variables.data());
  }
  void AwaitRunning() const {
    const absl::Time deadline = absl::Now() + kLong;
    while (!std::filesystem::exists(directory_ / "running") && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(10));
    }
  }

  const ScratchDirectory directory_;
};

TEST_F(KinetoTest, ShowsWhereTheTimeOfALiveJobGoesTwice) {
  Child job([this] { Run(DSOCR_TEST_PYTHON, DSOCR_SOURCE_DIR "/tests/daemon/attach/kineto_job.py"); });
  AwaitRunning();
  const auto target = Inspect(job.pid());
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->kineto_socket_dir, directory_.path());

  const auto recording = RecordWithKineto(*target, {.duration = absl::Milliseconds(100), .ask_timeout = kLong}, {}, -1);
  ASSERT_TRUE(recording.ok()) << recording.status();
  const attribution::RequestSum& request = recording->attribution.request;
  EXPECT_EQ(recording->attribution.records_invalid, 0);
  const auto is_called = [](const char* id) {
    return AllOf(Field(&ModuleSum::module_id, id), Field(&ModuleSum::calls, ::testing::Gt(0)),
                 Field(&ModuleSum::device_ns, ::testing::Gt(0)));
  };
  EXPECT_THAT(request.modules, Contains(Field(&ModuleSum::module_id, StartsWith("Net_0.Block_0.Linear_"))));
  EXPECT_THAT(request.modules, Contains(is_called("Net_0")));
  EXPECT_THAT(request.modules, Contains(is_called("Net_0.Block_1")));
  int64_t self_ns = 0;
  for (const ModuleSum& module : request.modules) {
    self_ns += module.self_device_ns;
  }
  EXPECT_EQ(self_ns, request.attributed_ns);
  EXPECT_THAT(recording->notes, Contains(HasSubstr("named by class and number")));

  const auto operators = RecordWithKineto(
      *target, {.duration = absl::Milliseconds(50), .with_stacks = false, .ask_timeout = kLong}, {}, -1);
  ASSERT_TRUE(operators.ok()) << operators.status();
  EXPECT_GT(operators->attribution.request.operations, 0);
  EXPECT_EQ(operators->attribution.request.attributed_ns, 0);
  EXPECT_THAT(operators->notes, Contains(HasSubstr("no call of a module was seen")));
  EXPECT_EQ(::kill(job.pid(), 0), 0);  // it goes on
  EXPECT_FALSE(std::filesystem::exists(directory_ / "dynolog"));
}

}  // namespace
}  // namespace dsocr::attach
