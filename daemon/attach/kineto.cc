#include "daemon/attach/kineto.h"

#include <poll.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <functional>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "daemon/attach/chrome_trace.h"
#include "daemon/attach/trace_fold.h"
#include "fmt/format.h"

namespace dsocr::attach {
namespace {

// Reading and folding the largest trace that ReadChromeTrace() takes: minutes, where other programs want the cores too.
constexpr absl::Duration kFoldTimeout = absl::Minutes(10);

bool IsStopped(int stop_fd) {
  pollfd polled{stop_fd, POLLIN, 0};
  return ::poll(&polled, 1, 0) > 0;
}

absl::StatusOr<ChromeTrace> Read(UniqueFd trace, const std::function<bool()>& is_cancelled) {
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Closer> file(::fdopen(trace.get(), "rb"));
  if (file == nullptr) {
    return absl::ErrnoToStatus(errno, "the trace cannot be read");
  }
  trace.release();
  std::setvbuf(file.get(), nullptr, _IONBF, 0);  // the reader takes large pieces
  absl::StatusOr<ChromeTrace> read = ReadChromeTrace(file.get(), is_cancelled);
  if (!read.ok()) {
    return absl::Status(read.status().code(), fmt::format("PyTorch's trace: {}", std::string(read.status().message())));
  }
  return read;
}

}  // namespace

absl::StatusOr<KinetoRecording> RecordWithKineto(const Target& target, const KinetoRequest& request,
                                                 attribution::Options options, int stop_fd) {
  DSOCR_ASSIGN_OR_RETURN(UniqueFd file, TakeKinetoTrace(target, request, stop_fd));
  const absl::Time deadline = absl::Now() + kFoldTimeout;
  const auto is_cancelled = [stop_fd, deadline] { return IsStopped(stop_fd) || absl::Now() > deadline; };
  DSOCR_ASSIGN_OR_RETURN(ChromeTrace trace, Read(std::move(file), is_cancelled));
  std::vector<std::string> notes;
  notes.push_back(fmt::format(
      "recorded by PyTorch's own profiler {} Python stacks, which slows Python code and small operators down {} "
      "meanwhile",
      request.with_stacks ? "with" : "without", request.with_stacks ? "2.5 to 5 times" : "1.4 to 1.7 times"));
  if (trace.left_out > 0) {
    notes.push_back(fmt::format("{} of {} events make no sense and were left out; the first: {}", trace.left_out,
                                trace.events, trace.first_left_out));
  }
  DSOCR_ASSIGN_OR_RETURN(FoldedTrace folded, FoldTrace(std::move(trace), std::move(options), is_cancelled));
  if (folded.operations == 0 && folded.module_calls == 0) {
    return absl::FailedPreconditionError(fmt::format(
        "process {} ran nothing of PyTorch while it was recorded; record for longer, or while it is at work",
        target.pid));
  }
  notes.push_back(folded.module_calls > 0 ? "modules are named by class and number, in order of their first call; "
                                            "PyTorch's profiler does not know their attribute paths"
                                          : "no call of a module was seen: times are not divided by module");
  if (folded.without_launch > 0) {
    notes.push_back(fmt::format("{} of {} device operations have no launch in the trace and are unattributed",
                                folded.without_launch, folded.operations));
  }
  if (folded.ranges_left_out > 0) {
    notes.push_back(
        fmt::format("{} calls are nested too deep, or on too many paths; their time is that of what encloses them",
                    folded.ranges_left_out));
  }
  return KinetoRecording{.attribution = std::move(folded.attribution), .notes = std::move(notes)};
}

}  // namespace dsocr::attach
