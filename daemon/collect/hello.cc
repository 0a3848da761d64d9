#include "daemon/collect/hello.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace dsocr::collect {
namespace {

ReceivedHello NoHello(std::string_view why) {
  ReceivedHello received;
  received.refusal = why;
  const auto is_odd = [](char letter) { return letter < ' ' || letter > '~'; };  // a process may say anything
  std::replace_if(received.refusal.begin(), received.refusal.end(), is_odd, '?');
  return received;
}

}  // namespace

ReceivedHello ReceiveHello(int socket) {
  char bytes[record::kMaxRefusalBytes];
  static_assert(sizeof(bytes) > sizeof(record::Hello));
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  iovec data{bytes, sizeof(bytes)};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_LEN(sizeof(int));  // with its padding, two descriptors would fit
  const ssize_t size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  ReceivedHello received;
  const cmsghdr* header = size < 0 ? nullptr : CMSG_FIRSTHDR(&message);  // an empty packet can bring one as well
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
      header->cmsg_len >= CMSG_LEN(sizeof(int))) {
    int fd;
    std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    received.ring.reset(fd);
  }
  if (size <= 0) {
    return NoHello("the process closed the connection");
  }
  if (bytes[0] == record::kRefusalMark) {
    return NoHello(size == 1 ? "the process does not say why"
                             : std::string_view(bytes, static_cast<size_t>(size)).substr(1));
  }
  if (!record::ParseHello(bytes, static_cast<size_t>(size), &received.hello)) {
    return NoHello("what it said is no hello of this version");
  }
  if (!received.ring.valid()) {
    return NoHello("its hello came without a ring");
  }
  return received;
}

}  // namespace dsocr::collect
