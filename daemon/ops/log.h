// The daemon's log: one line an event, "2026-11-21T12:07:46.123Z info run r-1: measuring".
//
// A flood is cut: past kLinesPerSecond the rest of that second is counted, and the count is a line of its own.
// Thread-safe.
#ifndef DSOCR_DAEMON_OPS_LOG_H_
#define DSOCR_DAEMON_OPS_LOG_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "fmt/format.h"

namespace dsocr::ops {

enum class Level { kInfo, kWarning, kError };

class Log {
 public:
  // Enough for every event of a busy daemon, too little to fill a disk: 200 lines of 150 bytes are 30 KB/s.
  static constexpr int kLinesPerSecond = 200;

  // `path`: absolute, appended to; empty: stderr.
  explicit Log(std::string path, std::function<absl::Time()> now = &absl::Now);

  // Opens the file anew, for log rotation. On failure the old one stays in use.
  absl::Status Reopen();

  template <typename... Args>
  void Info(fmt::format_string<Args...> text, Args&&... args) {
    Write(Level::kInfo, fmt::format(text, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void Warning(fmt::format_string<Args...> text, Args&&... args) {
    Write(Level::kWarning, fmt::format(text, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void Error(fmt::format_string<Args...> text, Args&&... args) {
    Write(Level::kError, fmt::format(text, std::forward<Args>(args)...));
  }

  // Control characters of `message` become '?': a peer cannot forge lines.
  void Write(Level level, std::string_view message);

 private:
  void WriteLine(absl::Time now, Level level, std::string_view message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  const std::function<absl::Time()> now_;
  absl::Mutex mutex_;
  UniqueFd file_ ABSL_GUARDED_BY(mutex_);  // invalid: stderr
  int64_t second_ ABSL_GUARDED_BY(mutex_) = 0;
  int lines_this_second_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t suppressed_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace dsocr::ops

#endif  // DSOCR_DAEMON_OPS_LOG_H_
