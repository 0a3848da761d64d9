#include "daemon/attach/tracee.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "absl/time/clock.h"
#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::attach {

#ifdef __x86_64__

namespace {

constexpr absl::Duration kStopTimeout = absl::Seconds(1);
constexpr absl::Duration kSyscallTimeout = absl::Seconds(5);
constexpr size_t kVectorStateLimitBytes = 64 << 10;  // 11 KiB with AMX
constexpr uint64_t kRedZoneBytes = 1024;             // the ABI's is 128
constexpr uint64_t kScratchBytes = 4096;
constexpr uint64_t kUserCode = 0x33;  // the code segment of 64-bit programs
constexpr uint64_t kTrapAndDirectionFlags = 0x500;
// The kernel's own: ends an interrupted call with EINTR where a handler runs, and starts it again where none does.
constexpr int64_t kRestartWithoutHandler = -514;

long Ptrace(int request, pid_t tid, uint64_t address = 0, uint64_t data = 0) {
  return ::ptrace(static_cast<__ptrace_request>(request), tid, address, data);
}

absl::Status Gone(pid_t tid) { return absl::AbortedError(fmt::format("thread {}: it ended meanwhile", tid)); }

}  // namespace

absl::StatusOr<std::unique_ptr<Tracee>> Tracee::Seize(pid_t pid, pid_t tid) {
  if (Ptrace(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD) != 0) {
    return errno == ESRCH ? absl::NotFoundError(fmt::format("thread {}: it has ended", tid))
                          : absl::PermissionDeniedError(fmt::format("thread {}: {}", tid, std::strerror(errno)));
  }
  std::unique_ptr<Tracee> tracee(new Tracee(pid, tid));
  DSOCR_RETURN_IF_ERROR(tracee->Save());
  return tracee;
}

absl::Status Tracee::Save() {
  is_running_ = true;
  Ptrace(PTRACE_INTERRUPT, tid_);
  DSOCR_ASSIGN_OR_RETURN(Stop stop, WaitForStop(absl::Now() + kStopTimeout));
  while (stop == Stop::kSignal) {  // a signal that came first: it is delivered, and the thread stops after it
    siginfo_t info;
    is_running_ = Ptrace(PTRACE_GETSIGINFO, tid_, 0, reinterpret_cast<uint64_t>(&info)) == 0 &&
                  Ptrace(PTRACE_CONT, tid_, 0, info.si_signo) == 0;
    DSOCR_ASSIGN_OR_RETURN(stop, WaitForStop(absl::Now() + kStopTimeout));
  }
  saved_vector_state_.resize(kVectorStateLimitBytes);
  iovec vector_state{saved_vector_state_.data(), saved_vector_state_.size()};
  const uint64_t all_signals = ~uint64_t{0};
  if (stop != Stop::kEvent || Ptrace(PTRACE_GETREGS, tid_, 0, reinterpret_cast<uint64_t>(&saved_)) != 0 ||
      Ptrace(PTRACE_GETREGSET, tid_, NT_X86_XSTATE, reinterpret_cast<uint64_t>(&vector_state)) != 0 ||
      Ptrace(PTRACE_GETSIGMASK, tid_, sizeof(saved_signals_), reinterpret_cast<uint64_t>(&saved_signals_)) != 0 ||
      Ptrace(PTRACE_SETSIGMASK, tid_, sizeof(all_signals), reinterpret_cast<uint64_t>(&all_signals)) != 0) {
    return Gone(tid_);
  }
  saved_vector_state_.resize(vector_state.iov_len);
  if (interrupted_call() >= 0 && static_cast<int64_t>(saved_.rax) == -EINTR) {
    saved_.rax = kRestartWithoutHandler;  // epoll_wait and some others cannot tell our stop from a signal
  }
  is_saved_ = true;
  return absl::OkStatus();
}

Tracee::~Tracee() {
  if (!is_saved_) {
    return;  // it never stopped for us: the kernel lets it go when this thread ends
  }
  // Its registers are not its own before this is done: to leave earlier would be the job's end. So this waits as long
  // as the kernel keeps the thread.
  while (!is_gone_ && (is_running_ || !may_restart_)) {
    Ptrace(PTRACE_INTERRUPT, tid_);
    if (!is_running_) {
      Ptrace(PTRACE_CONT, tid_);
      is_running_ = true;
    }
    (void)WaitForStop(absl::InfiniteFuture());
  }
  iovec vector_state{saved_vector_state_.data(), saved_vector_state_.size()};
  Ptrace(PTRACE_SETREGSET, tid_, NT_X86_XSTATE, reinterpret_cast<uint64_t>(&vector_state));
  Ptrace(PTRACE_SETREGS, tid_, 0, reinterpret_cast<uint64_t>(&saved_));
  Ptrace(PTRACE_SETSIGMASK, tid_, sizeof(saved_signals_), reinterpret_cast<uint64_t>(&saved_signals_));
  Ptrace(PTRACE_DETACH, tid_);
  if (is_stop_held_) {
    ::syscall(SYS_tgkill, pid_, tid_, SIGSTOP);
  }
}

int64_t Tracee::interrupted_call() const { return static_cast<int64_t>(saved_.orig_rax); }

bool Tracee::IsThreadOfGlibc() const {
  // Its thread control block begins with its own address, and has it again 16 bytes later.
  const absl::StatusOr<int64_t> block = ReadWord(saved_.fs_base);
  const absl::StatusOr<int64_t> self = ReadWord(saved_.fs_base + 16);
  return saved_.cs == kUserCode && block.ok() && self.ok() && static_cast<uint64_t>(*block) == saved_.fs_base &&
         *self == *block;
}

uint64_t Tracee::scratch() const { return (saved_.rsp - kRedZoneBytes - kScratchBytes) & ~uint64_t{15}; }

absl::StatusOr<Tracee::Stop> Tracee::WaitForStop(absl::Time deadline) {
  for (absl::Duration nap = absl::Microseconds(20);; nap = std::min(2 * nap, absl::Milliseconds(1))) {
    int status = 0;
    const pid_t waited = ::waitpid(tid_, &status, __WALL | WNOHANG);
    if (waited < 0 || (waited == tid_ && !WIFSTOPPED(status))) {
      is_gone_ = true;
      return Stop::kGone;
    }
    if (waited == tid_) {
      is_running_ = false;
      if (status >> 16 == PTRACE_EVENT_STOP) {
        may_restart_ = true;
        return Stop::kEvent;
      }
      may_restart_ = WSTOPSIG(status) != (SIGTRAP | 0x80);
      return may_restart_ ? Stop::kSignal : Stop::kSyscall;
    }
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(fmt::format("thread {}: it does not stop", tid_));
    }
    absl::SleepFor(nap);
  }
}

absl::StatusOr<Tracee::Stop> Tracee::Resume(int request, absl::Time deadline) {
  while (true) {
    may_restart_ = false;
    is_running_ = Ptrace(request, tid_) == 0;
    DSOCR_ASSIGN_OR_RETURN(const Stop stop, WaitForStop(deadline));
    if (stop != Stop::kEvent) {
      return stop;
    }
  }
}

absl::Status Tracee::ResumeToSyscall(absl::Time deadline) {
  while (true) {
    DSOCR_ASSIGN_OR_RETURN(const Stop stop, Resume(PTRACE_SYSCALL, deadline));
    if (stop == Stop::kSyscall) {
      return absl::OkStatus();
    }
    DSOCR_RETURN_IF_ERROR(HoldSignal(stop));
  }
}

absl::Status Tracee::HoldSignal(Stop stop) {
  siginfo_t info;
  if (stop == Stop::kGone || Ptrace(PTRACE_GETSIGINFO, tid_, 0, reinterpret_cast<uint64_t>(&info)) != 0) {
    return Gone(tid_);
  }
  if (info.si_signo != SIGSTOP) {
    return absl::AbortedError(fmt::format("thread {}: it ran into signal {}", tid_, info.si_signo));
  }
  is_stop_held_ = true;
  return absl::OkStatus();
}

absl::Status Tracee::Start(uint64_t address, uint64_t stack, uint64_t rax, const std::vector<uint64_t>& arguments) {
  user_regs_struct registers = saved_;
  registers.rip = address;
  registers.rsp = stack;
  registers.rax = rax;
  registers.orig_rax = ~uint64_t{0};  // no interrupted call here: nothing for the kernel to restart
  registers.eflags &= ~kTrapAndDirectionFlags;
  unsigned long long* const places[] = {&registers.rdi, &registers.rsi, &registers.rdx,
                                        &registers.rcx, &registers.r8,  &registers.r9};
  for (size_t i = 0; i < std::min(arguments.size(), std::size(places)); ++i) {
    *places[i] = arguments[i];
  }
  registers.r10 = registers.rcx;  // where the kernel expects the fourth
  return Ptrace(PTRACE_SETREGS, tid_, 0, reinterpret_cast<uint64_t>(&registers)) == 0 ? absl::OkStatus() : Gone(tid_);
}

absl::StatusOr<int64_t> Tracee::Syscall(int64_t number, const std::vector<uint64_t>& arguments) {
  const absl::Time deadline = absl::Now() + kSyscallTimeout;
  DSOCR_RETURN_IF_ERROR(Start(syscall_instruction_, scratch(), number, arguments));
  DSOCR_RETURN_IF_ERROR(ResumeToSyscall(deadline));  // at its entry
  DSOCR_RETURN_IF_ERROR(ResumeToSyscall(deadline));  // at its exit
  user_regs_struct registers;
  if (Ptrace(PTRACE_GETREGS, tid_, 0, reinterpret_cast<uint64_t>(&registers)) != 0) {
    return Gone(tid_);
  }
  return static_cast<int64_t>(registers.rax);
}

absl::StatusOr<uint64_t> Tracee::Call(const TrampolinePage& page, uint64_t function,
                                      const std::vector<uint64_t>& arguments, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  DSOCR_RETURN_IF_ERROR(Start(page.call_entry, scratch(), function, arguments));
  while (true) {
    DSOCR_ASSIGN_OR_RETURN(const Stop stop, Resume(PTRACE_CONT, deadline));
    user_regs_struct registers;
    if (stop == Stop::kSignal && Ptrace(PTRACE_GETREGS, tid_, 0, reinterpret_cast<uint64_t>(&registers)) == 0 &&
        registers.rip == page.call_end) {
      return registers.rbp;
    }
    DSOCR_RETURN_IF_ERROR(HoldSignal(stop));
  }
}

absl::Status Tracee::Write(uint64_t address, std::string_view bytes) {
  for (size_t at = 0; at < bytes.size(); at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min(sizeof(word), bytes.size() - at));
    if (Ptrace(PTRACE_POKEDATA, tid_, address + at, word) != 0) {
      return absl::AbortedError(
          fmt::format("thread {}: {:#x} cannot be written: {}", tid_, address + at, std::strerror(errno)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Tracee::ReadWord(uint64_t address) const {
  errno = 0;
  const long word = Ptrace(PTRACE_PEEKDATA, tid_, address);
  if (errno != 0) {
    return absl::AbortedError(fmt::format("thread {}: {:#x} cannot be read: {}", tid_, address, std::strerror(errno)));
  }
  return word;
}

#endif

}  // namespace dsocr::attach
