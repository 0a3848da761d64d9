// Ranges from a Python job that has none of its own: hooks on the modules of torch.nn.
//
// What is done in Python is hooks.py, a text in this library that runs in a namespace of its own. Nothing enters
// sys.modules, nothing is printed, no exception leaves a hook, and no object of the job's is kept.
//
// The GIL cannot be asked for with a time limit, so a thread of its own asks for it, one for each thing to do, and whom
// it is done for waits for as long as it likes. No lock is held while waiting for the GIL, and a thread that the
// interpreter ends while it waits (the process exits) leaves nothing behind.
//
// Threads: all of these on one thread, which is not one of Python's. Called by the agent's control thread.
#ifndef DSOCR_CUPTI_AGENT_PYTHON_HOOKS_H_
#define DSOCR_CUPTI_AGENT_PYTHON_HOOKS_H_

#include "cupti/agent/recorder.h"
#include "cupti/record/message.h"

namespace dsocr::agent {

enum class PythonState {
  kAbsent,  // no CPython in this process
  kNotYet,  // it has not imported torch.nn yet, is compiling, or did not give its GIL: ask again
  kInstalled,
  kUnsupported,  // the interpreter ends, or something that is needed is not there
};

// Puts hooks on the modules that `depth` wants, tells all modules (record::Module), and calls `start` at an instant at
// which the calls under way on all threads are known: what these do from then on belongs to their modules, too. Waits
// for the GIL 2 s at most. `start` runs on another thread, under the GIL. Borrows the recorder until RemovePythonHooks.
// REQUIRES: not installed.
PythonState InstallPythonHooks(Recorder* recorder, record::Depth depth, void (*start)() noexcept) noexcept;

// Looks for modules at the top of a thread that are not known yet. Does not wait. To be called once a second or so.
void PollPythonHooks() noexcept;

// From here on nothing is recorded by hooks. False: the GIL was not to be had in that time; the hooks, which do nothing
// any more, are taken out as soon as it is.
bool RemovePythonHooks(int timeout_ms) noexcept;

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_PYTHON_HOOKS_H_
