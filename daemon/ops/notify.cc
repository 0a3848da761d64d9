#include "daemon/ops/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "base/unique_fd.h"

namespace dsocr::ops {

bool Notify(std::string_view notify_socket, std::string_view state) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const bool is_abstract = notify_socket.starts_with('@');
  if (notify_socket.size() >= sizeof(address.sun_path) || (!is_abstract && !notify_socket.starts_with('/'))) {
    return false;
  }
  std::memcpy(address.sun_path, notify_socket.data(), notify_socket.size());
  if (is_abstract) {
    address.sun_path[0] = '\0';
  }
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + notify_socket.size());
  return socket.valid() &&
         ::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
                  length) == static_cast<ssize_t>(state.size());
}

}  // namespace dsocr::ops
