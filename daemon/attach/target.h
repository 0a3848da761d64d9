// A process before it is touched: what it is, and whether it may be traced.
//
// Everything is read from /proc/PID, PID being the process's number here, whatever namespaces it lives in.
#ifndef DSOCR_DAEMON_ATTACH_TARGET_H_
#define DSOCR_DAEMON_ATTACH_TARGET_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace dsocr::attach {

enum class Libc { kNone, kGlibc, kMusl };  // kNone: a static program, or not to be seen

struct Target {
  pid_t pid = 0;
  UniqueFd pidfd;  // the process meant, whatever becomes of its number
  pid_t parent = 0;
  pid_t inner_pid = 0;  // in its own pid namespace

  uid_t uid = 0;        // effective
  std::string user;     // the name of uid, or its number
  std::string command;  // its arguments, shortened; "[name]" of a thread of the kernel

  char state = '?';  // R, S, D, T (stopped), Z (zombie) …, as in /proc/PID/status, of its main thread
  pid_t tracer = 0;  // 0: nobody traces it
  bool is_kernel_thread = false;
  bool is_setuid = false;    // its program is setuid or setgid, or its real user is another than its effective one
  bool has_seccomp = false;  // a filter on its system calls
  bool has_shadow_stack = false;
  bool is_readable = false;  // what follows is known: the daemon may look at its mappings
  bool is_x86_64 = false;    // its program is
  bool same_mount_namespace = false;
  Libc libc = Libc::kNone;

  bool has_libtorch = false;
  std::string libtorch_path;
  std::string libtorch_version;   // such as "2.11.0+cu130"; empty: not to be read
  std::string python;             // such as "CPython 3.11"; empty: none is mapped
  std::vector<std::string> gpus;  // such as "nvidia0": those that it holds open
  // From the environment that the process was started with.
  bool uses_kineto_daemon = false;  // KINETO_USE_DAEMON
  std::string kineto_socket_dir;    // KINETO_IPC_SOCKET_DIR

  std::string agent_path;   // the agent's library as it is mapped; empty: it is not
  uint64_t agent_base = 0;  // where
};

// NOT_FOUND: there is no such process; the number is that of a thread, maybe. PERMISSION_DENIED: it exists, but /proc
// does not show it.
absl::StatusOr<Target> Inspect(pid_t pid);

// All processes, ascending; what vanishes meanwhile is left out. They come without pidfd.
// Measured: 115 processes in 16 ms, one of them a torch job, which takes 2 ms (2 cores, 22 Nov 2026).
std::vector<Target> ListProcesses();

// Those below `pid` in the tree of processes, parents before their children.
std::vector<const Target*> DescendantsOf(pid_t pid, const std::vector<Target>& processes);

// Whether code can be put into it. PERMISSION_DENIED: the daemon has no right to, or the process hides itself
// (non-dumpable, setuid: root is refused as well). FAILED_PRECONDITION: it is not a process that this works with.
absl::Status CheckMayTrace(const Target& target);

// FAILED_PRECONDITION, with the children that have it, where the process has no libtorch.
absl::Status CheckHasLibtorch(const Target& target);

// Whether a mapping's path is that of the agent, in whatever directory, or of a copy without a name.
bool IsAgent(std::string_view path);
// … of libc, or of a part that was one before glibc 2.34.
bool IsOfGlibc(std::string_view path);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_TARGET_H_
