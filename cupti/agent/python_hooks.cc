#include "cupti/agent/python_hooks.h"

namespace dsocr::agent {

PythonState InstallPythonHooks(Recorder*, record::Depth, void (*)() noexcept) noexcept { return PythonState::kAbsent; }
void PollPythonHooks() noexcept {}
bool RemovePythonHooks(int) noexcept { return true; }

}  // namespace dsocr::agent
