#include "daemon/run/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::run {
namespace {

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "pipe: cannot be made");
  }
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

void MakeNonBlocking(const UniqueFd& fd) { ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK); }

// The daemon's environment with `added` in place of what has the same name.
std::vector<std::string> MergedEnvironment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> merged;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!added.contains(text.substr(0, text.find('=')))) {
      merged.push_back(text);
    }
  }
  for (const auto& [name, value] : added) {
    merged.push_back(fmt::format("{}={}", name, value));
  }
  return merged;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

// A fresh process: no signal blocked or ignored, a group of its own, descriptors 0 to 2 and none else.
class SpawnSettings {
 public:
  SpawnSettings(const UniqueFd& input, const UniqueFd& output, const UniqueFd& talk) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_adddup2(&actions_, input.get(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, output.get(), STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, talk.get(), STDERR_FILENO);
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    sigset_t none;
    ::sigemptyset(&none);
    sigset_t all;
    ::sigfillset(&all);
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  int Spawn(const std::string& program, char* const* arguments, char* const* environment, pid_t* pid) const {
    return ::posix_spawn(pid, program.c_str(), &actions_, &attributes_, arguments, environment);
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Subprocess>> Subprocess::Start(const Command& command) {
  DSOCR_ASSIGN_OR_RETURN(Pipe input, MakePipe());
  DSOCR_ASSIGN_OR_RETURN(Pipe output, MakePipe());
  DSOCR_ASSIGN_OR_RETURN(Pipe talk, MakePipe());
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment = MergedEnvironment(command.environment);
  pid_t pid = -1;
  const int error = SpawnSettings(input.read_end, output.write_end, talk.write_end)
                        .Spawn(arguments.front(), Pointers(arguments).data(), Pointers(environment).data(), &pid);
  if (error != 0) {
    return absl::FailedPreconditionError(
        fmt::format("program '{}': cannot be started: {}; is the installation complete?", command.arguments.front(),
                    std::strerror(error)));
  }
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  MakeNonBlocking(output.read_end);
  MakeNonBlocking(talk.read_end);
  return std::unique_ptr<Subprocess>(new Subprocess(pid, std::move(process), std::move(input.write_end),
                                                    std::move(output.read_end), std::move(talk.read_end)));
}

Subprocess::Subprocess(pid_t pid, UniqueFd process, UniqueFd input, UniqueFd output, UniqueFd talk)
    : pid_(pid),
      process_(std::move(process)),
      input_(std::move(input)),
      output_(std::move(output)),
      talk_(std::move(talk)) {}

Subprocess::~Subprocess() {
  Signal(SIGKILL);
  Wait(absl::InfiniteFuture());
}

void Subprocess::Signal(int number) {
  if (!wait_status_) {
    ::kill(-pid_, number);
  }
}

std::optional<int> Subprocess::Wait(absl::Time deadline) {
  while (!wait_status_) {
    // The pidfd tells at once; the tick serves kernels that have none.
    constexpr int kTickMs = 50;
    pollfd event{.fd = process_.get(), .events = POLLIN, .revents = 0};
    ::poll(&event, 1, kTickMs);
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      wait_status_ = status;
    } else if (absl::Now() >= deadline) {
      return std::nullopt;
    }
  }
  return wait_status_;
}

int Subprocess::Terminate(absl::Duration grace) {
  Signal(SIGTERM);
  if (const std::optional<int> status = Wait(absl::Now() + grace)) {
    return *status;
  }
  Signal(SIGKILL);
  return *Wait(absl::InfiniteFuture());
}

std::string DescribeWaitStatus(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const int number = WTERMSIG(wait_status);
    const char* const name = ::sigabbrev_np(number);
    return fmt::format("was killed by signal {} (SIG{})", number, name == nullptr ? "?" : name);
  }
  return fmt::format("exited with code {}", WEXITSTATUS(wait_status));
}

}  // namespace dsocr::run
