// A process of a test: started with its input and output in pipes, killed and waited for at the end of the scope.
#ifndef DSOCR_TESTS_DAEMON_ATTACH_JOB_H_
#define DSOCR_TESTS_DAEMON_ATTACH_JOB_H_

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace dsocr::attach {

// Generous: beside other tests on a small machine.
inline constexpr absl::Duration kPatience = absl::Seconds(30);

// Whether it came true in time.
inline bool Eventually(const std::function<bool()>& claim) {
  for (const absl::Time deadline = absl::Now() + kPatience; absl::Now() < deadline;) {
    if (claim()) {
      return true;
    }
    absl::SleepFor(absl::Milliseconds(2));
  }
  return false;
}

class Job {
 public:
  explicit Job(std::vector<std::string> command) {
    int input[2];
    int output[2];
    if (::pipe(input) != 0 || ::pipe(output) != 0) {
      std::abort();
    }
    std::vector<char*> arguments;
    for (std::string& argument : command) {
      arguments.push_back(argument.data());
    }
    arguments.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(input[0], STDIN_FILENO);
      ::dup2(output[1], STDOUT_FILENO);
      for (const int fd : {input[0], input[1], output[0], output[1]}) {
        ::close(fd);
      }
      ::execvp(arguments[0], arguments.data());
      ::_exit(127);
    }
    ::close(input[0]);
    ::close(output[1]);
    input_.reset(input[1]);
    output_.reset(output[0]);
  }
  ~Job() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  pid_t pid() const { return pid_; }
  void Write(const std::string& text) { [[maybe_unused]] auto count = ::write(input_.get(), text.data(), text.size()); }
  // Its next line without the end; empty: none came.
  std::string ReadLine() {
    std::string line;
    pollfd wanted{output_.get(), POLLIN, 0};
    while (::poll(&wanted, 1, static_cast<int>(absl::ToInt64Milliseconds(kPatience))) == 1) {
      char letter = 0;
      if (::read(output_.get(), &letter, 1) != 1 || letter == '\n') {
        break;
      }
      line += letter;
    }
    return line;
  }

 private:
  pid_t pid_ = -1;
  UniqueFd input_;
  UniqueFd output_;
};

}  // namespace dsocr::attach

#endif  // DSOCR_TESTS_DAEMON_ATTACH_JOB_H_
