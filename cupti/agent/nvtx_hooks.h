// NVTX, the language of module names: the process's range calls become range records.
//
// Both modules of NVTX version 3 are taken: CORE (the plain functions, torch.cuda.nvtx) and CORE2 (domains and
// registered strings, nvtx3.hpp, PyPI nvtx). Ranges of all domains nest in one another, as they do in time; the domains
// by which NVIDIA's own libraries annotate their insides are left out. A start/end range behaves like a push/pop range
// of the thread that started it; where another thread ends it, it ends for its own thread at that thread's next range
// call. Marks are ignored.
#ifndef DSOCR_CUPTI_AGENT_NVTX_HOOKS_H_
#define DSOCR_CUPTI_AGENT_NVTX_HOOKS_H_

namespace dsocr::agent {

// `get_export_table`: the NvtxGetExportTableFunc_t that NVTX hands to an injection library. False: not the NVTX that we
// know, nothing was changed. May be called again, for every copy of NVTX in the process.
bool InstallNvtxHooks(const void* (*get_export_table)(unsigned int)) noexcept;

// The same for every copy of NVTX that a search finds, in a process that did not hand them over: those whose functions
// nobody has hooked.
void InstallLateNvtxHooks() noexcept;

// The next range call that is not recorded calls `wake`, once. Null: none does. Hooks cannot be taken out again; while
// nothing is recorded such a call costs two loads.
void WakeAtNextRange(void (*wake)() noexcept) noexcept;

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_NVTX_HOOKS_H_
