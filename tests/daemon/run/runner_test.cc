#include "daemon/run/runner.h"

#include <signal.h>

#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/scratch_directory.h"

namespace dsocr::run {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class RunnerTest : public ::testing::Test {
 protected:
  RunnerTest() {
    ::signal(SIGPIPE, SIG_IGN);  // as dsocrd does
    options_.request_json = "{}";
    options_.silence = absl::Seconds(30);
    options_.stop = &stop_;
    options_.on_event = [this](const RunnerEvent& event) { events_.push_back(event); };
    options_.on_talk = [this](std::string_view line) { talk_.emplace_back(line); };
  }
  absl::Status ServeAs(const std::string& mode) {
    return Serve({.arguments = {DSOCR_FAKE_RUNNER, "serve"}, .environment = {{"FAKE_RUNNER", mode}}}, options_);
  }
  void ExpectInternal(const std::string& mode, const std::string& text) {
    const absl::Status status = ServeAs(mode);
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << mode;
    EXPECT_THAT(std::string(status.message()), HasSubstr(text)) << mode;
  }

  StopSource stop_;
  ServeOptions options_;
  std::vector<RunnerEvent> events_;
  std::vector<std::string> talk_;
};

TEST_F(RunnerTest, GoodRunTellsEveryEventInOrder) {
  ASSERT_TRUE(ServeAs("").ok());
  ASSERT_EQ(events_.size(), 8u);
  EXPECT_TRUE(std::holds_alternative<StateEvent>(events_.front()));
  EXPECT_TRUE(std::holds_alternative<DoneEvent>(events_.back()));
  EXPECT_THAT(talk_, Contains("fake runner talks"));
}

TEST_F(RunnerTest, DeathBySignalIsNamedWithWhatItWasDoing) {
  ExpectInternal("sigkill", "dsocr-runner was killed by signal 9 (SIGKILL): it was measuring");
  ExpectInternal("abort", "dsocr-runner was killed by signal 6 (SIGABRT): it was loading");
}

TEST_F(RunnerTest, BrokenProtocolIsAnErrorAndTheProcessIsGone) {
  ExpectInternal("garbage", "a frame that is no JSON object while measuring");
  ExpectInternal("giant", "a frame of 4294967295 bytes");
  ExpectInternal("truncated", "never said that it was done");
  ExpectInternal("undone", "never said that it was done");
}

TEST_F(RunnerTest, ErrorOfTheProtocolIsTheStatus) {
  const absl::Status status = ServeAs("error");
  EXPECT_EQ(status, absl::InvalidArgumentError("model '/m': tensor 'a' is short; fetch it anew"));
}

TEST_F(RunnerTest, ErrorLineAndExitCodeAreTheStatus) {
  const absl::Status status = ServeAs("exit3");
  EXPECT_EQ(status, absl::NotFoundError("no device 'cuda:9': this machine has none; use cpu"));
}

TEST_F(RunnerTest, SilenceHasALimit) {
  options_.silence = absl::Milliseconds(100);
  EXPECT_EQ(ServeAs("silent").code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(RunnerTest, StopEndsTheRun) {
  stop_.Stop();
  EXPECT_EQ(ServeAs("silent").code(), absl::StatusCode::kCancelled);
}

TEST_F(RunnerTest, RunnerThatIgnoresSigtermIsKilled) {
  options_.on_talk = [this](std::string_view) { stop_.Stop(); };
  EXPECT_EQ(ServeAs("stubborn").code(), absl::StatusCode::kCancelled);
}

TEST_F(RunnerTest, MissingProgramIsAnErrorThatNamesIt) {
  const absl::Status status = Serve({.arguments = {"/nonexistent/dsocr-runner", "serve"}, .environment = {}}, options_);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'/nonexistent/dsocr-runner': cannot be started"));
}

TEST_F(RunnerTest, OverlongRequestIsRefusedBeforeAnythingStarts) {
  options_.request_json = std::string(kMaxRequestBytes + 1, ' ');
  EXPECT_EQ(ServeAs("").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(events_.empty());
}

TEST_F(RunnerTest, AskGivesWhatTheCommandPrinted) {
  const auto answer = Ask({.arguments = {DSOCR_FAKE_RUNNER, "inspect"}, .environment = {}}, absl::Seconds(30), stop_);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(*answer, HasSubstr("\"page_width\": 300"));
}

TEST_F(RunnerTest, AskHandsItsInputToTheCommand) {
  const ScratchDirectory directory;
  const std::string seen = directory / "seen";
  const auto answer = Ask({.arguments = {DSOCR_FAKE_RUNNER, "analyze"}, .environment = {{"FAKE_RUNNER_TRACE", seen}}},
                          absl::Seconds(30), stop_, "{\"context\": 7}");
  ASSERT_TRUE(answer.ok()) << answer.status();
  std::ifstream file(seen);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "{\"context\": 7}");
}

TEST_F(RunnerTest, AskTurnsAnErrorLineIntoItsStatus) {
  const auto answer = Ask({.arguments = {DSOCR_FAKE_RUNNER, "fly"}, .environment = {}}, absl::Seconds(30), stop_);
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace dsocr::run
