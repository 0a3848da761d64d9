// Tells a service manager how the daemon is (sd_notify(3): one datagram to $NOTIFY_SOCKET), without linking libsystemd.
#ifndef DSOCR_DAEMON_OPS_NOTIFY_H_
#define DSOCR_DAEMON_OPS_NOTIFY_H_

#include <string_view>

namespace dsocr::ops {

// "READY=1", "RELOADING=1", "STOPPING=1". Nothing happens, and false is returned, where no manager listens on
// `notify_socket`: an absolute path, or '@' and an abstract name.
bool Notify(std::string_view notify_socket, std::string_view state);

}  // namespace dsocr::ops

#endif  // DSOCR_DAEMON_OPS_NOTIFY_H_
