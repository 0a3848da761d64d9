// One session: a recording for one daemon, from its beginning to its end. A process has one at a time, and any number
// one after the other; when one is over, all that it took of the process is given back.
//
// What cannot be given back safely is left: a recorder in which a thread of the job is still inside, and NVTX's hooks.
#ifndef DSOCR_CUPTI_AGENT_SESSION_H_
#define DSOCR_CUPTI_AGENT_SESSION_H_

#include <sys/un.h>

#include <cstdint>

#include "cupti/record/message.h"

namespace dsocr::agent {

// The one place for a session. False: it is taken, or the process is ending. Any thread.
bool ClaimSession() noexcept;
bool IsSessionClaimed() noexcept;
void ReleaseSession() noexcept;

// A session with the daemon at the other end of `socket`, until it says detach or goes, or there is none. Closes the
// socket and frees the place. `listener`: who else connects there meanwhile is sent away; -1: nobody does. On a thread
// of ours. REQUIRES: ClaimSession.
void RunSession(int socket, int listener) noexcept;

// The session of a launched command: its daemon is told where and by which token.
struct Invitation {
  sockaddr_un address;
  char token[record::kTokenBytes];
  uint32_t budget_ppm;
};

// Its two halves. Recording begins on the thread of the job that shows that it computes; the rest is a thread of ours.
// False: there is nothing to record to. REQUIRES: ClaimSession; RunLaunchedSession comes after.
bool BeginLaunchedRecording(const Invitation& invitation) noexcept;
void RunLaunchedSession(const Invitation& invitation) noexcept;

// The process has called cuInit. On the thread that is in it.
void MeetCuda() noexcept;

void SetPaused(bool paused) noexcept;

// In a forked child: it has no session, and waits for nothing that its parent held.
void ForgetSessionAfterFork() noexcept;

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_SESSION_H_
