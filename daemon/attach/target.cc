#include "daemon/attach/target.h"

#include <elf.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/status.h"
#include "daemon/attach/proc.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace dsocr::attach {
namespace {

constexpr size_t kSmallFileBytes = 16384;
constexpr size_t kEnvironmentBytes = 1 << 20;
constexpr size_t kCommandBytes = 120;
constexpr size_t kMaxDescriptors = 4096;  // looked at
constexpr size_t kMaxProcesses = 65536;
constexpr uint64_t kKernelThread = 0x200000;  // PF_KTHREAD of the kernel, in field 9 of /proc/PID/stat

// "Name:\tvalue" lines.
std::map<std::string, std::string, std::less<>> ReadStatus(pid_t pid) {
  std::map<std::string, std::string, std::less<>> fields;
  const std::string text = ReadFile(ProcPath(pid, "status"), kSmallFileBytes).value_or("");
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = text.substr(begin, end - begin);
    if (const size_t colon = line.find(":\t"); colon != std::string::npos) {
      fields.emplace(line.substr(0, colon), line.substr(colon + 2));
    }
  }
  return fields;
}

template <typename T>
T ToNumber(std::string_view text, int base = 10) {
  T number{};
  std::from_chars(text.data(), text.data() + text.size(), number, base);
  return number;
}

std::string_view LastWord(std::string_view text) { return text.substr(text.find_last_of("\t ") + 1); }

std::string UserName(uid_t uid) {
  passwd entry;
  passwd* found = nullptr;
  char buffer[4096];
  ::getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found);
  return found != nullptr ? std::string(found->pw_name) : fmt::format("{}", uid);
}

// One line, whatever a process calls itself.
std::string Printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char letter) { return letter < ' ' || letter == 0x7f; }, ' ');
  text.erase(text.find_last_not_of(' ') + 1);
  if (text.size() > kCommandBytes) {
    text.resize(kCommandBytes);
    text += "...";
  }
  return text;
}

std::string CommandOf(pid_t pid, std::string_view name) {
  const std::string arguments = Printable(ReadFile(ProcPath(pid, "cmdline"), kSmallFileBytes).value_or(""));
  return arguments.empty() ? fmt::format("[{}]", Printable(std::string(name))) : arguments;
}

bool IsKernelThread(pid_t pid) {
  // "pid (name) state ppid pgrp session tty tpgid flags …"; the name may hold anything.
  const std::string line = ReadFile(ProcPath(pid, "stat"), kSmallFileBytes).value_or("");
  size_t at = line.rfind(')');
  for (int field = 2; field < 9 && at != std::string::npos; ++field) {
    at = line.find(' ', at + 1);
  }
  return at != std::string::npos && (ToNumber<uint64_t>(std::string_view(line).substr(at + 1)) & kKernelThread) != 0;
}

// "…/torch/lib/libtorch_cpu.so" of a wheel has a version.py above it, that of a LibTorch archive a build-version.
std::string LibtorchVersion(const Target& target) {
  const std::filesystem::path root =
      ProcPath(target.pid, "root") / std::filesystem::path(target.libtorch_path).relative_path();
  const std::filesystem::path home = root.parent_path().parent_path();
  const std::string python = ReadFile(home / "version.py", kSmallFileBytes).value_or("");
  constexpr std::string_view kBefore = "__version__ = '";
  if (const size_t at = python.find(kBefore); at != std::string::npos) {
    const size_t begin = at + kBefore.size();
    return Printable(python.substr(begin, python.find('\'', begin) - begin));
  }
  return Printable(ReadFile(home / "build-version", 64).value_or(""));
}

// "libpython3.11.so.1.0" or "python3.11" -> "CPython 3.11".
std::string PythonOf(std::string_view base_name) {
  for (const std::string_view prefix : {"libpython", "python"}) {
    if (base_name.starts_with(prefix)) {
      const std::string_view rest = base_name.substr(prefix.size());
      const std::string_view version = rest.substr(0, std::min(rest.find_first_not_of("0123456789."), rest.size()));
      if (version.starts_with("3.")) {
        return fmt::format("CPython {}", version.substr(0, version.find_last_not_of('.') + 1));
      }
    }
  }
  return {};
}

void ReadMapped(Target& target) {
  for (const Mapping& mapping : ReadMappings(target.pid)) {
    target.is_readable = true;
    const std::string_view name = BaseName(mapping.path);
    if (name.empty()) {
      continue;
    }
    if (name.starts_with("ld-musl")) {
      target.libc = Libc::kMusl;
    } else if (target.libc == Libc::kNone && IsOfGlibc(mapping.path)) {
      target.libc = Libc::kGlibc;
    }
    if (name.starts_with("libtorch_cpu.so") || (name.starts_with("libtorch.so") && !target.has_libtorch)) {
      target.has_libtorch = true;
      target.libtorch_path = mapping.path;
    }
    if (target.python.empty()) {
      target.python = PythonOf(name);
    }
    if (target.agent_path.empty() && mapping.offset == 0 && IsAgent(mapping.path)) {
      target.agent_path = mapping.path;
      target.agent_base = mapping.begin;
    }
  }
}

void ReadProgram(Target& target) {
  const std::string program = ProcPath(target.pid, "exe");
  struct stat status;
  if (::stat(program.c_str(), &status) == 0) {
    target.is_setuid = target.is_setuid || (status.st_mode & (S_ISUID | S_ISGID)) != 0;
  }
  const std::string header = ReadFile(program, sizeof(Elf64_Ehdr)).value_or("");
  Elf64_Ehdr elf{};
  std::memcpy(&elf, header.data(), header.size());
  target.is_x86_64 = std::memcmp(elf.e_ident, ELFMAG, SELFMAG) == 0 && elf.e_ident[EI_CLASS] == ELFCLASS64 &&
                     elf.e_machine == EM_X86_64;
}

void ReadDevices(Target& target) {
  std::set<std::string> gpus;
  constexpr std::string_view kDevice = "/dev/nvidia";
  for (const int fd : ListNumbers(ProcPath(target.pid, "fd"), kMaxDescriptors)) {
    const std::string path = ReadLink(ProcPath(target.pid, fmt::format("fd/{}", fd)));
    if (path.starts_with(kDevice) && path.size() > kDevice.size() &&
        path.find_first_not_of("0123456789", kDevice.size()) == std::string::npos) {
      gpus.emplace(BaseName(path));
    }
  }
  target.gpus.assign(gpus.begin(), gpus.end());
}

void ReadEnvironment(Target& target) {
  const std::string environment = ReadFile(ProcPath(target.pid, "environ"), kEnvironmentBytes).value_or("");
  for (size_t begin = 0; begin < environment.size();) {
    const size_t end = std::min(environment.find('\0', begin), environment.size());
    const std::string_view entry = std::string_view(environment).substr(begin, end - begin);
    constexpr std::string_view kDirectory = "KINETO_IPC_SOCKET_DIR=";
    target.uses_kineto_daemon = target.uses_kineto_daemon || entry.starts_with("KINETO_USE_DAEMON=");
    if (entry.starts_with(kDirectory)) {
      target.kineto_socket_dir = entry.substr(kDirectory.size());
    }
    begin = end + 1;
  }
}

// Without `user` and `pidfd`. nullopt: there is no such process, or /proc does not show it.
std::optional<Target> ReadTarget(pid_t pid) {
  const auto status = ReadStatus(pid);
  const auto field = [&](std::string_view name) -> std::string_view {
    const auto found = status.find(name);
    return found == status.end() ? std::string_view() : std::string_view(found->second);
  };
  if (field("Tgid").empty()) {
    return std::nullopt;
  }
  Target target;
  target.pid = pid;
  target.parent = ToNumber<pid_t>(field("PPid"));
  const std::string_view inner = LastWord(field("NSpid"));
  target.inner_pid = inner.empty() ? pid : ToNumber<pid_t>(inner);
  const std::string_view users = field("Uid");  // real, effective, saved, of the file system
  const uid_t real_uid = ToNumber<uid_t>(users);
  target.uid = ToNumber<uid_t>(users.substr(std::min(users.find('\t') + 1, users.size())));
  target.command = CommandOf(pid, field("Name"));
  target.state = field("State").empty() ? '?' : field("State").front();
  target.tracer = ToNumber<pid_t>(field("TracerPid"));
  target.is_setuid = real_uid != target.uid;
  target.has_seccomp = ToNumber<int>(field("Seccomp")) != 0;
  target.has_shadow_stack = field("x86_Thread_features").find("shstk") != std::string_view::npos;
  target.is_kernel_thread = IsKernelThread(pid);
  const std::string mounts = ReadLink(ProcPath(pid, "ns/mnt"));
  target.same_mount_namespace = !mounts.empty() && mounts == ReadLink("/proc/self/ns/mnt");
  ReadMapped(target);
  if (target.is_readable) {
    ReadProgram(target);
    ReadDevices(target);
  }
  if (target.has_libtorch) {
    target.libtorch_version = LibtorchVersion(target);
    ReadEnvironment(target);
  }
  return target;
}

absl::Status NoSuchProcess(pid_t pid) {
  return absl::NotFoundError(
      fmt::format("process {}: there is none; 'dsocrctl ps' lists those that could be attached to", pid));
}

// -- Rights
// ------------------------------------------------------------------------------------------------------------

std::string Named(const Target& target) {
  return fmt::format("process {} (user {}, '{}')", target.pid, target.user, target.command);
}

absl::Status NoRight(const Target& target) {
  const std::string yama = ReadFile("/proc/sys/kernel/yama/ptrace_scope", 16).value_or("");
  return absl::PermissionDeniedError(fmt::format(
      "{}: dsocrd (user {}) may not trace it{}; run dsocrd as {}, in a container start it on the host or add "
      "--cap-add SYS_PTRACE",
      Named(target), UserName(::geteuid()),
      yama.empty() ? "" : fmt::format(", kernel.yama.ptrace_scope is {}", Printable(yama)),
      target.uid == 0 ? "root" : fmt::format("{} or root", target.user)));
}

// The capabilities of the calling thread: its permitted ones, with or without the one to trace in effect.
void UseRightToTrace(bool is_used) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2]{};
  if (::syscall(SYS_capget, &header, sets) != 0) {
    return;
  }
  constexpr uint32_t kBit = 1U << CAP_SYS_PTRACE;
  sets[0].effective = is_used ? sets[0].effective | (sets[0].permitted & kBit) : sets[0].effective & ~kBit;
  ::syscall(SYS_capset, &header, sets);
}

// Whether a process has made itself unreadable (PR_SET_DUMPABLE, a change of user). Its files in /proc are root's then;
// where it is root's itself, the kernel is asked for what it grants a thread of the same user without the capability.
bool IsHidden(const Target& target) {
  struct stat status;
  if (::stat(ProcPath(target.pid, "environ").c_str(), &status) != 0) {
    return false;
  }
  if (status.st_uid != target.uid) {
    return true;
  }
  const auto capabilities = [](pid_t pid) {
    const auto fields = ReadStatus(pid);
    const auto found = fields.find("CapPrm");
    return found == fields.end() ? uint64_t{0} : ToNumber<uint64_t>(found->second, 16);
  };
  if (target.uid != ::geteuid() || (capabilities(target.pid) & ~capabilities(::getpid())) != 0 ||
      ReadLink(ProcPath(target.pid, "ns/user")) != ReadLink("/proc/self/ns/user")) {
    return false;
  }
  void* robust_list = nullptr;
  size_t size = 0;
  UseRightToTrace(false);
  const bool is_refused = ::syscall(SYS_get_robust_list, target.pid, &robust_list, &size) != 0 && errno == EPERM;
  UseRightToTrace(true);
  return is_refused;
}

absl::Status CheckRights(const Target& target) {
  if (target.is_setuid) {
    return absl::PermissionDeniedError(
        fmt::format("{}: its program is setuid, and the process hides itself; start the job without", Named(target)));
  }
  // The kernel's own answer: user, capabilities, Yama and the rest.
  const UniqueFd memory(::open(ProcPath(target.pid, "mem").c_str(), O_RDONLY | O_CLOEXEC));
  const int error = errno;
  if (!memory.valid() && target.uid != ::geteuid()) {
    return NoRight(target);
  }
  if (IsHidden(target)) {
    return absl::PermissionDeniedError(fmt::format(
        "{}: the process hides itself (non-dumpable); start the job without PR_SET_DUMPABLE", Named(target)));
  }
  if (!memory.valid()) {
    return error == ENOENT || error == ESRCH ? NoSuchProcess(target.pid) : NoRight(target);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Target> Inspect(pid_t pid) {
  if (pid <= 0) {
    return NoSuchProcess(pid);
  }
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid()) {
    const auto status = ReadStatus(pid);
    const auto process = status.find("Tgid");
    return process == status.end() || process->second == fmt::format("{}", pid)
               ? NoSuchProcess(pid)
               : absl::NotFoundError(
                     fmt::format("process {0}: it is a thread of process {1}; give {1}", pid, process->second));
  }
  std::optional<Target> target = ReadTarget(pid);
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), 0, nullptr, 0) != 0 && errno == ESRCH) {
    return NoSuchProcess(pid);  // what was read may be of another that has its number now
  }
  if (!target) {
    return absl::PermissionDeniedError(
        fmt::format("process {}: /proc does not show it; mount /proc without hidepid, or run dsocrd on the host", pid));
  }
  target->pidfd = std::move(pidfd);
  target->user = UserName(target->uid);
  return *std::move(target);
}

std::vector<Target> ListProcesses() {
  std::vector<Target> targets;
  std::map<uid_t, std::string> users;
  for (const pid_t pid : ListNumbers("/proc", kMaxProcesses)) {
    if (std::optional<Target> target = ReadTarget(pid)) {
      const auto [user, is_new] = users.try_emplace(target->uid);
      if (is_new) {
        user->second = UserName(target->uid);
      }
      target->user = user->second;
      targets.push_back(*std::move(target));
    }
  }
  return targets;
}

std::vector<const Target*> DescendantsOf(pid_t pid, const std::vector<Target>& processes) {
  std::set<pid_t> family = {pid};
  std::vector<const Target*> descendants;
  for (size_t next = 0;; ++next) {
    for (const Target& process : processes) {
      if (process.parent == pid && family.insert(process.pid).second) {
        descendants.push_back(&process);
      }
    }
    if (next == descendants.size()) {
      return descendants;
    }
    pid = descendants[next]->pid;
  }
}

absl::Status CheckMayTrace(const Target& target) {
  const auto unfit = [&](std::string_view why) {
    return absl::FailedPreconditionError(fmt::format("{}: {}", Named(target), why));
  };
  if (target.pid == ::getpid()) {
    return unfit("it is this dsocrd itself; choose a job");
  }
  if (target.is_kernel_thread) {
    return unfit("it is a thread of the kernel; choose a job");
  }
  if (target.state == 'Z' || target.state == 'X') {
    return unfit("it has ended, or its main thread has; choose a job that runs");
  }
  DSOCR_RETURN_IF_ERROR(CheckRights(target));
  if (target.tracer != 0) {
    const std::string tracer = Printable(ReadFile(ProcPath(target.tracer, "comm"), 64).value_or("?"));
    return unfit(fmt::format("process {} ({}) traces it; end that first", target.tracer, tracer));
  }
  if (target.state == 'T') {
    return unfit(fmt::format("it is stopped; continue it with 'kill -CONT {}'", target.pid));
  }
  if (!target.is_x86_64) {
    return unfit("it is no 64-bit program for x86-64; start the job with the agent in it");
  }
  if (target.libc == Libc::kMusl) {
    return unfit("its libc is musl; only glibc is supported");
  }
  if (target.libc == Libc::kNone) {
    return unfit("it is statically linked, so no library can be loaded into it; link the job dynamically");
  }
  if (target.has_shadow_stack) {
    return unfit(
        "it runs with a shadow stack; start the job with the agent in it, or without "
        "GLIBC_TUNABLES=glibc.cpu.hwcaps=SHSTK");
  }
  return absl::OkStatus();
}

absl::Status CheckHasLibtorch(const Target& target) {
  if (target.has_libtorch) {
    return absl::OkStatus();
  }
  std::vector<std::string> found;
  const std::vector<Target> processes = ListProcesses();
  for (const Target* process : DescendantsOf(target.pid, processes)) {
    if (process->has_libtorch) {
      found.push_back(fmt::format("{} ({})", process->pid, process->command));
    }
  }
  return absl::FailedPreconditionError(
      found.empty() ? fmt::format("{}: there is no libtorch in it; attach to a PyTorch or LibTorch job, 'dsocrctl ps' "
                                  "lists them",
                                  Named(target))
                    : fmt::format("{}: there is no libtorch in it, but in its children {}; use --children",
                                  Named(target), fmt::join(found, ", ")));
}

bool IsAgent(std::string_view path) {
  const std::string_view name = BaseName(path);
  return name == "libdsocr_agent.so" || name == "memfd:libdsocr_agent.so";
}

bool IsOfGlibc(std::string_view path) {
  const std::string_view name = BaseName(path);
  for (const std::string_view library : {"libc", "libpthread", "libdl"}) {
    if (name.starts_with(library) &&
        (name.substr(library.size()).starts_with(".so.") || name.substr(library.size()).starts_with("-2."))) {
      return true;
    }
  }
  return false;
}

}  // namespace dsocr::attach
