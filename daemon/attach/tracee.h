// One thread of another process, stopped, made to run system calls and a function for us, and let go as it was.
//
// No signal of the job is lost, and none can disturb: while the thread is ours all its signals are blocked, and pending
// ones reach it afterwards, as if they had come then. A SIGSTOP, which cannot be blocked, is sent again at the end. The
// thread stops as seldom as can be, since each stop costs two turns of the scheduler: once to begin with, twice for a
// system call, once for a function, however many calls that makes.
//
// All methods on the thread that called Seize: ptrace belongs to a thread.
#ifndef DSOCR_DAEMON_ATTACH_TRACEE_H_
#define DSOCR_DAEMON_ATTACH_TRACEE_H_

#include <sys/types.h>
#include <sys/user.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "daemon/attach/trampoline.h"

namespace dsocr::attach {

class Tracee {
 public:
  // Stops the thread. PERMISSION_DENIED: it may not be traced, or somebody traces it. NOT_FOUND: it has ended.
  // DEADLINE_EXCEEDED: it does not stop (it is in an uninterruptible sleep); it is let go.
  static absl::StatusOr<std::unique_ptr<Tracee>> Seize(pid_t pid, pid_t tid);
  // Lets the thread go with the registers and signals that it had, and its interrupted system call goes on. A thread
  // that is in the middle of Call is interrupted there: a function that waits for a lock leaves it so.
  ~Tracee();
  Tracee(const Tracee&) = delete;
  Tracee& operator=(const Tracee&) = delete;

  // The system call that the thread was stopped in; -1: none, it was running.
  int64_t interrupted_call() const;
  // Whether the thread is one of glibc's, so that functions of libc can run on it.
  bool IsThreadOfGlibc() const;

  // Where Syscall finds a `syscall` instruction. REQUIRES: set before it.
  void set_syscall_instruction(uint64_t address) { syscall_instruction_ = address; }
  // 4 KiB of the thread's own stack that it does not use, 16-aligned: for what a call reads or writes. A function's own
  // stack lies below.
  uint64_t scratch() const;

  // What the kernel returned, -errno included. ABORTED, here and below: the thread ended or ran into a fault.
  absl::StatusOr<int64_t> Syscall(int64_t number, const std::vector<uint64_t>& arguments);
  // The function's result. DEADLINE_EXCEEDED: it has not returned after `timeout`. `page` is in the job already.
  absl::StatusOr<uint64_t> Call(const TrampolinePage& page, uint64_t function, const std::vector<uint64_t>& arguments,
                                absl::Duration timeout);

  absl::Status Write(uint64_t address, std::string_view bytes);  // to pages that are not writable as well
  absl::StatusOr<int64_t> ReadWord(uint64_t address) const;

 private:
  enum class Stop { kEvent, kSyscall, kSignal, kGone };

  Tracee(pid_t pid, pid_t tid) : pid_(pid), tid_(tid) {}
  absl::Status Save();
  absl::StatusOr<Stop> WaitForStop(absl::Time deadline);
  // Runs to the next stop that is not one of job control.
  absl::StatusOr<Stop> Resume(int request, absl::Time deadline);
  absl::Status ResumeToSyscall(absl::Time deadline);
  // Keeps a SIGSTOP for later; ABORTED for a fault, and where the thread has ended.
  absl::Status HoldSignal(Stop stop);
  absl::Status Start(uint64_t address, uint64_t stack, uint64_t rax, const std::vector<uint64_t>& arguments);

  const pid_t pid_;
  const pid_t tid_;
  user_regs_struct saved_{};
  std::vector<char> saved_vector_state_;
  uint64_t saved_signals_ = 0;
  uint64_t syscall_instruction_ = 0;
  bool is_saved_ = false;
  bool is_running_ = false;    // since the last resume no stop was seen
  bool is_gone_ = false;       // it has ended
  bool may_restart_ = false;   // it is stopped where the kernel looks at signals, and so at interrupted system calls
  bool is_stop_held_ = false;  // a SIGSTOP was kept from it
};

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_TRACEE_H_
