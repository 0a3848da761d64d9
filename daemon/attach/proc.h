// What /proc tells of another process, read with bounds: a process may make its entries as long as it likes.
#ifndef DSOCR_DAEMON_ATTACH_PROC_H_
#define DSOCR_DAEMON_ATTACH_PROC_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fmt/format.h"

namespace dsocr::attach {

// "/proc/PID/name".
inline std::string ProcPath(pid_t pid, std::string_view name) { return fmt::format("/proc/{}/{}", pid, name); }

// The first `limit` bytes at most; nullopt: it cannot be read.
std::optional<std::string> ReadFile(const std::string& path, size_t limit);

// Empty: it cannot be read.
std::string ReadLink(const std::string& path);

// The numbers among the names in a directory such as /proc or /proc/PID/task, ascending, at most `limit` of them.
std::vector<int> ListNumbers(const std::string& directory, size_t limit);

// A line of /proc/PID/maps.
struct Mapping {
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t offset = 0;  // in the file
  std::string path;     // as the process sees it, " (deleted)" taken off; empty: of no file
};

// Empty: they cannot be read, or there are none (a thread of the kernel, a zombie).
std::vector<Mapping> ReadMappings(pid_t pid);

// What follows the last '/'.
std::string_view BaseName(std::string_view path);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_PROC_H_
