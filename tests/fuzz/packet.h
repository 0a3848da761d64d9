// A hostile peer's end of a SOCK_SEQPACKET connection.
#ifndef DSOCR_TESTS_FUZZ_PACKET_H_
#define DSOCR_TESTS_FUZZ_PACKET_H_

#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "tests/fuzz/expect.h"

namespace dsocr {

struct Connection {
  UniqueFd ours;
  UniqueFd peers;

  Connection() {
    int ends[2];
    Expect(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0, "there are sockets");
    ours.reset(ends[0]);
    peers.reset(ends[1]);
  }

  void Send(std::string_view packet, const std::vector<int>& descriptors) const {
    iovec data{const_cast<char*>(packet.data()), packet.size()};
    std::vector<cmsghdr> control(1 + CMSG_SPACE(sizeof(int) * descriptors.size()) / sizeof(cmsghdr));
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors.size());
      cmsghdr* const header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
      std::memcpy(CMSG_DATA(header), descriptors.data(), sizeof(int) * descriptors.size());
    }
    Expect(sendmsg(peers.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0, "a packet can be sent");
  }
};

// The number that the next descriptor gets: as before, unless one stayed open.
inline int NextDescriptor() {
  const int fd = dup(STDERR_FILENO);
  close(fd);
  return fd;
}

}  // namespace dsocr

#endif  // DSOCR_TESTS_FUZZ_PACKET_H_
