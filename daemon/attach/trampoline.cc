#include "daemon/attach/trampoline.h"

#include <cstddef>
#include <string_view>

#include "fmt/format.h"

namespace dsocr::attach {

#ifdef __x86_64__

// The offsets that the code below uses.
static_assert(offsetof(Trampoline, page) == 0 && offsetof(Trampoline, signal_mask) == 8);
static_assert(offsetof(Trampoline, pthread_self) == 16 && offsetof(Trampoline, pthread_detach) == 24);
static_assert(offsetof(Trampoline, dlopen) == 32 && offsetof(Trampoline, dlsym) == 40);
static_assert(offsetof(Trampoline, dlerror) == 48 && offsetof(Trampoline, send) == 56);
static_assert(offsetof(Trampoline, recv) == 64 && offsetof(Trampoline, close) == 72);
static_assert(offsetof(Trampoline, munmap) == 80 && offsetof(Trampoline, attach) == 88);
static_assert(offsetof(Trampoline, socket) == 96 && offsetof(Trampoline, taken) == 100);
static_assert(offsetof(Trampoline, memfd) == 104 && offsetof(Trampoline, entry_name) == 108);
static_assert(offsetof(Trampoline, refusal) == 128 && sizeof(Trampoline) == 192);

// Of the fresh thread: rbx: the table; r12: the agent's entry, 0 while there is none; rbp: the agent's handle, then the
// text of a failure. The path lies right behind the code.
asm(R"(
  .section .rodata
  .globl dsocr_trampoline_call, dsocr_trampoline_called, dsocr_trampoline_run, dsocr_trampoline_end
  .hidden dsocr_trampoline_call, dsocr_trampoline_called, dsocr_trampoline_run, dsocr_trampoline_end
dsocr_trampoline_call:
  call *%rax
  mov %rax, %rbp
  mov $39, %eax                 # getpid: as the job's namespace has it
  syscall
  mov %eax, %edi
  mov $186, %eax                # gettid
  syscall
  mov %eax, %esi
  mov $19, %edx                 # SIGSTOP
  mov $234, %eax                # tgkill
  syscall
dsocr_trampoline_called:
  ud2
dsocr_trampoline_run:
  push %rbx
  push %rbp
  push %r12
  mov %rdi, %rbx
  mov $14, %eax                 # rt_sigprocmask; libc's own would not touch the signals that libc keeps for itself
  mov $2, %edi                  # SIG_SETMASK
  lea 8(%rbx), %rsi
  xor %edx, %edx
  mov $8, %r10d
  syscall
  call *16(%rbx)                # pthread_self
  mov %rax, %rdi
  call *24(%rbx)                # pthread_detach
  mov 100(%rbx), %edi
  call *72(%rbx)                # close(taken)
  mov 96(%rbx), %edi
  sub $64, %rsp
  mov %rsp, %rsi
  mov $1, %edx
  xor %ecx, %ecx
  call *64(%rbx)                # recv(socket)
  add $64, %rsp
  cmp $1, %rax
  jne 7f
  mov 88(%rbx), %r12
  test %r12, %r12
  jnz 2f
  lea dsocr_trampoline_end(%rip), %rdi
  mov $2, %esi                  # RTLD_NOW
  call *32(%rbx)                # dlopen
  mov %rax, %rbp
  mov 104(%rbx), %edi
  test %edi, %edi
  js 1f
  call *72(%rbx)                # close(memfd)
1:
  test %rbp, %rbp
  jz 3f
  mov %rbp, %rdi
  lea 108(%rbx), %rsi
  call *40(%rbx)                # dlsym
  mov %rax, %r12
  test %r12, %r12
  jz 3f
2:
  mov 96(%rbx), %edi
  call *%r12                    # attach(socket)
  test %eax, %eax
  jz 8f
  lea 128(%rbx), %rbp
  jmp 4f
3:
  call *48(%rbx)                # dlerror
  mov %rax, %rbp
  test %rbp, %rbp
  jnz 4f
  lea 128(%rbx), %rbp
4:                              # '!' and at most 1000 bytes of the text, copied to the stack, in one packet
  sub $1024, %rsp
  movb $33, (%rsp)
  mov $1, %edx
5:
  mov -1(%rbp,%rdx), %al
  test %al, %al
  jz 6f
  mov %al, (%rsp,%rdx)
  inc %edx
  cmp $1001, %edx
  jb 5b
6:
  mov 96(%rbx), %edi
  mov %rsp, %rsi
  mov $0x4040, %ecx             # MSG_NOSIGNAL | MSG_DONTWAIT
  call *56(%rbx)                # send
  add $1024, %rsp
7:
  mov 96(%rbx), %edi
  call *72(%rbx)                # close(socket)
8:
  mov (%rbx), %rdi
  mov $4096, %esi
  mov 80(%rbx), %rax
  pop %r12
  pop %rbp
  pop %rbx
  jmp *%rax                     # munmap
dsocr_trampoline_end:
  .previous
)");

extern "C" const char dsocr_trampoline_call[];
extern "C" const char dsocr_trampoline_called[];
extern "C" const char dsocr_trampoline_run[];
extern "C" const char dsocr_trampoline_end[];

absl::StatusOr<TrampolinePage> MakeTrampolinePage(const Trampoline& table, const std::string& agent_path) {
  const std::string_view code(dsocr_trampoline_call, dsocr_trampoline_end - dsocr_trampoline_call);
  const size_t room = kPageBytes - sizeof(table) - code.size() - 1;
  if (agent_path.size() > room) {
    return absl::InvalidArgumentError(
        fmt::format("agent '{:.80}…': its path is longer than {} bytes; install it elsewhere", agent_path, room));
  }
  TrampolinePage page;
  page.content.assign(reinterpret_cast<const char*>(&table), sizeof(table));
  page.content += code;
  page.content += agent_path;
  page.content += '\0';
  page.call_entry = table.page + sizeof(table);
  page.call_end = page.call_entry + (dsocr_trampoline_called - dsocr_trampoline_call);
  page.thread_entry = page.call_entry + (dsocr_trampoline_run - dsocr_trampoline_call);
  return page;
}

#else

absl::StatusOr<TrampolinePage> MakeTrampolinePage(const Trampoline&, const std::string&) {
  return absl::UnimplementedError("injection: only on x86-64; start the job with the agent in it");
}

#endif

}  // namespace dsocr::attach
