// Puts the agent into a process that was started without it, and hands back a socket to it.
//
// One thread of the job, at rest in a system call, is stopped for about a millisecond and made to create a fresh
// thread; that one loads the agent, calls
//
//   extern "C" int dsocr_agent_attach(int socket)   // 0: it has taken the socket; else the socket is still the
//   caller's
//
// and is gone. docs/attach.md has the steps, and what they leave behind: the agent's library, nothing else.
#ifndef DSOCR_DAEMON_ATTACH_INJECTOR_H_
#define DSOCR_DAEMON_ATTACH_INJECTOR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "daemon/attach/target.h"

namespace dsocr::attach {

// The daemon's end of a connected SOCK_SEQPACKET socket. The agent may still be loading: its first packet is its Hello,
// or a refusal (cupti/record/message.h), or none and the end (the job ended). An agent that is mapped already is called
// where it is.
//
// `agent_path` is absolute and names libdsocr_agent.so as the daemon sees it. REQUIRES: CheckMayTrace(target) is OK.
// FAILED_PRECONDITION: another build of the agent is mapped; no thread at rest within 2 s; the job refuses a system
// call or ended. PERMISSION_DENIED: no thread may be traced. UNIMPLEMENTED: not on x86-64. Blocks for at most some
// seconds; from any thread.
absl::StatusOr<UniqueFd> Inject(const Target& target, const std::string& agent_path);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_INJECTOR_H_
