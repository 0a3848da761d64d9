#include "client/child_process.h"

#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/unique_fd.h"
#include "fmt/format.h"

namespace dsocr::client {
namespace {

constexpr int kForwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
constexpr char kPreload[] = "LD_PRELOAD";

std::vector<std::string> MergedEnvironment(std::map<std::string, std::string> added) {
  std::vector<std::string> merged;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('='));
    const auto replaced = added.find(name);
    if (replaced == added.end()) {
      merged.push_back(text);
    } else if (name == kPreload && text.size() > name.size() + 1) {
      replaced->second += ':';
      replaced->second += text.substr(name.size() + 1);
    }
  }
  for (const auto& [name, value] : added) {
    merged.push_back(fmt::format("{}={}", name, value));
  }
  return merged;
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

ChildProcess::ChildProcess() {
  ::sigemptyset(&signals_);
  for (const int signal : kForwarded) {
    ::sigaddset(&signals_, signal);
  }
  ::pthread_sigmask(SIG_BLOCK, &signals_, &old_mask_);
}

ChildProcess::~ChildProcess() { ::pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr); }

absl::Status ChildProcess::Start(const std::vector<std::string>& program,
                                 const std::map<std::string, std::string>& environment) {
  std::vector<std::string> words = program;
  std::vector<std::string> variables = MergedEnvironment(environment);
  const std::vector<char*> argv = Pointers(words);
  const std::vector<char*> envp = Pointers(variables);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setsigmask(&attributes, &old_mask_);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int error = ::posix_spawnp(&pid_, argv[0], nullptr, &attributes, argv.data(), envp.data());
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    return absl::InvalidArgumentError(fmt::format("command '{}': {}; give a program of your PATH, or its path",
                                                  program.front(), std::strerror(error)));
  }
  return absl::OkStatus();
}

int ChildProcess::Wait() {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  const UniqueFd signals(::signalfd(-1, &signals_, SFD_CLOEXEC | SFD_NONBLOCK));
  pollfd waited[] = {{.fd = process.get(), .events = POLLIN, .revents = 0},
                     {.fd = signals.get(), .events = POLLIN, .revents = 0}};
  while (::poll(waited, 2, -1) < 0 || (waited[0].revents & POLLIN) == 0) {
    signalfd_siginfo info;
    if (::read(signals.get(), &info, sizeof(info)) == sizeof(info) && info.ssi_code != SI_KERNEL) {
      ::kill(pid_, static_cast<int>(info.ssi_signo));
    }
  }
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::string DescribeWaitStatus(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    return fmt::format("killed by signal {} ({})", WTERMSIG(wait_status), ::strsignal(WTERMSIG(wait_status)));
  }
  return WEXITSTATUS(wait_status) == 0 ? "" : fmt::format("exit status {}", WEXITSTATUS(wait_status));
}

}  // namespace dsocr::client
