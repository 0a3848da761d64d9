// Starting a daemon where none is.
#ifndef DSOCR_CLIENT_AUTOSTART_H_
#define DSOCR_CLIENT_AUTOSTART_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace dsocr::client {

// True if somebody accepts connections on the socket.
bool IsServed(const std::string& socket_path);

struct DaemonStart {
  std::string program;                          // absolute path of dsocrd
  std::string socket_path;                      // absolute
  std::string log_file;                         // absolute; its directories are made, mode 0700; appended to
  absl::Duration patience = absl::Seconds(10);  // a daemon serves 60 ms after its start; a loaded machine needs longer
};

// Starts dsocrd in a session of its own, with none of our descriptors, and returns once its socket is served. Two
// clients may do so at once: the daemon that comes second ends, and its client connects to the first. Must be called
// while the process has one thread.
//
// NOT_FOUND: no such program. UNAVAILABLE: it ended, or did not serve in time; the message names the log.
absl::Status StartDaemon(const DaemonStart& start);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_AUTOSTART_H_
