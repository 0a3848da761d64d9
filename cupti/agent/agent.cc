// libdsocr_agent.so: what it exports, when it wakes, and the thread through which it talks to a daemon.
//
// Who has brought it decides what it does:
// - A launched command (the session variables are in the environment): it sleeps until the process shows that it
//   computes, by its first NVTX call, cuInit, or libtorch_cpu.so in its memory map. Then it records at once, into a
//   ring of its own, while its thread says hello to the daemon.
// - A prepared process (LD_PRELOAD, NVTX's or CUDA's injection, dsocr_agent_listen): it sleeps likewise, and then waits
//   on a socket for daemons to come.
// - A daemon that injected it: nothing, until dsocr_agent_attach hands it a connected socket.
//
// Nothing leaves through exceptions, descriptors 1 and 2, or exit codes.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#include "cupti/agent/daemon_socket.h"
#include "cupti/agent/nvtx_hooks.h"
#include "cupti/agent/process_map.h"
#include "cupti/agent/session.h"
#include "cupti/agent/thread.h"
#include "cupti/record/message.h"

#define DSOCR_EXPORT extern "C" __attribute__((visibility("default")))

namespace dsocr::agent {
namespace {

// While asleep, the map is looked at for libtorch: every 50 ms in a launched command, whose first operators count; in a
// prepared process, which may never compute, ever more rarely (0.05 ms a look).
constexpr int kFirstPollMs = 50;
constexpr int kLastPollMs = 1000;

// All of it constant-initialised: OnLoad runs before the library's dynamic initialisation.
constinit Invitation invitation{};
constinit std::atomic<bool> is_launched{false};
constinit std::atomic<bool> is_prepared{false};
constinit std::atomic<bool> is_awake{false};
constinit std::atomic<bool> has_thread{false};
constinit std::mutex wake_mutex;  // serialises Wake
constinit std::atomic<int> wake_fd{-1};
constinit std::atomic<int> listener_fd{-1};
constinit sockaddr_un listener_address{};
constinit std::atomic<pid_t> listener_pid{0};  // whose file the address is

// Copies the session variables. False: this is no launched command.
bool ReadEnvironment() {
  const char* path = std::getenv(record::kSocketVariable);
  const char* token = std::getenv(record::kTokenVariable);
  if (path == nullptr || token == nullptr || path[0] != '/' ||
      std::strlen(path) >= sizeof(invitation.address.sun_path) || std::strlen(token) != record::kTokenBytes) {
    return false;
  }
  invitation.address.sun_family = AF_UNIX;
  std::strcpy(invitation.address.sun_path, path);
  std::memcpy(invitation.token, token, record::kTokenBytes);
  if (const char* budget = std::getenv(record::kBudgetVariable)) {
    invitation.budget_ppm = static_cast<uint32_t>(std::min(std::strtoul(budget, nullptr, 10), 1'000'000ul));
  }
  return true;
}

bool IsPreloaded() {
  const char* preload = std::getenv("LD_PRELOAD");
  return preload != nullptr && std::strstr(preload, "libdsocr_agent") != nullptr;
}

void RemoveListener() noexcept {
  if (listener_pid.load() == getpid()) {
    unlink(listener_address.sun_path);
  }
}

// One daemon after the other, for as long as the process lives.
void Listen() noexcept {
  const int listener = ListenForDaemon(&listener_address);
  if (listener < 0) {
    return;
  }
  listener_fd.store(listener);
  if (listener_pid.exchange(getpid()) == 0) {
    std::atexit(RemoveListener);
  }
  for (;;) {
    pollfd event{listener, POLLIN, 0};
    poll(&event, 1, -1);
    const int daemon = AcceptDaemon(listener);
    if (daemon >= 0 && ClaimSession()) {
      RunSession(daemon, listener);
    } else if (daemon >= 0) {
      close(daemon);
    }
  }
}

// The process computes. Any thread; the first call counts.
void Wake() noexcept;

void AwaitComputing() noexcept {
  int wait_ms = kFirstPollMs;
  while (!is_awake.load()) {
    pollfd event{wake_fd.load(), POLLIN, 0};
    if (poll(&event, 1, wait_ms) == 0) {
      if (HasMapped("libtorch_cpu.so")) {
        Wake();
      }
      wait_ms = is_launched ? kFirstPollMs : std::min(2 * wait_ms, kLastPollMs);
    }
  }
}

void* ControlThread(void*) {
  AwaitComputing();
  if (is_launched && IsSessionClaimed()) {
    RunLaunchedSession(invitation);
  }
  Listen();
  return nullptr;
}

void StartControlThread() noexcept {
  if (!has_thread.exchange(true)) {
    if (!is_awake) {
      wake_fd.store(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    }
    if (!StartThread("dsocr-agent", ControlThread, nullptr)) {
      is_prepared.store(false);
      if (is_launched.exchange(false)) {
        ReleaseSession();
      }
    }
  }
}

void Wake() noexcept {
  if (is_awake.load()) {
    return;  // without the lock: most calls
  }
  const std::lock_guard<std::mutex> lock(wake_mutex);
  if (is_awake.load() || (!is_launched && !is_prepared)) {
    return;
  }
  if (is_launched) {
    BeginLaunchedRecording(invitation);
  }
  is_awake.store(true);
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd.load(), &one, sizeof(one));
  StartControlThread();
}

// An injected agent's session, on a thread that ends with it.
void* AttachThread(void* socket) {
  RunSession(static_cast<int>(reinterpret_cast<intptr_t>(socket)), -1);
  return nullptr;
}

// A forked child has no part in its parent's session. It may have one of its own: it listens once it computes, of which
// its own range calls and cuInit tell. No thread is made here: what locks other threads held is not known.
void AfterForkInChild() {
  const bool may_listen = is_launched || is_prepared || IsSessionClaimed();
  ForgetSessionAfterFork();
  new (&wake_mutex) std::mutex;
  for (std::atomic<int>* fd : {&wake_fd, &listener_fd}) {
    if (const int open_fd = fd->exchange(-1); open_fd >= 0) {
      close(open_fd);
    }
  }
  is_launched.store(false);
  is_prepared.store(may_listen);
  is_awake.store(false);
  has_thread.store(false);
  WakeAtNextRange(may_listen ? Wake : nullptr);
}

__attribute__((constructor)) void OnLoad() {
  pthread_atfork(nullptr, nullptr, AfterForkInChild);
  if (ReadEnvironment()) {
    is_launched.store(ClaimSession());
    StartControlThread();
  } else if (IsPreloaded()) {
    is_prepared.store(true);
    StartControlThread();
  }
}

bool IsPacketSocket(int socket) {
  int type = 0;
  socklen_t size = sizeof(type);
  return getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

}  // namespace
}  // namespace dsocr::agent

// Begins a session with the daemon at the other end of a connected SOCK_SEQPACKET socket, on a thread of its own. 0:
// the socket is the agent's now. Else an error number, and it is still the caller's: EBUSY, there is a session already;
// ENOTSOCK; EAGAIN, no thread could be had. Any thread, at any time after dlopen.
DSOCR_EXPORT int dsocr_agent_attach(int socket_fd) {
  using namespace dsocr::agent;
  if (!IsPacketSocket(socket_fd)) {
    return ENOTSOCK;
  }
  if (!ClaimSession()) {
    return EBUSY;
  }
  fcntl(socket_fd, F_SETFD, FD_CLOEXEC);
  if (!StartThread("dsocr-agent", AttachThread, reinterpret_cast<void*>(static_cast<intptr_t>(socket_fd)))) {
    ReleaseSession();
    return EAGAIN;
  }
  return 0;
}

// For who loads the agent into its own process (Python's sitecustomize): listens once the process computes.
DSOCR_EXPORT void dsocr_agent_listen() {
  dsocr::agent::is_prepared.store(true);
  dsocr::agent::StartControlThread();
}

// NVTX calls this at the process's first NVTX call, once for every copy of NVTX. 0: no tool here, and its calls stay
// free.
DSOCR_EXPORT int InitializeInjectionNvtx2(const void* (*get_export_table)(unsigned int)) {
  dsocr::agent::is_prepared.store(true);
  dsocr::agent::Wake();
  return get_export_table != nullptr && dsocr::agent::InstallNvtxHooks(get_export_table);
}

// libcuda calls this in cuInit (CUDA_INJECTION64_PATH).
DSOCR_EXPORT int InitializeInjection() {
  dsocr::agent::is_prepared.store(true);
  dsocr::agent::Wake();
  dsocr::agent::MeetCuda();
  return 1;
}

// For a job that wants to leave out, or measure, the cost of being recorded. Ranges are still followed while paused.
DSOCR_EXPORT void dsocr_agent_pause() { dsocr::agent::SetPaused(true); }
DSOCR_EXPORT void dsocr_agent_resume() { dsocr::agent::SetPaused(false); }
