// An agent that is in the process already and listens: the way in that needs no right to trace it.
#ifndef DSOCR_DAEMON_ATTACH_PREPARED_H_
#define DSOCR_DAEMON_ATTACH_PREPARED_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace dsocr::attach {

// The path of the socket on which an agent in `pid` listens, as that process sees it; empty: none does, or the process
// does not let us look. Found among its descriptors, so that no other process can pretend to be it.
std::string FindAgentSocket(pid_t pid);

// Connects to it. FAILED_PRECONDITION: none listens, it is of another process or user, or it is busy.
absl::StatusOr<UniqueFd> ConnectToAgent(pid_t pid, uid_t uid);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_PREPARED_H_
