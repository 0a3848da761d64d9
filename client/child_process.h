// A command that runs in our place: our streams, our terminal, our signals.
#ifndef DSOCR_CLIENT_CHILD_PROCESS_H_
#define DSOCR_CLIENT_CHILD_PROCESS_H_

#include <signal.h>
#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace dsocr::client {

class ChildProcess {
 public:
  // Holds back the signals that are the command's, from now to the end of its life. Must be made before the process has
  // other threads.
  ChildProcess();
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // `program` is looked up in PATH; `environment` is added to ours (LD_PRELOAD: put in front of ours). INVALID_ARGUMENT
  // where it cannot be started.
  absl::Status Start(const std::vector<std::string>& program, const std::map<std::string, std::string>& environment);

  // Passes on SIGINT, SIGTERM, SIGHUP and SIGQUIT that were sent to us alone (the terminal's reach the command by
  // themselves) until the command ends; its status as waitpid gives it.
  int Wait();

 private:
  sigset_t signals_;
  sigset_t old_mask_;
  pid_t pid_ = -1;
};

// "exit status 3", "killed by signal 9 (Killed)"; empty for success.
std::string DescribeWaitStatus(int wait_status);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_CHILD_PROCESS_H_
