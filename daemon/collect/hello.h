// What a peer says first on an agent's socket: a hello with its ring, a refusal in words, or anything at all.
#ifndef DSOCR_DAEMON_COLLECT_HELLO_H_
#define DSOCR_DAEMON_COLLECT_HELLO_H_

#include <string>

#include "base/unique_fd.h"
#include "cupti/record/message.h"

namespace dsocr::collect {

struct ReceivedHello {
  record::Hello hello{};  // where there is a ring
  UniqueFd ring;          // what it says is its ring, not looked at; invalid: there was no hello
  std::string refusal;    // then: why not, in printable words
};

// Takes one packet from the socket, without waiting. No other descriptor that came with it stays open.
ReceivedHello ReceiveHello(int socket);

}  // namespace dsocr::collect

#endif  // DSOCR_DAEMON_COLLECT_HELLO_H_
