#include "daemon/attach/injector.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "daemon/attach/elf.h"
#include "daemon/attach/errand.h"
#include "daemon/attach/proc.h"
#include "daemon/attach/tracee.h"
#include "daemon/attach/trampoline.h"
#include "fmt/format.h"

namespace dsocr::attach {

#ifdef __x86_64__

namespace {

constexpr absl::Duration kRestTimeout = absl::Seconds(2);
constexpr int kRestPollMs = 5;
constexpr absl::Duration kCreateThreadTimeout = absl::Seconds(5);
constexpr size_t kMaxThreads = 4096;  // looked at

// Where a thread is at rest: what waits for something outside the process first, then what waits for another thread,
// then what may be a file being read by the linker. Within a group the order of the table.
constexpr std::array kRestingCalls = {
    SYS_poll,        SYS_ppoll,        SYS_select,    SYS_pselect6,        SYS_epoll_wait,
    SYS_epoll_pwait, SYS_epoll_pwait2, SYS_nanosleep, SYS_clock_nanosleep, SYS_restart_syscall,
    SYS_pause,       SYS_accept,       SYS_accept4,   SYS_recvfrom,        SYS_recvmsg,
    SYS_recvmmsg,    SYS_wait4,        SYS_waitid,    SYS_rt_sigtimedwait, SYS_rt_sigsuspend,
    SYS_futex,       SYS_read,         SYS_readv,
};

absl::Status Refuse(const Target& target, std::string_view why) {
  return absl::FailedPreconditionError(fmt::format("process {}: {}", target.pid, why));
}

// -- What is found in the process before it is stopped
// -----------------------------------------------------------------

ElfImage::Reader MemoryOf(std::shared_ptr<UniqueFd> memory) {
  return [memory = std::move(memory)](uint64_t address, void* to, size_t size) {
    return ::pread(memory->get(), to, size, static_cast<off_t>(address)) == static_cast<ssize_t>(size);
  };
}

// The functions of libc, which before glibc 2.34 was three libraries.
class LibcFunctions {
 public:
  static absl::StatusOr<LibcFunctions> Find(const Target& target, const ElfImage::Reader& memory,
                                            const std::vector<Mapping>& mappings) {
    LibcFunctions libc;
    for (const Mapping& mapping : mappings) {
      if (mapping.offset == 0 && IsOfGlibc(mapping.path)) {
        if (absl::StatusOr<ElfImage> image = ElfImage::OfMemory(memory, mapping.begin); image.ok()) {
          libc.images_.push_back(*std::move(image));
        }
      }
    }
    DSOCR_ASSIGN_OR_RETURN(const uint64_t syscall, libc.Function(target, "syscall"));
    std::array<uint8_t, 64> code{};
    constexpr std::array<uint8_t, 2> kInstruction = {0x0f, 0x05};
    memory(syscall, code.data(), code.size());
    const auto found = std::search(code.begin(), code.end(), kInstruction.begin(), kInstruction.end());
    if (found == code.end()) {
      return Refuse(target, "its libc has no system call where one is expected; start the job with the agent in it");
    }
    libc.syscall_instruction_ = syscall + (found - code.begin());
    return libc;
  }

  absl::StatusOr<uint64_t> Function(const Target& target, std::string_view name) const {
    for (const ElfImage& image : images_) {
      if (const std::optional<uint64_t> address = image.FindFunction(name)) {
        return *address;
      }
    }
    return Refuse(target, fmt::format("its libc has no {}; start the job with the agent in it", name));
  }
  uint64_t syscall_instruction() const { return syscall_instruction_; }

 private:
  std::vector<ElfImage> images_;
  uint64_t syscall_instruction_ = 0;
};

absl::StatusOr<std::string> BuildIdOfFile(const std::string& path) {
  auto file = std::make_shared<UniqueFd>(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  absl::StatusOr<ElfImage> image = ElfImage::OfFile(MemoryOf(file));
  if (!image.ok()) {
    return absl::FailedPreconditionError(
        fmt::format("agent '{}': {}; is the installation complete?", path,
                    file->valid() ? std::string(image.status().message()) : "it cannot be opened"));
  }
  return image->BuildId();
}

// The entry of the agent that is in the process; 0: there is none.
absl::StatusOr<uint64_t> MappedEntry(const Target& target, const ElfImage::Reader& memory,
                                     const std::vector<Mapping>& mappings, const std::string& build_id) {
  for (const Mapping& mapping : mappings) {
    if (mapping.offset != 0 || !IsAgent(mapping.path)) {
      continue;
    }
    const absl::StatusOr<ElfImage> image = ElfImage::OfMemory(memory, mapping.begin);
    const std::optional<uint64_t> entry = image.ok() ? image->FindFunction("dsocr_agent_attach") : std::nullopt;
    if (!entry || image->BuildId() != build_id) {
      return Refuse(target,
                    "another build of the agent is in the process; restart the job or use the dsocrd of that build");
    }
    return *entry;
  }
  return 0;
}

// Whether the process sees the same file under this path, and may read it.
bool IsVisible(const Target& target, const std::string& path) {
  struct stat here;
  struct stat there;
  if (::stat(path.c_str(), &here) != 0 || ::stat(ProcPath(target.pid, "root" + path).c_str(), &there) != 0 ||
      here.st_dev != there.st_dev || here.st_ino != there.st_ino) {
    return false;
  }
  mode_t wanted = S_IROTH;
  for (std::filesystem::path at = path; target.uid != 0; at = at.parent_path(), wanted = S_IXOTH) {
    if (::stat(at.c_str(), &here) != 0 ||
        (here.st_mode & (here.st_uid == target.uid ? wanted << 6 : wanted)) == 0) {  // the owner's bits lie 6 higher
      return false;
    }
    if (at == at.root_path()) {
      break;
    }
  }
  return true;
}

// -- A thread at rest
// --------------------------------------------------------------------------------------------------

// Lower is better; nullopt: no thread at rest.
std::optional<size_t> RestRank(int64_t call) {
  const auto found = std::find(kRestingCalls.begin(), kRestingCalls.end(), call);
  return found == kRestingCalls.end() ? std::nullopt : std::optional<size_t>(found - kRestingCalls.begin());
}

// Threads at rest, the best first. A thread's line is "running", or the number of its call and what it was given.
std::vector<std::pair<size_t, pid_t>> ThreadsAtRest(pid_t pid) {
  std::vector<std::pair<size_t, pid_t>> threads;
  for (const pid_t tid : ListNumbers(ProcPath(pid, "task"), kMaxThreads)) {
    const std::string line = ReadFile(ProcPath(pid, fmt::format("task/{}/syscall", tid)), 256).value_or("");
    int64_t call = -1;
    std::from_chars(line.data(), line.data() + line.size(), call);
    if (const std::optional<size_t> rank = RestRank(call)) {
      threads.emplace_back(*rank, tid);
    }
  }
  std::sort(threads.begin(), threads.end());
  return threads;
}

absl::StatusOr<std::unique_ptr<Tracee>> SeizeThreadAtRest(const Target& target, uint64_t syscall_instruction) {
  const absl::Time deadline = absl::Now() + kRestTimeout;
  absl::Status refusal;
  do {
    for (const auto& [rank, tid] : ThreadsAtRest(target.pid)) {
      absl::StatusOr<std::unique_ptr<Tracee>> tracee = Tracee::Seize(target.pid, tid);
      if (absl::IsPermissionDenied(tracee.status())) {
        refusal = tracee.status();  // this thread may be an exception: one of io_uring, or traced on its own
      } else if (absl::IsDeadlineExceeded(tracee.status())) {
        return Refuse(target, "a thread of it does not stop; retry");
      } else if (tracee.ok() && RestRank((*tracee)->interrupted_call()) && (*tracee)->IsThreadOfGlibc()) {
        const absl::StatusOr<int64_t> code = (*tracee)->ReadWord(syscall_instruction);
        if (!code.ok() || (*code & 0xffff) != 0x050f) {
          return Refuse(target, "it started another program meanwhile; retry");
        }
        return tracee;
      }
    }
    // Which waits, too: for the job's end.
    pollfd process{target.pidfd.get(), POLLIN, 0};
    if (::poll(&process, 1, kRestPollMs) > 0) {
      return Refuse(target, "it ended meanwhile; choose a job that runs");
    }
  } while (absl::Now() < deadline);
  if (!refusal.ok()) {
    return absl::PermissionDeniedError(fmt::format("process {}: its threads may not be traced ({}); run dsocrd as root",
                                                   target.pid, std::string(refusal.message())));
  }
  return Refuse(target, fmt::format("no thread at a safe point within {:.0f} s; retry, or start the job with "
                                    "CUDA_INJECTION64_PATH or LD_PRELOAD naming the agent",
                                    absl::ToDoubleSeconds(kRestTimeout)));
}

// -- What is made in the process
// ---------------------------------------------------------------------------------------

// System calls in the job, and what undoes them: on destruction, unless Keep was called.
class Guest {
 public:
  Guest(const Target& target, Tracee& tracee) : target_(target), tracee_(tracee) {}
  ~Guest() {
    for (auto undo = undo_.rbegin(); undo != undo_.rend(); ++undo) {
      (void)tracee_.Syscall(undo->first, undo->second);
    }
  }
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  void Keep() { undo_.clear(); }

  absl::StatusOr<int64_t> Do(std::string_view name, int64_t number, const std::vector<uint64_t>& arguments) {
    DSOCR_ASSIGN_OR_RETURN(const int64_t result, tracee_.Syscall(number, arguments));
    if (result < 0 && result >= -4095) {
      return Refuse(target_, fmt::format("{} fails in it: {}; start the job with the agent in it", name,
                                         std::strerror(static_cast<int>(-result))));
    }
    return result;
  }

  absl::StatusOr<uint64_t> MakePage() {
    DSOCR_ASSIGN_OR_RETURN(
        const int64_t page,
        Do("mmap", SYS_mmap, {0, kPageBytes, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, ~uint64_t{0}, 0}));
    const uint64_t address = static_cast<uint64_t>(page);
    undo_.push_back({SYS_munmap, {address, kPageBytes}});
    return address;
  }

  struct Socket {
    UniqueFd ours;
    int theirs = -1;  // numbers in the job, here and below
    int taken = -1;   // what `ours` is a copy of
  };
  absl::StatusOr<Socket> MakeSocket() {
    // Right below the scratch memory, so that the kernel extends the thread's stack if it has to: a tracer cannot.
    const uint64_t ends = tracee_.scratch() - sizeof(uint64_t);
    DSOCR_RETURN_IF_ERROR(Do("socketpair", SYS_socketpair, {AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends}).status());
    DSOCR_ASSIGN_OR_RETURN(const int64_t word, tracee_.ReadWord(ends));
    const int theirs = static_cast<int>(word);
    const int taken = static_cast<int>(word >> 32);
    undo_.push_back({SYS_close, {static_cast<uint64_t>(theirs)}});
    undo_.push_back({SYS_close, {static_cast<uint64_t>(taken)}});
    DSOCR_ASSIGN_OR_RETURN(UniqueFd ours, Take(taken));
    return Socket{std::move(ours), theirs, taken};
  }

  // A file without a name, with the content of `path`; its number in the job.
  absl::StatusOr<int> CopyFile(const std::string& path) {
    std::string name(BaseName(path));
    name.push_back('\0');
    DSOCR_RETURN_IF_ERROR(tracee_.Write(tracee_.scratch(), name));
    DSOCR_ASSIGN_OR_RETURN(const int64_t number,
                           Do("memfd_create", SYS_memfd_create, {tracee_.scratch(), MFD_CLOEXEC}));
    undo_.push_back({SYS_close, {static_cast<uint64_t>(number)}});
    DSOCR_ASSIGN_OR_RETURN(const UniqueFd to, Take(static_cast<int>(number)));
    const UniqueFd from(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    while (true) {
      const ssize_t count = ::sendfile(to.get(), from.get(), nullptr, size_t{1} << 30);
      if (count == 0) {
        return static_cast<int>(number);
      }
      if (count < 0) {
        return absl::FailedPreconditionError(fmt::format("agent '{}': it cannot be copied into process {}: {}", path,
                                                         target_.pid, std::strerror(errno)));
      }
    }
  }

 private:
  absl::StatusOr<UniqueFd> Take(int number) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_getfd, target_.pidfd.get(), number, 0)));
    if (!fd.valid()) {
      return Refuse(target_, fmt::format("pidfd_getfd: {}; start the job with the agent in it", std::strerror(errno)));
    }
    return fd;
  }

  const Target& target_;
  Tracee& tracee_;
  std::vector<std::pair<int64_t, std::vector<uint64_t>>> undo_;
};

constexpr uint64_t SignalBit(int number) { return uint64_t{1} << (number - 1); }

// Of the new thread, and so of the agent's: none of the job's handlers runs on it. A fault of its own is told as any
// other, and libc can reach it (32: cancellation, 33: setuid of all threads).
constexpr uint64_t kSignalMask = ~(SignalBit(SIGILL) | SignalBit(SIGTRAP) | SignalBit(SIGBUS) | SignalBit(SIGFPE) |
                                   SignalBit(SIGSEGV) | SignalBit(SIGSYS) | SignalBit(32) | SignalBit(33));

// Our end of the socket of a fresh thread, which waits for a packet on it. `needs_copy`: the job does not see the agent
// under its path.
absl::StatusOr<UniqueFd> CreateThread(const Target& target, const LibcFunctions& libc, Trampoline table,
                                      const std::string& agent_path, bool needs_copy) {
  DSOCR_ASSIGN_OR_RETURN(const uint64_t pthread_create, libc.Function(target, "pthread_create"));
  DSOCR_ASSIGN_OR_RETURN(const std::unique_ptr<Tracee> tracee, SeizeThreadAtRest(target, libc.syscall_instruction()));
  tracee->set_syscall_instruction(libc.syscall_instruction());
  Guest guest(target, *tracee);
  DSOCR_ASSIGN_OR_RETURN(table.page, guest.MakePage());
  DSOCR_ASSIGN_OR_RETURN(Guest::Socket socket, guest.MakeSocket());
  table.socket = socket.theirs;
  table.taken = socket.taken;
  std::string path = agent_path;
  if (needs_copy) {
    DSOCR_ASSIGN_OR_RETURN(table.memfd, guest.CopyFile(agent_path));
    path = fmt::format("/proc/self/fd/{}", table.memfd);
  }
  DSOCR_ASSIGN_OR_RETURN(const TrampolinePage page, MakeTrampolinePage(table, path));
  DSOCR_RETURN_IF_ERROR(tracee->Write(table.page, page.content));

  const absl::StatusOr<uint64_t> error =
      tracee->Call(page, pthread_create, {tracee->scratch(), 0, page.thread_entry, table.page}, kCreateThreadTimeout);
  if (error.ok() && *error != 0) {
    return Refuse(target,
                  fmt::format("pthread_create fails in it: {}; retry", std::strerror(static_cast<int>(*error))));
  }
  guest.Keep();  // the new thread has them; and where none can be told to exist, there may be one yet
  if (absl::IsDeadlineExceeded(error.status())) {
    return Refuse(target, "pthread_create waits for a lock in it; retry");
  }
  DSOCR_RETURN_IF_ERROR(error.status());
  return std::move(socket.ours);
}

absl::StatusOr<UniqueFd> InjectHere(const Target& target, const std::string& agent_path) {
  auto file = std::make_shared<UniqueFd>(::open(ProcPath(target.pid, "mem").c_str(), O_RDONLY | O_CLOEXEC));
  const ElfImage::Reader memory = MemoryOf(file);
  const std::vector<Mapping> mappings = ReadMappings(target.pid);
  DSOCR_ASSIGN_OR_RETURN(const LibcFunctions libc, LibcFunctions::Find(target, memory, mappings));
  Trampoline table;
  table.signal_mask = kSignalMask;
  for (const auto& [name, address] :
       std::initializer_list<std::pair<std::string_view, uint64_t*>>{{"pthread_self", &table.pthread_self},
                                                                     {"pthread_detach", &table.pthread_detach},
                                                                     {"dlopen", &table.dlopen},
                                                                     {"dlsym", &table.dlsym},
                                                                     {"dlerror", &table.dlerror},
                                                                     {"send", &table.send},
                                                                     {"recv", &table.recv},
                                                                     {"close", &table.close},
                                                                     {"munmap", &table.munmap}}) {
    DSOCR_ASSIGN_OR_RETURN(*address, libc.Function(target, name));
  }
  DSOCR_ASSIGN_OR_RETURN(const std::string build_id, BuildIdOfFile(agent_path));
  DSOCR_ASSIGN_OR_RETURN(table.attach, MappedEntry(target, memory, mappings, build_id));
  const bool needs_copy = table.attach == 0 && !IsVisible(target, agent_path);

  DSOCR_ASSIGN_OR_RETURN(UniqueFd socket, CreateThread(target, libc, table, agent_path, needs_copy));
  // The thread at rest is on its way, so that the page may go.
  (void)::send(socket.get(), "", 1, MSG_NOSIGNAL);
  return socket;
}

}  // namespace

absl::StatusOr<UniqueFd> Inject(const Target& target, const std::string& agent_path) {
  // While its thread is stopped, the job's life hangs on who traces it: that is no daemon that somebody may kill.
  absl::StatusOr<UniqueFd> socket = DoInChild({target.pidfd.get()}, [&] { return InjectHere(target, agent_path); });
  if (absl::IsAborted(socket.status()) || absl::IsDeadlineExceeded(socket.status())) {
    return Refuse(target, fmt::format("{}; retry", std::string(socket.status().message())));
  }
  return socket;
}

#else

absl::StatusOr<UniqueFd> Inject(const Target&, const std::string&) {
  return absl::UnimplementedError("injection: only on x86-64; start the job with the agent in it");
}

#endif

}  // namespace dsocr::attach
