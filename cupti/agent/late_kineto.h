// PyTorch's on-demand profiler (Kineto), switched on in a process that was started without it.
//
// What `import torch` does where KINETO_USE_DAEMON is set is done now, once: from then on a thread of Kineto's asks
// once a second, as long as the process lives, whether there is something to record. It asks in a directory that is the
// user's alone, not on the name that anybody on the machine could take.
#ifndef DSOCR_CUPTI_AGENT_LATE_KINETO_H_
#define DSOCR_CUPTI_AGENT_LATE_KINETO_H_

#include <cstddef>

#include "cupti/record/message.h"

namespace dsocr::agent {

// Writes the answer to record::Opcode::kStartKineto. Idempotent. Refused where a profiler was used before, because
// Kineto does not survive a second beginning, and for every torch but those that this was tried with. A torch.profiler
// that another thread begins within the same millisecond is not noticed. REQUIRES: the process is not ending.
size_t StartKineto(char (&answer)[record::kMaxKinetoAnswerBytes]) noexcept;

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_LATE_KINETO_H_
