#include "daemon/run/runner.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

#include "absl/time/clock.h"
#include "base/status.h"
#include "daemon/run/frame.h"
#include "fmt/format.h"

namespace dsocr::run {
namespace {

constexpr absl::Duration kKillGrace = absl::Seconds(3);   // from SIGTERM to SIGKILL
constexpr absl::Duration kExitGrace = absl::Seconds(10);  // from the last word to the exit: weights are unmapped
constexpr size_t kMaxAnswerBytes = size_t{4} << 20;       // of inspect and calibrate
constexpr size_t kMaxLineBytes = 1000;                    // of talk; longer lines are cut into several

// Cuts the runner's stderr into lines and remembers the last one, which says why it died.
class Talk {
 public:
  explicit Talk(std::function<void(std::string_view)> on_line) : on_line_(std::move(on_line)) {}

  void Append(std::string_view bytes) {
    for (const char c : bytes) {
      if (c == '\n' || line_.size() >= kMaxLineBytes) {
        EndLine();
      }
      if (c != '\n') {
        line_ += c;
      }
    }
  }

  const std::string& Last() {
    EndLine();
    return last_;
  }

 private:
  void EndLine() {
    if (!line_.empty()) {
      if (on_line_) {
        on_line_(line_);
      }
      last_ = std::exchange(line_, "");
    }
  }

  const std::function<void(std::string_view)> on_line_;
  std::string line_;
  std::string last_;
};

enum class ReadResult { kData, kNothing, kEnd };

ReadResult ReadSome(UniqueFd& fd, std::string* bytes) {
  char buffer[16 * 1024];
  const ssize_t count = ::read(fd.get(), buffer, sizeof(buffer));
  if (count > 0) {
    bytes->assign(buffer, static_cast<size_t>(count));
    return ReadResult::kData;
  }
  return count < 0 && (errno == EAGAIN || errno == EINTR) ? ReadResult::kNothing : ReadResult::kEnd;
}

// Feeds stdout to `on_output` and stderr to `talk` until stdout ends. CANCELLED once stopped, DEADLINE_EXCEEDED after
// `silence` without a byte, or what on_output returns.
absl::Status Pump(Subprocess* process, absl::Duration silence, const StopSource& stop, Talk* talk,
                  const std::function<absl::Status(std::string_view)>& on_output) {
  absl::Time last_word = absl::Now();
  std::string bytes;
  while (true) {
    pollfd events[] = {
        {.fd = process->output().get(), .events = POLLIN, .revents = 0},
        {.fd = process->talk().get(), .events = POLLIN, .revents = 0},  // -1, and ignored, once it has ended
        {.fd = stop.fd(), .events = POLLIN, .revents = 0}};
    const int64_t left_ms = absl::ToInt64Milliseconds(last_word + silence - absl::Now()) + 1;
    ::poll(events, std::size(events), static_cast<int>(std::clamp<int64_t>(left_ms, 0, INT32_MAX)));
    if (stop.is_stopped()) {
      return absl::CancelledError("dsocr-runner: the run was cancelled; start it again when it is wanted");
    }
    if (absl::Now() - last_word > silence) {
      return absl::DeadlineExceededError(fmt::format(
          "dsocr-runner: no word from it for {}; see the daemon's log, and run again", absl::FormatDuration(silence)));
    }
    if (events[1].revents != 0) {
      const ReadResult result = ReadSome(process->talk(), &bytes);
      if (result == ReadResult::kEnd) {
        process->talk().reset();
      } else if (result == ReadResult::kData) {
        talk->Append(bytes);
        last_word = absl::Now();
      }
    }
    if (events[0].revents != 0) {
      const ReadResult result = ReadSome(process->output(), &bytes);
      if (result == ReadResult::kEnd) {
        return absl::OkStatus();
      }
      if (result == ReadResult::kData) {
        last_word = absl::Now();
        DSOCR_RETURN_IF_ERROR(on_output(bytes));
      }
    }
  }
}

// What is left in the pipe when the process has gone.
void DrainTalk(Subprocess* process, Talk* talk) {
  std::string bytes;
  while (process->talk().valid() && ReadSome(process->talk(), &bytes) == ReadResult::kData) {
    talk->Append(bytes);
  }
}

absl::StatusCode CodeOfExit(int exit_code) {
  switch (exit_code) {  // contracts section 5
    case 2:
      return absl::StatusCode::kInvalidArgument;
    case 3:
      return absl::StatusCode::kNotFound;
    case 6:
      return absl::StatusCode::kPermissionDenied;
    default:
      return absl::StatusCode::kInternal;
  }
}

// A runner that ended without saying on stdout what was wrong.
absl::Status DeathOf(int wait_status, const std::string& last_line, std::string_view doing) {
  constexpr std::string_view kErrorPrefix = "dsocr-runner: error: ";
  if (WIFEXITED(wait_status) && last_line.starts_with(kErrorPrefix)) {
    return absl::Status(CodeOfExit(WEXITSTATUS(wait_status)), last_line.substr(kErrorPrefix.size()));
  }
  const std::string_view todo = WIFSIGNALED(wait_status) ? "run again, with a smaller workload if memory ran out"
                                                         : "see the daemon's log, and run again";
  return absl::InternalError(fmt::format("dsocr-runner {}: it was {}{}{}; {}", DescribeWaitStatus(wait_status), doing,
                                         last_line.empty() ? "" : ", its last words were: ", last_line, todo));
}

std::string_view Doing(v1::RunState state) {
  switch (state) {
    case v1::RUN_STATE_WARMUP:
      return "warming up";
    case v1::RUN_STATE_MEASURING:
      return "measuring";
    default:
      return "loading";
  }
}

absl::Status CheckFits(size_t request_bytes) {
  return request_bytes <= kMaxRequestBytes ? absl::OkStatus()
                                           : absl::InvalidArgumentError(fmt::format(
                                                 "prompt: the request has {} bytes, expected at most {}; shorten it",
                                                 request_bytes, kMaxRequestBytes));
}

absl::Status ProtocolError(const absl::Status& status, std::string_view doing) {
  return absl::InternalError(fmt::format("dsocr-runner broke its protocol: it sent {} while {}; is it of this version?",
                                         std::string(status.message()), doing));
}

// Follows the events of one request.
class Conversation {
 public:
  explicit Conversation(const ServeOptions& options) : options_(options) {}

  absl::Status OnOutput(std::string_view bytes) {
    frames_.Append(bytes);
    while (true) {
      absl::StatusOr<std::optional<std::string>> frame = frames_.Next();
      if (!frame.ok()) {
        return ProtocolError(frame.status(), doing());
      }
      if (!*frame) {
        return absl::OkStatus();
      }
      const absl::StatusOr<RunnerEvent> event = ParseRunnerEvent(**frame);
      if (!event.ok()) {
        return ProtocolError(event.status(), doing());
      }
      if (const auto* error = std::get_if<ErrorEvent>(&*event)) {
        return error->status;
      }
      if (const auto* state = std::get_if<StateEvent>(&*event)) {
        state_ = state->state;
      }
      is_done_ |= std::holds_alternative<DoneEvent>(*event);
      options_.on_event(*event);
    }
  }

  std::string_view doing() const { return Doing(state_); }
  bool is_done() const { return is_done_; }

 private:
  const ServeOptions& options_;
  FrameReader frames_;
  v1::RunState state_ = v1::RUN_STATE_LOADING;
  bool is_done_ = false;
};

}  // namespace

absl::Status Serve(const Command& command, const ServeOptions& options) {
  DSOCR_RETURN_IF_ERROR(CheckFits(options.request_json.size()));
  DSOCR_ASSIGN_OR_RETURN(const std::unique_ptr<Subprocess> process, Subprocess::Start(command));
  const std::string frame = EncodeFrame(options.request_json);
  // A runner that has died already gives EPIPE here; what it died of is found below.
  [[maybe_unused]] const ssize_t written = ::write(process->input().get(), frame.data(), frame.size());

  Talk talk(options.on_talk);
  Conversation conversation(options);
  const absl::Status pumped = Pump(process.get(), options.silence, *options.stop, &talk,
                                   [&](std::string_view bytes) { return conversation.OnOutput(bytes); });
  if (!pumped.ok()) {
    process->Terminate(kKillGrace);
    DrainTalk(process.get(), &talk);
    return pumped;
  }
  const std::optional<int> ended = process->Wait(absl::Now() + kExitGrace);
  const int wait_status = ended ? *ended : process->Terminate(kKillGrace);
  DrainTalk(process.get(), &talk);
  if (wait_status != 0) {
    return DeathOf(wait_status, talk.Last(), conversation.doing());
  }
  if (!conversation.is_done()) {
    return absl::InternalError(fmt::format(
        "dsocr-runner ended: it was {} and never said that it was done; is it of this version?", conversation.doing()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Ask(const Command& command, absl::Duration limit, const StopSource& stop,
                                std::string_view input) {
  DSOCR_RETURN_IF_ERROR(CheckFits(input.size()));
  DSOCR_ASSIGN_OR_RETURN(const std::unique_ptr<Subprocess> process, Subprocess::Start(command));
  [[maybe_unused]] const ssize_t written = ::write(process->input().get(), input.data(), input.size());  // as in Serve
  process->input().reset();
  Talk talk(nullptr);
  std::string answer;
  const std::string_view asked = command.arguments.size() > 1 ? std::string_view(command.arguments[1]) : "";
  const absl::Status pumped = Pump(process.get(), limit, stop, &talk, [&](std::string_view bytes) {
    answer += bytes;
    return answer.size() <= kMaxAnswerBytes
               ? absl::OkStatus()
               : absl::InternalError(fmt::format(
                     "dsocr-runner {}: it printed more than {} bytes; is it of this version?", asked, kMaxAnswerBytes));
  });
  if (!pumped.ok()) {
    process->Terminate(kKillGrace);
    return pumped;
  }
  const std::optional<int> ended = process->Wait(absl::Now() + kExitGrace);
  const int wait_status = ended ? *ended : process->Terminate(kKillGrace);
  DrainTalk(process.get(), &talk);
  if (wait_status != 0) {
    return DeathOf(wait_status, talk.Last(), fmt::format("asked to {}", asked));
  }
  return answer;
}

}  // namespace dsocr::run
