// The modules of a job that have hooks, the recording that the hooks write to, and the calls of these modules that are
// open on each thread. Knows nothing of Python but that its GIL is held where this is said.
//
// A range of a hooked module is opened with an address inside of its entry as its domain: so a thread's open ranges say
// themselves whose they are.
#ifndef DSOCR_CUPTI_AGENT_HOOKED_CALLS_H_
#define DSOCR_CUPTI_AGENT_HOOKED_CALLS_H_

#include <cstdint>
#include <mutex>

#include "cupti/agent/intern.h"
#include "cupti/agent/recorder.h"

namespace dsocr::agent {

// --- The table of one installation. Under the GIL.

constexpr long kMaxHooked = 1 << 15;  // as many names as an Interner takes

// False: no memory. REQUIRES: closed.
bool OpenHookedModules();
// Nothing where it is closed already.
void CloseHookedModules();
// Which of the installations since the process began this is; of the open table, or the last one.
uintptr_t HookInstallation();
long HookedModuleCount();
// Copies the name. The module's number, from 0; -1: closed, full, or no memory.
long AddHookedModule(const Text& name, bool is_root);

// --- The recording

// Hooks may tell of modules, and do not record calls yet. Borrows the recorder until EndHookRecording.
void BeginHookRecording(Recorder* recorder);
// From here on hooks record. False: the recording is over.
bool GoLive();
// From here on nothing is written.
void EndHookRecording();

// The recording, which does not end while this lives.
class HookRecording {
 public:
  HookRecording();
  Recorder* recorder() const;  // null: it is over

 private:
  const std::lock_guard<std::mutex> lock_;
};

// Replaces, as a whole, what is known of calls that threads are inside of and that had no hook when they began. Each of
// these threads takes over its own when it comes by.
class CallsUnderWayEdit {
 public:
  CallsUnderWayEdit();
  ~CallsUnderWayEdit();
  CallsUnderWayEdit(const CallsUnderWayEdit&) = delete;
  CallsUnderWayEdit& operator=(const CallsUnderWayEdit&) = delete;

  // Outermost first. What there is no room for is left out. `thread`: its pthread_self().
  void Add(unsigned long thread, long module);

 private:
  const std::lock_guard<std::mutex> lock_;
  int count_ = 0;
};

// What a call of the job's begins with: this thread's state, if hooks are live; with it what was under way when they
// became so.
class LiveHook {
 public:
  LiveHook();
  // Null: nothing is recorded here.
  ThreadState* thread() const { return thread_; }

 private:
  const Hook hook_;
  ThreadState* thread_ = nullptr;
};

// --- A thread's open calls, under a LiveHook. REQUIRES: 0 <= module < HookedModuleCount().

// Before a call is entered or left: some are open of which it is to be seen first whether they are over.
bool IsInDoubtBeforeEnter(const ThreadState& thread, long module);
bool IsInDoubtBeforeLeave(const ThreadState& thread);
// Closes calls until there are `open_calls`: what the frames of the thread do not show any more is over.
void SettleCalls(ThreadState& thread, long open_calls);
void EnterCall(ThreadState& thread, long module);
void LeaveCall(ThreadState& thread, long module);
// The call began before it had hooks: nothing announces its end.
void AdoptCall(ThreadState& thread, long module);

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_HOOKED_CALLS_H_
