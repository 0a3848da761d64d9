#include "daemon/ops/unix_listener.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::ops {
namespace {

constexpr mode_t kSocketMode = 0600;
constexpr mode_t kPrivateDirMode = 0700;
// After a failed accept (descriptors used up, say) the pending connection keeps the socket readable; without a pause
// the loop would spin.
constexpr absl::Duration kAcceptRetry = absl::Milliseconds(50);

absl::Status Failed(std::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, fmt::format("socket '{}': {}", path, what));
}

absl::Status AlreadyRunning(const std::string& path) {
  return absl::AlreadyExistsError(
      fmt::format("socket '{}': a dsocrd already serves it; stop that one, or choose another with --listen", path));
}

absl::StatusOr<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(fmt::format("socket '{}': {} bytes; a socket path has at most {}", path,
                                                  path.size(), sizeof(address.sun_path) - 1));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  return address;
}

// Makes way for bind(): a socket nobody answers on is removed.
absl::Status RemoveStale(const std::string& path, const sockaddr_un& address) {
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0) {
    return errno == ENOENT ? absl::OkStatus() : Failed("cannot be inspected", path);
  }
  if (!S_ISSOCK(status.st_mode)) {
    return absl::FailedPreconditionError(
        fmt::format("socket '{}': the path is there and is no socket; choose another with --listen", path));
  }
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 || errno == EAGAIN) {
    return AlreadyRunning(path);
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return Failed("a stale one cannot be removed", path);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PrepareSocketDir(const std::string& directory, uid_t uid, bool must_be_private) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(directory).parent_path(), error);
  if (::mkdir(directory.c_str(), kPrivateDirMode) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, fmt::format("socket directory '{}': cannot be created", directory));
  }
  struct stat status;
  if (::lstat(directory.c_str(), &status) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("socket directory '{}': cannot be inspected", directory));
  }
  const bool is_private = S_ISDIR(status.st_mode) && status.st_uid == uid && (status.st_mode & 077) == 0;
  if (must_be_private && !is_private) {
    return absl::FailedPreconditionError(
        fmt::format("socket directory '{}': not a directory of uid {} with mode 0700; remove it, or choose another "
                    "socket with --listen",
                    directory, uid));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<UnixListener>> UnixListener::Bind(const std::string& path) {
  DSOCR_ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  const std::string lock_path = path + ".lock";
  UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kSocketMode));
  if (!lock.valid()) {
    return Failed("its lock file cannot be opened", path);
  }
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK ? AlreadyRunning(path) : Failed("cannot be locked", path);
  }
  DSOCR_RETURN_IF_ERROR(RemoveStale(path, address));
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // The mode is set before the socket listens; until then connecting fails for everybody. The backlog is as long as the
  // kernel allows: where it is full, a non-blocking connect() is told EAGAIN, which gRPC's client takes for a connection
  // in progress, and its call fails.
  if (!socket.valid() || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::chmod(path.c_str(), kSocketMode) != 0 || ::listen(socket.get(), SOMAXCONN) != 0) {
    return Failed("cannot be served", path);
  }
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop.valid()) {
    return Failed("no event descriptor", path);
  }
  return std::unique_ptr<UnixListener>(new UnixListener(path, std::move(lock), std::move(socket), std::move(stop)));
}

UnixListener::~UnixListener() {
  Stop();
  ::unlink(path_.c_str());
}

void UnixListener::Serve(std::function<void(UniqueFd)> accept, std::function<void(uid_t)> refuse) {
  thread_ = std::thread([this, accept = std::move(accept), refuse = std::move(refuse)] { AcceptLoop(accept, refuse); });
}

void UnixListener::Stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof(one));
    thread_.join();
  }
}

void UnixListener::AcceptLoop(const std::function<void(UniqueFd)>& accept, const std::function<void(uid_t)>& refuse) {
  while (true) {
    pollfd events[] = {{.fd = socket_.get(), .events = POLLIN, .revents = 0},
                       {.fd = stop_.get(), .events = POLLIN, .revents = 0}};
    if (::poll(events, std::size(events), -1) < 0 && errno != EINTR) {
      return;
    }
    if (events[1].revents != 0) {
      return;
    }
    UniqueFd connection(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!connection.valid()) {
      if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        absl::SleepFor(kAcceptRetry);
      }
      continue;
    }
    ucred peer{};
    socklen_t length = sizeof(peer);
    if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 ||
        (peer.uid != 0 && peer.uid != ::getuid())) {
      refuse(peer.uid);
      continue;
    }
    accept(std::move(connection));
  }
}

}  // namespace dsocr::ops
