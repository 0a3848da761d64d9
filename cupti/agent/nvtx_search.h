// NVTX in a process that made its first NVTX call before the agent came: its copies have locked themselves without a
// tool, but the tables that its functions call through are still there. The function that hands them out is hidden; a
// file that was not stripped names it in its symbol table.
#ifndef DSOCR_CUPTI_AGENT_NVTX_SEARCH_H_
#define DSOCR_CUPTI_AGENT_NVTX_SEARCH_H_

#include <cstdint>

namespace dsocr::agent {

// Calls `found` with every nvtxGetExportTable_v3 that a file mapped into this process has, and with where the code of
// that file is. Reads those files' symbol tables, within limits: on a thread of ours, 10 to 50 ms. A file that makes no
// sense, or is not what is mapped, has none.
struct Code {
  uintptr_t begin;
  uintptr_t end;
};
using NvtxFound = void (*)(const void* (*get_export_table)(uint32_t), Code code);
void FindNvtx(NvtxFound found) noexcept;

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_NVTX_SEARCH_H_
