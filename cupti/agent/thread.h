// Threads of the agent in somebody else's process: small stacks, and no signal of the job's is theirs.
#ifndef DSOCR_CUPTI_AGENT_THREAD_H_
#define DSOCR_CUPTI_AGENT_THREAD_H_

#include <pthread.h>
#include <signal.h>

#include <cstddef>

namespace dsocr::agent {

inline constexpr size_t kThreadStackBytes = 512 << 10;

// Detached. False: it could not be made.
inline bool StartThread(const char* name, void* (*run)(void*), void* argument) noexcept {
  sigset_t all;
  sigset_t previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kThreadStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  const bool is_made = pthread_create(&thread, &attributes, run, argument) == 0;
  if (is_made) {
    pthread_setname_np(thread, name);
  }
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  return is_made;
}

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_THREAD_H_
