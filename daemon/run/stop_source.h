// "Please end", said once, by anybody, to whoever polls.
#ifndef DSOCR_DAEMON_RUN_STOP_SOURCE_H_
#define DSOCR_DAEMON_RUN_STOP_SOURCE_H_

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "base/unique_fd.h"

namespace dsocr::run {

// Thread-safe.
class StopSource {
 public:
  StopSource() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  void Stop() {
    is_stopped_ = true;
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(event_.get(), &one, sizeof(one));
  }
  bool is_stopped() const { return is_stopped_; }
  int fd() const { return event_.get(); }  // readable once stopped, for poll()

 private:
  UniqueFd event_;
  std::atomic<bool> is_stopped_ = false;
};

}  // namespace dsocr::run

#endif  // DSOCR_DAEMON_RUN_STOP_SOURCE_H_
