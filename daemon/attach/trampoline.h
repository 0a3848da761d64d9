// The code that loads the agent: what a fresh thread of the job runs, in a page that holds nothing else.
//
// In C it would be
//
//   void* Run(Trampoline* t) {
//     rt_sigprocmask(SIG_SETMASK, &t->signal_mask, NULL);
//     pthread_detach(pthread_self());
//     int (*attach)(int) = t->attach;
//     if (!attach) {
//       void* agent = dlopen(t->agent_path, RTLD_NOW);
//       if (t->memfd >= 0) close(t->memfd);
//       attach = agent ? dlsym(agent, t->entry_name) : NULL;
//     }
//     if (!attach || attach(t->socket) != 0) {
//       send(t->socket, "!" + (attach ? t->refusal : dlerror()), MSG_NOSIGNAL | MSG_DONTWAIT);
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
  uint64_t close = 0;
  uint64_t munmap = 0;
  uint64_t attach = 0;  // the agent's entry, where it is mapped already; else 0
  int32_t socket = -1;  // the job's end
  int32_t memfd = -1;   // closed after dlopen; -1: none
  char entry_name[32] = "dsocr_agent_attach";
  char refusal[64] = "the agent has a session already, or cannot start a thread";
};

// The page's content up to its last byte that matters: the table, the code, the agent's path. `table.page` is where it
// will lie. INVALID_ARGUMENT: the path does not fit. UNIMPLEMENTED: not for this processor.
absl::StatusOr<std::string> TrampolinePage(const Trampoline& table, const std::string& agent_path);

// Where in the page the thread begins; its argument is the page.
uint64_t TrampolineEntry(uint64_t page);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_TRAMPOLINE_H_
