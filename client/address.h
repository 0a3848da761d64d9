// Where the daemon is.
#ifndef DSOCR_CLIENT_ADDRESS_H_
#define DSOCR_CLIENT_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/command_line.h"
#include "client/io.h"

namespace dsocr::client {

struct Address {
  std::string text;             // "unix:/abs/path" or "HOST:PORT"
  std::string socket_path;      // absolute; empty for TCP
  std::string target;           // what gRPC takes; literal IP addresses need no resolver
  bool may_be_started = false;  // the default address: a daemon may be started there
};

// --server, else DSOCR_SERVER, else the user's own socket: $XDG_RUNTIME_DIR/dsocr/dsocrd.sock, else below /run/user/UID
// if that is ours, else below /tmp/dsocr-UID. INVALID_ARGUMENT for a malformed address, PERMISSION_DENIED where the
// default directory belongs to somebody else or others may write in it.
absl::StatusOr<Address> ResolveAddress(const CommandLine& line, const Io& io);

// $XDG_STATE_HOME/dsocr, else $HOME/.local/state/dsocr, else /tmp/dsocr-UID/state: as dsocrd has it.
std::string StateDir(const Io& io);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_ADDRESS_H_
