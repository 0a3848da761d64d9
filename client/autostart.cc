#include "client/autostart.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/time/clock.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "fmt/format.h"

namespace dsocr::client {
namespace {

constexpr char kIdleExit[] = "15m";  // contracts section 5
constexpr absl::Duration kPollInterval = absl::Milliseconds(2);
constexpr absl::Duration kLoserPatience =
    absl::Seconds(2);  // how soon the winner of a race serves after the loser has ended

// What the daemon's process tells us before it becomes the daemon.
struct Birth {
  pid_t pid = -1;
  int exec_errno = 0;  // 0 with the pid; the error of exec in a second message
};

absl::StatusOr<UniqueFd> OpenLog(const std::string& path) {
  std::error_code error;
  const std::filesystem::path dir = std::filesystem::path(path).parent_path();
  const mode_t old_mask = ::umask(077);
  std::filesystem::create_directories(dir, error);
  UniqueFd log(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const int open_errno = errno;
  ::umask(old_mask);
  if (!log.valid()) {
    return absl::FailedPreconditionError(fmt::format(
        "log of dsocrd '{}': {}; set XDG_STATE_HOME to a directory of yours", path, std::strerror(open_errno)));
  }
  return log;
}

// Between fork and exec: async-signal-safe calls only.
[[noreturn]] void BecomeDaemon(const char* program, char* const* argv, int log_fd, int birth_fd) {
  Birth birth{.pid = ::getpid()};
  (void)!::write(birth_fd, &birth, sizeof(birth));
  const int null_fd = ::open("/dev/null", O_RDONLY);
  ::dup2(null_fd, STDIN_FILENO);
  ::dup2(log_fd, STDOUT_FILENO);
  ::dup2(log_fd, STDERR_FILENO);
  ::dup2(birth_fd, STDERR_FILENO + 1);  // closed by exec, like every later one that the caller left open
  ::fcntl(STDERR_FILENO + 1, F_SETFD, FD_CLOEXEC);
  ::syscall(SYS_close_range, STDERR_FILENO + 2, ~0U, 0);
  (void)!::chdir("/");
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD}) {
    ::signal(signal, SIG_DFL);
  }
  ::execv(program, argv);
  birth.exec_errno = errno;
  (void)!::write(STDERR_FILENO + 1, &birth, sizeof(birth));
  ::_exit(127);
}

// The daemon's pid, once exec has succeeded.
absl::StatusOr<pid_t> Spawn(const DaemonStart& start, int log_fd) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return absl::InternalError(fmt::format("dsocrd: no pipe to start it: {}", std::strerror(errno)));
  }
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  std::vector<std::string> words = {start.program, "--listen", fmt::format("unix:{}", start.socket_path), "--idle-exit",
                                    kIdleExit};
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);

  const pid_t child = ::fork();
  if (child < 0) {
    return absl::ResourceExhaustedError(fmt::format("dsocrd: cannot be started: {}", std::strerror(errno)));
  }
  if (child == 0) {
    ::setsid();
    if (::fork() != 0) {
      ::_exit(0);
    }
    BecomeDaemon(start.program.c_str(), argv.data(), log_fd, writer.get());
  }
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  writer.reset();
  Birth birth;
  pid_t pid = -1;
  while (::read(reader.get(), &birth, sizeof(birth)) == static_cast<ssize_t>(sizeof(birth))) {
    if (birth.exec_errno != 0) {
      return absl::NotFoundError(fmt::format("dsocrd '{}': {}; install it beside dsocrctl, or give --server",
                                             start.program, std::strerror(birth.exec_errno)));
    }
    pid = birth.pid;
  }
  if (pid < 0) {
    return absl::ResourceExhaustedError("dsocrd: its process could not be made; try again, or give --server");
  }
  return pid;
}

// A file descriptor that becomes readable when the process ends; invalid if it has ended.
UniqueFd OpenProcess(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

}  // namespace

bool IsServed(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path)) {
    return false;
  }
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return fd.valid() && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

absl::Status StartDaemon(const DaemonStart& start) {
  if (::access(start.program.c_str(), X_OK) != 0) {
    return absl::NotFoundError(fmt::format("dsocrd '{}': {}; install it beside dsocrctl, or give --server",
                                           start.program, std::strerror(errno)));
  }
  DSOCR_ASSIGN_OR_RETURN(const UniqueFd log, OpenLog(start.log_file));
  DSOCR_ASSIGN_OR_RETURN(const pid_t pid, Spawn(start, log.get()));
  const UniqueFd process = OpenProcess(pid);
  absl::Time give_up = absl::Now() + start.patience;
  bool has_ended = false;
  while (!IsServed(start.socket_path)) {
    if (absl::Now() >= give_up) {
      return absl::UnavailableError(fmt::format(
          "dsocrd: {}; '{}' says why", has_ended ? "it ended at its start" : "it does not serve", start.log_file));
    }
    if (has_ended || !process.valid()) {
      absl::SleepFor(kPollInterval);
      continue;
    }
    pollfd waited{.fd = process.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waited, 1, static_cast<int>(absl::ToInt64Milliseconds(kPollInterval))) > 0) {
      has_ended = true;
      give_up = std::min(give_up, absl::Now() + kLoserPatience);
    }
  }
  return absl::OkStatus();
}

}  // namespace dsocr::client
