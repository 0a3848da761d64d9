// A unix socket that one daemon owns and one user may connect to.
//
// Invariants: 1. a lock file beside the socket is held as long as the listener lives, so two daemons never share a
// path, and a socket that a killed daemon left behind is replaced; 2. the socket has mode 0600, its directory, where
// the listener creates it, 0700; 3. every accepted peer has the daemon's uid or root's, as the kernel says
// (SO_PEERCRED).
#ifndef DSOCR_DAEMON_OPS_UNIX_LISTENER_H_
#define DSOCR_DAEMON_OPS_UNIX_LISTENER_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace dsocr::ops {

// The directory of a socket: created with mode 0700 if it is not there; where `must_be_private`, FAILED_PRECONDITION
// unless it is a directory of `uid` that nobody else may enter.
absl::Status PrepareSocketDir(const std::string& directory, uid_t uid, bool must_be_private);

class UnixListener {
 public:
  // ALREADY_EXISTS: a daemon serves this socket. FAILED_PRECONDITION: the path is there and is no socket. `path` has at
  // most 107 bytes.
  static absl::StatusOr<std::unique_ptr<UnixListener>> Bind(const std::string& path);
  ~UnixListener();  // Stop(), and removes the socket
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

  // Calls `accept` with each permitted connection (non-blocking, close-on-exec), `refuse` with the uid of each other,
  // on a thread of its own. REQUIRES: called once.
  void Serve(std::function<void(UniqueFd)> accept, std::function<void(uid_t)> refuse);

  // No connection is accepted after it returns. May be called again.
  void Stop();

 private:
  UnixListener(std::string path, UniqueFd lock, UniqueFd socket, UniqueFd stop)
      : path_(std::move(path)), lock_(std::move(lock)), socket_(std::move(socket)), stop_(std::move(stop)) {}
  void AcceptLoop(const std::function<void(UniqueFd)>& accept, const std::function<void(uid_t)>& refuse);

  const std::string path_;
  UniqueFd lock_;
  UniqueFd socket_;
  UniqueFd stop_;  // eventfd; readable: the loop ends
  std::thread thread_;
};

}  // namespace dsocr::ops

#endif  // DSOCR_DAEMON_OPS_UNIX_LISTENER_H_
