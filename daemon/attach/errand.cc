#include "daemon/attach/errand.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include "fmt/format.h"

namespace dsocr::attach {
namespace {

constexpr size_t kLongestWords = 2048;

void CloseAllBut(std::vector<int> kept) {
  std::sort(kept.begin(), kept.end());
  unsigned first = STDERR_FILENO + 1;
  for (const int fd : kept) {
    if (fd >= static_cast<int>(first)) {
      if (fd > static_cast<int>(first)) {
        ::close_range(first, static_cast<unsigned>(fd) - 1, 0);
      }
      first = static_cast<unsigned>(fd) + 1;
    }
  }
  ::close_range(first, ~0U, 0);
}

// One packet: the code, the words behind it; the descriptor, if it is one.
void Tell(int socket, const absl::StatusOr<UniqueFd>& result) {
  int code = static_cast<int>(result.status().code());
  std::string words(result.status().message().substr(0, kLongestWords));
  iovec parts[] = {{&code, sizeof(code)}, {words.data(), words.size()}};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  if (result.ok()) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = result->get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  }
  [[maybe_unused]] const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);  // nobody may be there any more
}

absl::StatusOr<UniqueFd> Hear(int socket) {
  int code = 0;
  char words[kLongestWords];
  iovec parts[] = {{&code, sizeof(code)}, {words, sizeof(words)}};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t size = -1;
  do {
    size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < static_cast<ssize_t>(sizeof(code))) {
    return absl::InternalError("the process that was to do it ended without a word; retry");
  }
  if (code != 0) {
    return absl::Status(static_cast<absl::StatusCode>(code),
                        std::string(words, static_cast<size_t>(size) - sizeof(code)));
  }
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) {
    return absl::InternalError("no descriptor came; too many are open");
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
  return UniqueFd(fd);
}

}  // namespace

absl::StatusOr<UniqueFd> DoInChild(const std::vector<int>& kept,
                                   const std::function<absl::StatusOr<UniqueFd>()>& work) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return absl::InternalError(fmt::format("socketpair: {}", std::strerror(errno)));
  }
  const UniqueFd ours(ends[0]);
  UniqueFd childs(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) {
    return absl::InternalError(fmt::format("fork: {}; retry", std::strerror(errno)));
  }
  if (child == 0) {
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
    ::setsid();
    std::vector<int> open = kept;
    open.push_back(childs.get());
    CloseAllBut(std::move(open));
    Tell(childs.get(), work());
    ::_exit(0);
  }
  childs.reset();
  absl::StatusOr<UniqueFd> result = Hear(ours.get());
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return result;
}

}  // namespace dsocr::attach
