// Ranges of a Python job's modules.
#ifndef DSOCR_CUPTI_AGENT_PYTHON_HOOKS_H_
#define DSOCR_CUPTI_AGENT_PYTHON_HOOKS_H_

#include "cupti/agent/recorder.h"
#include "cupti/record/message.h"

namespace dsocr::agent {

enum class PythonState { kAbsent, kNotYet, kInstalled, kUnsupported };

// `start` is called at the instant at which the hooks are in place, where they are.
PythonState InstallPythonHooks(Recorder* recorder, record::Depth depth, void (*start)() noexcept) noexcept;
void PollPythonHooks() noexcept;
bool RemovePythonHooks(int timeout_ms) noexcept;

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_PYTHON_HOOKS_H_
