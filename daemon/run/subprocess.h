// A child process with its three pipes, in a process group of its own, that inherits no other descriptor of the daemon.
#ifndef DSOCR_DAEMON_RUN_SUBPROCESS_H_
#define DSOCR_DAEMON_RUN_SUBPROCESS_H_

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace dsocr::run {

struct Command {
  std::vector<std::string> arguments;              // the first is the program's absolute path
  std::map<std::string, std::string> environment;  // added to the daemon's own
};

// One thread at a time, but for Signal.
class Subprocess {
 public:
  // FAILED_PRECONDITION, naming the program, if it cannot be started.
  static absl::StatusOr<std::unique_ptr<Subprocess>> Start(const Command& command);
  ~Subprocess();  // kills what still runs, and waits for it
  Subprocess(const Subprocess&) = delete;
  Subprocess& operator=(const Subprocess&) = delete;

  pid_t pid() const { return pid_; }
  UniqueFd& input() { return input_; }    // its stdin; blocking
  UniqueFd& output() { return output_; }  // its stdout; non-blocking
  UniqueFd& talk() { return talk_; }      // its stderr; non-blocking

  // To the whole group. Nothing happens once it has been waited for.
  void Signal(int number);

  // The status as waitpid gives it, or nullopt if it still runs at `deadline`.
  std::optional<int> Wait(absl::Time deadline);

  // SIGTERM, and SIGKILL if that has no effect within `grace`; returns the status.
  int Terminate(absl::Duration grace);

 private:
  Subprocess(pid_t pid, UniqueFd process, UniqueFd input, UniqueFd output, UniqueFd talk);

  const pid_t pid_;
  UniqueFd process_;  // pidfd; readable when the process has ended
  UniqueFd input_;
  UniqueFd output_;
  UniqueFd talk_;
  std::optional<int> wait_status_;
};

// "was killed by signal 9 (SIGKILL)", "exited with code 3".
std::string DescribeWaitStatus(int wait_status);

}  // namespace dsocr::run

#endif  // DSOCR_DAEMON_RUN_SUBPROCESS_H_
