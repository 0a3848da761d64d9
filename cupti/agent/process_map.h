// What files this process has mapped.
#ifndef DSOCR_CUPTI_AGENT_PROCESS_MAP_H_
#define DSOCR_CUPTI_AGENT_PROCESS_MAP_H_

namespace dsocr::agent {

// True if a file whose path contains `name` is mapped. Reads the map itself (0.05 ms): a question to the dynamic linker
// would take its lock, and a fork at that moment would leave the lock taken in the child.
bool HasMapped(const char* name) noexcept;

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_PROCESS_MAP_H_
