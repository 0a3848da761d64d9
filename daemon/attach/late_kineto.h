// PyTorch's on-demand profiler, switched on in a process that was started without KINETO_USE_DAEMON: by the agent,
// which does in it what PyTorch does at its start. It stays on until the process ends.
#ifndef DSOCR_DAEMON_ATTACH_LATE_KINETO_H_
#define DSOCR_DAEMON_ATTACH_LATE_KINETO_H_

#include <string>

#include "absl/status/status.h"
#include "daemon/attach/target.h"

namespace dsocr::attach {

// Whether it could be, as far as is known from outside. The agent itself says whether a profiler was used in it before.
// FAILED_PRECONDITION, PERMISSION_DENIED: as CheckMayTrace() says, or its torch is not one that this was tried with.
absl::Status CheckLateKineto(const Target& target);

// Makes it one that was started with KINETO_USE_DAEMON, as TakeKinetoTrace() wants it. Where it is on already it is
// only asked where. REQUIRES: CheckLateKineto(). FAILED_PRECONDITION: it was refused, in the agent's words; errors of
// Inject().
absl::Status StartKineto(const std::string& agent_path, Target* target);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_LATE_KINETO_H_
