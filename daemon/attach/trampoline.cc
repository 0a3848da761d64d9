#include "daemon/attach/trampoline.h"

#include <cstddef>
#include <cstring>

#include "fmt/format.h"

namespace dsocr::attach {

#ifdef __x86_64__

// The offsets that the code below uses.
static_assert(offsetof(Trampoline, page) == 0 && offsetof(Trampoline, signal_mask) == 8);
static_assert(offsetof(Trampoline, pthread_self) == 16 && offsetof(Trampoline, pthread_detach) == 24);
static_assert(offsetof(Trampoline, dlopen) == 32 && offsetof(Trampoline, dlsym) == 40);
static_assert(offsetof(Trampoline, dlerror) == 48 && offsetof(Trampoline, send) == 56);
static_assert(offsetof(Trampoline, close) == 64 && offsetof(Trampoline, munmap) == 72);
static_assert(offsetof(Trampoline, attach) == 80 && offsetof(Trampoline, socket) == 88);
static_assert(offsetof(Trampoline, memfd) == 92 && offsetof(Trampoline, entry_name) == 96);
static_assert(offsetof(Trampoline, refusal) == 128 && sizeof(Trampoline) == 192);

// rbx: the table; r12: the agent's entry, 0 while there is none; rbp: the agent's handle, then the text of a failure.
// The path lies right behind the code.
asm(R"(
  .section .rodata
  .globl dsocr_trampoline_begin, dsocr_trampoline_end
  .hidden dsocr_trampoline_begin, dsocr_trampoline_end
dsocr_trampoline_begin:
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
  mov 80(%rbx), %r12
  test %r12, %r12
  jnz 2f
  lea dsocr_trampoline_end(%rip), %rdi
  mov $2, %esi                  # RTLD_NOW
  call *32(%rbx)                # dlopen
  mov %rax, %rbp
  mov 92(%rbx), %edi
  test %edi, %edi
  js 1f
  call *64(%rbx)                # close(memfd)
1:
  test %rbp, %rbp
  jz 3f
  mov %rbp, %rdi
  lea 96(%rbx), %rsi
  call *40(%rbx)                # dlsym
  mov %rax, %r12
  test %r12, %r12
  jz 3f
2:
  mov 88(%rbx), %edi
  call *%r12                    # attach(socket)
  test %eax, %eax
  jz 7f
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
  mov 88(%rbx), %edi
  mov %rsp, %rsi
  mov $0x4040, %ecx             # MSG_NOSIGNAL | MSG_DONTWAIT
  call *56(%rbx)                # send
  mov 88(%rbx), %edi
  call *64(%rbx)                # close(socket)
  add $1024, %rsp
7:
  mov (%rbx), %rdi
  mov $4096, %esi
  mov 72(%rbx), %rax
  pop %r12
  pop %rbp
  pop %rbx
  jmp *%rax                     # munmap
dsocr_trampoline_end:
  .previous
)");

extern "C" const char dsocr_trampoline_begin[];
extern "C" const char dsocr_trampoline_end[];

absl::StatusOr<std::string> TrampolinePage(const Trampoline& table, const std::string& agent_path) {
  const size_t code_bytes = dsocr_trampoline_end - dsocr_trampoline_begin;
  const size_t path_at = sizeof(table) + code_bytes;
  if (path_at + agent_path.size() >= kPageBytes) {
    return absl::InvalidArgumentError(
        fmt::format("agent '{:.80}…': its path is longer than {} bytes; install it elsewhere", agent_path,
                    kPageBytes - path_at - 1));
  }
  std::string page(path_at, '\0');
  std::memcpy(page.data(), &table, sizeof(table));
  std::memcpy(page.data() + sizeof(table), dsocr_trampoline_begin, code_bytes);
  return page + agent_path + '\0';
}

#else

absl::StatusOr<std::string> TrampolinePage(const Trampoline&, const std::string&) {
  return absl::UnimplementedError("injection: only on x86-64; start the job with the agent in it");
}

#endif

uint64_t TrampolineEntry(uint64_t page) { return page + sizeof(Trampoline); }

}  // namespace dsocr::attach
