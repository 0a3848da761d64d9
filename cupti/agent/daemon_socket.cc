#include "cupti/agent/daemon_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cupti/record/ring.h"

namespace dsocr::agent {
namespace {

constexpr int kBacklog = 8;
// A process that has no descriptor left cannot even send somebody away, and is asked again at once.
constexpr int kAcceptPauseMs = 100;

bool IsOurUser(int socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

bool IsOurDirectory(const char* path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == getuid();
}

}  // namespace

bool MakePrivate(const char* path) noexcept {
  mkdir(path, 0700);  // or it is there: looked at below
  const int fd = open(path, O_DIRECTORY | O_NOFOLLOW | O_RDONLY | O_CLOEXEC);
  struct stat status;
  const bool is_ours_alone =
      fd >= 0 && fstat(fd, &status) == 0 && status.st_uid == geteuid() && (status.st_mode & (S_IRWXG | S_IRWXO)) == 0;
  if (fd >= 0) {
    close(fd);
  }
  return is_ours_alone;
}

bool MakePrivateDirectory(char (&path)[sizeof(sockaddr_un::sun_path)]) noexcept {
  const auto fits = [&path](int length) { return length > 0 && static_cast<size_t>(length) < sizeof(path); };
  if (getuid() != geteuid()) {
    return false;
  }
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && runtime[0] == '/') {
    if (!fits(std::snprintf(path, sizeof(path), "%s/dsocr", runtime))) {
      return false;
    }
  } else {
    std::snprintf(path, sizeof(path), "/run/user/%u", getuid());
    const char* const form = IsOurDirectory(path) ? "/run/user/%u/dsocr" : "/tmp/dsocr-%u";
    std::snprintf(path, sizeof(path), form, getuid());
  }
  return MakePrivate(path);
}

int ConnectToDaemon(const sockaddr_un& address) noexcept {
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return -1;
  }
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 && IsOurUser(fd)) {
    return fd;
  }
  close(fd);
  return -1;
}

bool SendHello(int socket, int ring_fd, const char* token) noexcept {
  record::Hello hello{
      record::kMessageMagic, record::kMessageVersion, record::Opcode::kHello, getpid(), record::kDefaultRingSlots, {}};
  if (token != nullptr) {
    std::memcpy(hello.token, token, sizeof(hello.token));
  }
  iovec data{&hello, sizeof(hello)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &ring_fd, sizeof(int));
  return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(sizeof(hello));
}

void SendAnswer(int socket, const char* text, size_t size) noexcept {
  [[maybe_unused]] const ssize_t sent = send(socket, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool ReceiveControl(int socket, int timeout_ms, record::Control* control) noexcept {
  pollfd event{socket, POLLIN, 0};
  if (poll(&event, 1, timeout_ms) <= 0) {
    return false;
  }
  char bytes[sizeof(record::Control) + 1];
  const ssize_t size = recv(socket, bytes, sizeof(bytes), MSG_DONTWAIT);
  return size > 0 && record::ParseControl(bytes, static_cast<size_t>(size), control);
}

int ListenForDaemon(sockaddr_un* address) noexcept {
  char directory[sizeof(address->sun_path)];
  *address = {};
  address->sun_family = AF_UNIX;
  if (!MakePrivateDirectory(directory)) {
    return -1;
  }
  const int length = std::snprintf(address->sun_path, sizeof(address->sun_path), "%s/agent-%d", directory, getpid());
  if (length <= 0 || static_cast<size_t>(length) >= sizeof(address->sun_path)) {
    return -1;
  }
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    return -1;
  }
  unlink(address->sun_path);  // of a process of this number that did not end well
  if (bind(fd, reinterpret_cast<const sockaddr*>(address), sizeof(*address)) == 0 && listen(fd, kBacklog) == 0) {
    return fd;
  }
  close(fd);
  return -1;
}

int AcceptDaemon(int listener) noexcept {
  const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd >= 0 && IsOurUser(fd)) {
    return fd;
  }
  if (fd >= 0) {
    close(fd);
  } else {
    poll(nullptr, 0, kAcceptPauseMs);
  }
  return -1;
}

}  // namespace dsocr::agent
