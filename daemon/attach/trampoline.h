// The code of the page that is put into a job: what its thread at rest runs, and what the fresh thread runs.
//
// The thread at rest, with a function in rax and its arguments where the ABI has them:
//
//   result = function(...);                  // pthread_create, with Run below; kept in rbp
//   tgkill(getpid(), gettid(), SIGSTOP);     // which the tracer sees, and swallows
//
// SIGSTOP because nothing else stops a thread for its tracer alone: it cannot be blocked, and no handler of the job's
// is reset by it, as by the SIGTRAP of a breakpoint. The fresh thread, in C:
//
//   void* Run(Trampoline* t) {
//     rt_sigprocmask(SIG_SETMASK, &t->signal_mask, NULL);
//     pthread_detach(pthread_self());
//     close(t->taken);
//     char go;                              // the thread at rest has left the page; the end of file: the daemon is
//     gone if (recv(t->socket, &go, 1, 0) != 1) goto close; int (*attach)(int) = t->attach; if (!attach) {
//       void* agent = dlopen(t->agent_path, RTLD_NOW);
//       if (t->memfd >= 0) close(t->memfd);
//       attach = agent ? dlsym(agent, t->entry_name) : NULL;
//     }
//     if (!attach || attach(t->socket) != 0) {
//       send(t->socket, "!" + (attach ? t->refusal : dlerror()), MSG_NOSIGNAL | MSG_DONTWAIT);
//   close:
//       close(t->socket);
//     }
//     return munmap(t->page, kPageBytes);   // a jump: the code is gone when munmap returns, to libc
//   }
//
// It is assembly because of the last line, and because a compiler may call what is not in the page.
#ifndef DSOCR_DAEMON_ATTACH_TRAMPOLINE_H_
#define DSOCR_DAEMON_ATTACH_TRAMPOLINE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace dsocr::attach {

inline constexpr uint64_t kPageBytes = 4096;

// What the code works with: addresses in the job, and numbers. It lies at the start of the page, which is never
// writable, with the code behind it. The code knows these offsets.
struct Trampoline {
  uint64_t page = 0;
  uint64_t signal_mask = 0;  // of the new thread
  uint64_t pthread_self = 0;
  uint64_t pthread_detach = 0;
  uint64_t dlopen = 0;
  uint64_t dlsym = 0;
  uint64_t dlerror = 0;
  uint64_t send = 0;
  uint64_t recv = 0;
  uint64_t close = 0;
  uint64_t munmap = 0;
  uint64_t attach = 0;  // the agent's entry, where it is mapped already; else 0
  int32_t socket = -1;  // the job's end
  int32_t taken = -1;   // the daemon's end, which the daemon has a copy of
  int32_t memfd = -1;   // closed after dlopen; -1: none
  char entry_name[20] = "dsocr_agent_attach";
  char refusal[64] = "the agent has a session already, or cannot start a thread";
};

struct TrampolinePage {
  std::string content;        // up to the last byte that matters: the table, the code, the agent's path
  uint64_t call_entry = 0;    // addresses in the job: where the thread at rest begins,
  uint64_t call_end = 0;      // … where it is stopped,
  uint64_t thread_entry = 0;  // and where the fresh thread begins; its argument is the page
};

// `table.page` is where it will lie. INVALID_ARGUMENT: the path does not fit.
absl::StatusOr<TrampolinePage> MakeTrampolinePage(const Trampoline& table, const std::string& agent_path);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_TRAMPOLINE_H_
