// The socket between this process and a daemon, as cupti/record/message.h describes it, and where a prepared process
// waits for one. Nothing here blocks but for the time that it is given.
#ifndef DSOCR_CUPTI_AGENT_DAEMON_SOCKET_H_
#define DSOCR_CUPTI_AGENT_DAEMON_SOCKET_H_

#include <sys/un.h>

#include "cupti/record/message.h"

namespace dsocr::agent {

// Connected to a daemon of our user or of root; -1: not.
int ConnectToDaemon(const sockaddr_un& address) noexcept;

// The first packet, with the ring's descriptor. `token`: record::kTokenBytes; null: zeros.
bool SendHello(int socket, int ring_fd, const char* token) noexcept;

// What the daemon asked for, as text.
void SendAnswer(int socket, const char* text, size_t size) noexcept;

// False: nothing came in time, or something else than an order.
bool ReceiveControl(int socket, int timeout_ms, record::Control* control) noexcept;

// A directory of our user's alone, mode 0700. Made where it is not there; false: it is somebody else's, a link, or open
// to others.
bool MakePrivate(const char* path) noexcept;

// The daemon's own place: $XDG_RUNTIME_DIR/dsocr, else /run/user/UID/dsocr, else /tmp/dsocr-UID. False: as above.
bool MakePrivateDirectory(char (&path)[sizeof(sockaddr_un::sun_path)]) noexcept;

// Listens on agent-PID in that directory. The socket, and its path for who removes it; -1: refused.
int ListenForDaemon(sockaddr_un* address) noexcept;

// Who has connected: a daemon of our user or of root; -1: none, and somebody else is sent away.
int AcceptDaemon(int listener) noexcept;

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_DAEMON_SOCKET_H_
