#include "daemon/attach/kineto_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/status.h"
#include "daemon/attach/dynolog.h"
#include "daemon/attach/target_files.h"
#include "fmt/format.h"

namespace dsocr::attach {
namespace {

constexpr char kTraceFile[] = "trace.json";
// Writing takes about ten times as long as recording did, with stacks, on a core of its own.
constexpr absl::Duration kWriteTimeout = absl::Seconds(60);
constexpr int kWriteTimeoutPerDuration = 30;

// --- The socket

// Datagrams from here come with the sender's pid and user.
absl::StatusOr<UniqueFd> MakeSocket() {
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  if (!socket.valid() || ::setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0) {
    return absl::ErrnoToStatus(errno, "no socket");
  }
  return socket;
}

absl::Status NotBound(int error) {
  if (error == EADDRINUSE) {
    return absl::FailedPreconditionError(
        "a dynolog daemon already serves this machine; stop it, or start the job with KINETO_IPC_SOCKET_DIR");
  }
  return absl::ErrnoToStatus(error, "the name that PyTorch asks on cannot be had");
}

absl::StatusOr<UniqueFd> BindAbstract() {
  DSOCR_ASSIGN_OR_RETURN(UniqueFd socket, MakeSocket());
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::memcpy(address.sun_path + 1, kDynologName.data(), kDynologName.size());
  const size_t length = offsetof(sockaddr_un, sun_path) + 1 + kDynologName.size() + 1;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(length)) != 0) {
    return NotBound(errno);
  }
  return socket;
}

bool IsSame(const struct stat& a, const struct stat& b) { return a.st_ino == b.st_ino && a.st_dev == b.st_dev; }

// Moves the calling thread into a namespace of the process, unless it is there.
absl::Status Enter(int proc, const char* name, int kind) {
  struct stat theirs;
  struct stat ours;
  const std::string path = fmt::format("ns/{}", name);
  const UniqueFd space(::openat(proc, path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!space.valid() || ::fstat(space.get(), &theirs) != 0 ||
      ::stat(fmt::format("/proc/thread-self/{}", path).c_str(), &ours) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("the process's {} namespace cannot be seen", name));
  }
  if (!IsSame(theirs, ours) && ::setns(space.get(), kind) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("the process's {} namespace cannot be entered", name));
  }
  return absl::OkStatus();
}

// Makes the calling thread see files as the process does, and touch them with no more rights than its user has.
absl::Status SeeFilesOf(int proc, uid_t uid, gid_t gid) {
  const UniqueFd root(::openat(proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid() || ::unshare(CLONE_FS) != 0) {
    return absl::ErrnoToStatus(errno, "the process's file system cannot be seen");
  }
  DSOCR_RETURN_IF_ERROR(Enter(proc, "mnt", CLONE_NEWNS));
  struct stat theirs;
  struct stat ours;
  if (::fstat(root.get(), &theirs) != 0 || ::stat("/", &ours) != 0 ||
      (!IsSame(theirs, ours) && (::fchdir(root.get()) != 0 || ::chroot(".") != 0))) {
    return absl::ErrnoToStatus(errno, "the process's file system cannot be entered");
  }
  if (::geteuid() != uid) {  // of this thread alone; the functions of libc would change all
    ::syscall(SYS_setfsgid, gid);
    ::syscall(SYS_setfsuid, uid);
  }
  return absl::OkStatus();
}

// Runs `make` on a thread of its own, which may go where the daemon must not.
template <typename Make>
absl::StatusOr<UniqueFd> OnOwnThread(const Make& make) {
  absl::StatusOr<UniqueFd> made = absl::UnknownError("");
  std::thread([&made, &make] { made = make(); }).join();
  return made;
}

sockaddr_un AddressIn(int directory, std::string_view name) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const auto end =
      fmt::format_to_n(address.sun_path, sizeof(address.sun_path) - 1, "/proc/self/fd/{}/{}", directory, name);
  *end.out = '\0';
  return address;
}

// Makes way where nobody answers any more.
absl::Status RemoveStale(int directory, const sockaddr_un& address) {
  struct stat status;
  const UniqueFd probe(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::fstatat(directory, kDynologName.data(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISSOCK(status.st_mode) ||
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ||
      errno != ECONNREFUSED) {
    return NotBound(EADDRINUSE);
  }
  ::unlinkat(directory, kDynologName.data(), 0);
  return absl::OkStatus();
}

// The name on which the process asks. Gone at the end of the scope.
class Name {
 public:
  static absl::StatusOr<Name> Bind(int proc, const Target& target, gid_t gid);

  Name(Name&&) = default;
  Name& operator=(Name&&) = delete;
  ~Name() {
    if (directory_.valid()) {
      ::unlinkat(directory_.get(), kDynologName.data(), 0);
    }
  }

  int socket() const { return socket_.get(); }
  // To who sent from `address`, as far as it takes it now.
  void Reply(const sockaddr_un& address, socklen_t length, std::string_view configuration) const;

 private:
  Name(UniqueFd socket, UniqueFd directory) : socket_(std::move(socket)), directory_(std::move(directory)) {}

  UniqueFd socket_;
  UniqueFd directory_;  // invalid: the name is abstract
};

// PyTorch ends its process (std::terminate) when an answer comes from a name that does not begin with its own
// KINETO_IPC_SOCKET_DIR. So the path must be bound as the process writes it, where the process sees it.
absl::StatusOr<UniqueFd> BindPath(int proc, int directory, const Target& target, gid_t gid) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const std::string path = fmt::format("{}/{}", target.kineto_socket_dir, kDynologName);
  if (path.size() >= sizeof(address.sun_path) || !path.starts_with('/')) {
    return absl::FailedPreconditionError(fmt::format(
        "KINETO_IPC_SOCKET_DIR of the process is '{}': not absolute, or too long", target.kineto_socket_dir));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  DSOCR_RETURN_IF_ERROR(SeeFilesOf(proc, target.uid, gid));
  DSOCR_ASSIGN_OR_RETURN(UniqueFd socket, MakeSocket());
  const auto* const name = reinterpret_cast<const sockaddr*>(&address);
  int bound = ::bind(socket.get(), name, sizeof(address));
  if (bound != 0 && errno == EADDRINUSE) {
    DSOCR_RETURN_IF_ERROR(RemoveStale(directory, address));
    bound = ::bind(socket.get(), name, sizeof(address));
  }
  if (bound != 0) {
    return NotBound(errno);
  }
  if (::fchmodat(directory, kDynologName.data(), 0600, 0) != 0) {
    const int error = errno;
    ::unlinkat(directory, kDynologName.data(), 0);
    return absl::ErrnoToStatus(error, "the socket cannot be made private");
  }
  return socket;
}

absl::StatusOr<Name> Name::Bind(int proc, const Target& target, gid_t gid) {
  if (target.kineto_socket_dir.empty()) {
    DSOCR_ASSIGN_OR_RETURN(UniqueFd socket, OnOwnThread([proc]() -> absl::StatusOr<UniqueFd> {
                             DSOCR_RETURN_IF_ERROR(Enter(proc, "net", CLONE_NEWNET));
                             return BindAbstract();
                           }));
    return Name(std::move(socket), UniqueFd());
  }
  DSOCR_ASSIGN_OR_RETURN(UniqueFd directory, OpenTargetDirectory(proc, target.kineto_socket_dir));
  DSOCR_ASSIGN_OR_RETURN(UniqueFd socket, OnOwnThread([proc, gid, &directory, &target] {
                           return BindPath(proc, directory.get(), target, gid);
                         }));
  return Name(std::move(socket), std::move(directory));
}

void Name::Reply(const sockaddr_un& address, socklen_t length, std::string_view configuration) const {
  sockaddr_un reachable = address;
  if (directory_.valid()) {  // a path, of the process's mount namespace
    const size_t bytes = length - offsetof(sockaddr_un, sun_path);
    std::string_view path(address.sun_path, ::strnlen(address.sun_path, bytes));
    path.remove_prefix(path.rfind('/') + 1);
    reachable = AddressIn(directory_.get(), path);
    length = sizeof(reachable);
  }
  const std::string datagram = EncodeDynologReply(configuration);
  ::sendto(socket_.get(), datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&reachable), length);
}

struct Question {
  DynologRequest request;
  sockaddr_un address{};
  socklen_t address_bytes = 0;
};

// The next datagram that is a question of the wanted process, who can be answered; nullopt: there is none among the
// next `limit`. What somebody else sends is not even looked at: a flood is to be through before it fills the socket
// again.
std::optional<Question> NextQuestion(int socket, const Target& target, int limit) {
  char bytes[kMaxDynologRequestBytes];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  for (int heard = 0; heard < limit; ++heard) {
    Question question;
    iovec data{bytes, sizeof(bytes)};
    msghdr message{.msg_name = &question.address,
                   .msg_namelen = sizeof(question.address),
                   .msg_iov = &data,
                   .msg_iovlen = 1,
                   .msg_control = control,
                   .msg_controllen = sizeof(control)};
    const ssize_t received = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (received < 0) {
      return std::nullopt;
    }
    const cmsghdr* const header = CMSG_FIRSTHDR(&message);
    if ((message.msg_flags & MSG_TRUNC) != 0 || header == nullptr || header->cmsg_level != SOL_SOCKET ||
        header->cmsg_type != SCM_CREDENTIALS || message.msg_namelen <= offsetof(sockaddr_un, sun_path)) {
      continue;
    }
    ucred sender{};
    std::memcpy(&sender, CMSG_DATA(header), sizeof(sender));
    if (sender.pid != target.pid || sender.uid != target.uid) {
      continue;
    }
    std::optional<DynologRequest> request = DecodeDynologRequest({bytes, static_cast<size_t>(received)});
    if (request.has_value()) {
      question.request = *std::move(request);
      question.address_bytes = message.msg_namelen;
      return question;
    }
  }
  return std::nullopt;
}

// --- Waiting

enum class Wake { kReady, kDeadline, kStopped, kEnded };

// Until `fd` is readable.
Wake WaitFor(int fd, int process, int stop_fd, absl::Time deadline) {
  for (;;) {
    pollfd polled[] = {{fd, POLLIN, 0}, {process, POLLIN, 0}, {stop_fd, POLLIN, 0}};
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) {
      return Wake::kDeadline;
    }
    const int ready = ::poll(polled, std::size(polled), static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (ready > 0) {
      return polled[2].revents != 0 ? Wake::kStopped : polled[0].revents != 0 ? Wake::kReady : Wake::kEnded;
    }
  }
}

absl::Status StatusOf(Wake wake, const Target& target, std::string_view what, absl::Duration waited) {
  switch (wake) {
    case Wake::kDeadline:
      return absl::DeadlineExceededError(
          fmt::format("the process did not {} within {:.0f} s", what, absl::ToDoubleSeconds(waited)));
    case Wake::kEnded:
      return absl::UnavailableError(fmt::format("process {} ended before it could {}", target.pid, what));
    case Wake::kStopped:
      return absl::CancelledError("cancelled");
    case Wake::kReady:
      break;
  }
  return absl::OkStatus();
}

std::string Configuration(const KinetoRequest& request, const std::string& directory) {
  return fmt::format(
      "ACTIVITIES_LOG_FILE={}/{}\nPROFILE_START_TIME=0\nACTIVITIES_WARMUP_PERIOD_SECS=0\n"
      "ACTIVITIES_DURATION_MSECS={}\n{}",
      directory, kTraceFile, absl::ToInt64Milliseconds(request.duration),
      request.with_stacks ? "PROFILE_WITH_STACK=true\n" : "");
}

// Until the process has been told what to do.
absl::Status Answer(const Name& name, const Target& target, int process, int stop_fd, const std::string& configuration,
                    absl::Duration timeout) {
  // More at once are heard after the clock and the stop were looked at.
  constexpr int kDatagramsAtOnce = 256;
  const absl::Time deadline = absl::Now() + timeout;
  bool is_busy = false;
  for (;;) {
    const Wake wake = WaitFor(name.socket(), process, stop_fd, deadline);
    if (wake == Wake::kDeadline && is_busy) {
      return absl::FailedPreconditionError("a profiler is at work in the process; wait until it is done");
    }
    DSOCR_RETURN_IF_ERROR(StatusOf(wake, target, "ask for something to record (PyTorch asks every 5 s)", timeout));
    const std::optional<Question> question = NextQuestion(name.socket(), target, kDatagramsAtOnce);
    if (!question.has_value()) {
      continue;
    }
    is_busy = (question->request.activities & DynologRequest::kActivities) == 0;
    name.Reply(question->address, question->address_bytes, is_busy ? "" : configuration);
    if (!is_busy) {
      return absl::OkStatus();
    }
  }
}

absl::StatusOr<UniqueFd> AwaitTrace(const TargetScratch& scratch, const Target& target, int process, int stop_fd,
                                    absl::Duration duration) {
  const std::string_view stem = std::string_view(kTraceFile).substr(0, std::string_view(kTraceFile).rfind('.'));
  const std::string file_name = fmt::format("{}_{}.json", stem, target.inner_pid);
  const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::string directory = fmt::format("/proc/self/fd/{}", scratch.fd());
  if (!watch.valid() || ::inotify_add_watch(watch.get(), directory.c_str(), IN_MOVED_TO | IN_CLOSE_WRITE) < 0) {
    return absl::ErrnoToStatus(errno, "the directory of the trace cannot be watched");
  }
  const absl::Duration limit = duration * kWriteTimeoutPerDuration + kWriteTimeout;
  const absl::Time deadline = absl::Now() + limit;
  for (;;) {
    DSOCR_ASSIGN_OR_RETURN(UniqueFd file, scratch.Open(file_name));
    if (file.valid()) {
      return file;
    }
    DSOCR_RETURN_IF_ERROR(StatusOf(WaitFor(watch.get(), process, stop_fd, deadline), target, "write its trace", limit));
    char events[4096];
    while (::read(watch.get(), events, sizeof(events)) > 0) {
    }
  }
}

}  // namespace

absl::StatusOr<UniqueFd> TakeKinetoTrace(const Target& target, const KinetoRequest& request, int stop_fd) {
  if (request.duration < kMinKinetoDuration || request.duration > kMaxKinetoDuration) {
    return absl::InvalidArgumentError(fmt::format("a trace of PyTorch's profiler takes from 1 ms to {:.0f} s",
                                                  absl::ToDoubleSeconds(kMaxKinetoDuration)));
  }
  if (!target.uses_kineto_daemon) {
    return absl::FailedPreconditionError(fmt::format("process {} was started without KINETO_USE_DAEMON", target.pid));
  }
  const UniqueFd proc(::open(fmt::format("/proc/{}", target.pid).c_str(), O_DIRECTORY | O_RDONLY | O_CLOEXEC));
  struct stat status;
  if (!proc.valid() || ::fstat(proc.get(), &status) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("process {}", target.pid));
  }
  const gid_t gid = status.st_gid;
  const int process = target.pidfd.get();
  DSOCR_ASSIGN_OR_RETURN(const TargetScratch scratch, TargetScratch::Make(proc.get(), target.uid, gid));
  {
    DSOCR_ASSIGN_OR_RETURN(const Name name, Name::Bind(proc.get(), target, gid));
    DSOCR_RETURN_IF_ERROR(
        Answer(name, target, process, stop_fd, Configuration(request, scratch.path()), request.ask_timeout));
  }
  return AwaitTrace(scratch, target, process, stop_fd, request.duration);
}

}  // namespace dsocr::attach
