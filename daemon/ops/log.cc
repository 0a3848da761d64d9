#include "daemon/ops/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/time/clock.h"

namespace dsocr::ops {
namespace {

constexpr mode_t kLogMode = 0600;  // messages name the user's paths

std::string_view LevelWord(Level level) {
  switch (level) {
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
  }
  return "error";
}

}  // namespace

Log::Log(std::string path, std::function<absl::Time()> now) : path_(std::move(path)), now_(std::move(now)) {}

absl::Status Log::Reopen() {
  if (path_.empty()) {
    return absl::OkStatus();
  }
  UniqueFd file(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kLogMode));
  if (!file.valid()) {
    return absl::ErrnoToStatus(errno, fmt::format("log file '{}': cannot be opened", path_));
  }
  absl::MutexLock lock(&mutex_);
  file_ = std::move(file);
  return absl::OkStatus();
}

void Log::Write(Level level, std::string_view message) {
  const absl::Time now = now_();
  const int64_t second = absl::ToUnixSeconds(now);
  absl::MutexLock lock(&mutex_);
  if (second != second_) {
    if (suppressed_ > 0) {
      WriteLine(now, Level::kWarning,
                fmt::format("{} lines left out: more than {} a second", suppressed_, kLinesPerSecond));
    }
    second_ = second;
    lines_this_second_ = 0;
    suppressed_ = 0;
  }
  if (++lines_this_second_ > kLinesPerSecond) {
    ++suppressed_;
    return;
  }
  WriteLine(now, level, message);
}

void Log::WriteLine(absl::Time now, Level level, std::string_view message) {
  std::string line = fmt::format("{} {} {}", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", now, absl::UTCTimeZone()),
                                 LevelWord(level), message);
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  line += '\n';
  const int fd = file_.valid() ? file_.get() : STDERR_FILENO;
  // One write a line, so that lines of several processes do not mix. A log that cannot be written must not stop the
  // daemon.
  [[maybe_unused]] const ssize_t written = ::write(fd, line.data(), line.size());
}

}  // namespace dsocr::ops
