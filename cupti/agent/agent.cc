// libdsocr_agent.so: what it exports, when it wakes, and the thread through which it talks to the daemon.
//
// The library does nothing unless the session variables are in the environment. With them it sleeps until the process
// shows that it computes: its first NVTX call, cuInit, or libtorch_cpu.so in its memory map. Then it records at once,
// into a ring of its own, while its control thread says hello to the daemon; where nobody answers, the hooks come out
// again. A forked child has no part in the session.
//
// Nothing leaves through exceptions, descriptors 1 and 2, or exit codes.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#include "cupti/agent/clock.h"
#include "cupti/agent/cupti_source.h"
#include "cupti/agent/nvtx_hooks.h"
#include "cupti/agent/recorder.h"
#include "cupti/agent/thread.h"
#include "cupti/agent/torch_ops.h"
#include "cupti/record/message.h"

#define DSOCR_EXPORT extern "C" __attribute__((visibility("default")))

namespace dsocr::agent {
namespace {

// While asleep: how soon after libtorch's arrival operators are seen, against what reading /proc/self/maps costs (0.05
// ms here).
constexpr int kSleepingPollMs = 50;
constexpr int kStatisticsPeriodMs = 1000;
constexpr int kAnswerTimeoutMs = 5000;  // a daemon that takes longer to say welcome is taken for dead
// A job shorter than the handshake waits this long for it, so that its records are not lost and have a cost.
constexpr int kExitWaitMs = 500;
constexpr int kMeasuredCalls = 4096;
// The cost is measured anew with the first so many statistics and the least one holds: a job that is loading weights on
// every core makes one look eight times too high (945 ns an operation where 112 is right).
constexpr int kCostMeasurements = 8;

enum class Phase : int { kAsleep, kRecording, kJoined, kOver };

struct Session {
  sockaddr_un address{};
  char token[record::kTokenBytes]{};
  uint32_t budget_ppm = 0;
};

// All of it constant-initialised: OnLoad runs before the library's dynamic initialisation.
constinit Session session;
constinit std::mutex wake_mutex;  // serialises Wake
constinit std::atomic<Phase> phase{Phase::kAsleep};
constinit std::atomic<bool> is_measured{false};  // the cost of a record, once at least
constinit std::atomic<int> ring_fd{-1};
constinit std::atomic<int> socket_fd{-1};
constinit int wake_fd = -1;
// Held around every call into libtorch and CUPTI: they are not to be called once the process has begun to take itself
// apart.
constinit std::mutex host_mutex;
constinit std::atomic<bool> is_exiting{false};

void OnExit() noexcept;

// Takes host_mutex, but waits for a call that does not return no longer than the process can be kept waiting.
bool LockHost() noexcept {
  for (int waited_ms = 0; !host_mutex.try_lock(); ++waited_ms) {
    if (waited_ms == kExitWaitMs) {
      return false;
    }
    poll(nullptr, 0, 1);
  }
  return true;
}

// REQUIRES: host_mutex is held.
TorchState InstallTorch() noexcept {
  if (is_exiting) {
    return TorchState::kAbsent;
  }
  const TorchState state = InstallTorchCallbacks();
  if (state == TorchState::kInstalled) {
    std::atexit(OnExit);  // registered after libtorch's own, so it runs before them
  }
  return state;
}

// Copies the session variables. False: this process is not wanted.
bool ReadEnvironment() {
  const char* path = std::getenv(record::kSocketVariable);
  const char* token = std::getenv(record::kTokenVariable);
  if (path == nullptr || token == nullptr || path[0] != '/' || std::strlen(path) >= sizeof(session.address.sun_path) ||
      std::strlen(token) != record::kTokenBytes) {
    return false;
  }
  session.address.sun_family = AF_UNIX;
  std::strcpy(session.address.sun_path, path);
  std::memcpy(session.token, token, record::kTokenBytes);
  if (const char* budget = std::getenv(record::kBudgetVariable)) {
    session.budget_ppm = static_cast<uint32_t>(std::min(std::strtoul(budget, nullptr, 10), 1'000'000ul));
  }
  return true;
}

// Starts recording. Any thread; the first call does it.
void Wake() noexcept {
  if (phase.load() != Phase::kAsleep) {
    return;  // without the lock: a forked child must not wait for one that its parent held
  }
  const std::lock_guard<std::mutex> lock(wake_mutex);
  if (phase.load() != Phase::kAsleep || wake_fd < 0) {
    return;
  }
  auto* recorder = new (std::nothrow) Recorder;  // never deleted: hooks on other threads may be inside it
  const int fd = recorder == nullptr ? -1 : recorder->Start(record::kDefaultRingSlots);
  if (fd < 0) {
    phase.store(Phase::kOver);
    return;
  }
  ring_fd.store(fd);
  recorder->sampler().set_budget_ppm(session.budget_ppm);
  SetProcessRecorder(recorder);
  std::atexit(OnExit);
  {
    const std::lock_guard<std::mutex> host_lock(host_mutex);
    InstallTorch();
  }
  phase.store(Phase::kRecording);
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd, &one, sizeof(one));
}

// Starts the GPU source. On a thread of the process that is in cuInit.
void WakeCupti() noexcept {
  Recorder* recorder = ProcessRecorder();
  if (recorder == nullptr || recorder->mode() == Recorder::Mode::kOff) {
    return;
  }
  const std::lock_guard<std::mutex> lock(host_mutex);
  if (!is_exiting && StartCupti(recorder)) {
    std::atexit(OnExit);
  }
}

void Sleep(Phase last) noexcept {
  if (Recorder* recorder = ProcessRecorder()) {
    recorder->set_mode(Recorder::Mode::kOff);
  }
  const std::lock_guard<std::mutex> lock(host_mutex);
  if (!is_exiting) {
    RemoveTorchCallbacks();
    StopCupti(kExitWaitMs);
  }
  phase.store(last);
}

void SetPaused(bool paused) noexcept {
  Recorder* recorder = ProcessRecorder();
  if (recorder == nullptr || recorder->mode() == Recorder::Mode::kOff) {
    return;
  }
  const std::lock_guard<std::mutex> lock(host_mutex);
  if (is_exiting) {
    return;
  }
  recorder->set_mode(paused ? Recorder::Mode::kPaused : Recorder::Mode::kOn);
  EnableTorchCallbacks(!paused && !CuptiDelivers());
  PauseCupti(paused);
}

// True if the process has mapped a file whose name contains `name`. Reads the map itself: a question to the dynamic
// linker would take its lock, and a fork at that moment would leave the lock taken in the child.
bool HasMapped(const char* name) {
  const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return false;
  }
  static char buffer[1 << 16];  // of the control thread alone
  size_t kept = 0;
  bool found = false;
  for (ssize_t size; !found && (size = read(fd, buffer + kept, sizeof(buffer) - 1 - kept)) > 0;) {
    const size_t total = kept + static_cast<size_t>(size);
    buffer[total] = '\0';
    found = std::strstr(buffer, name) != nullptr;
    // A name may be cut by the end of the buffer: carry its last bytes over.
    kept = std::min(total, std::strlen(name));
    std::memmove(buffer, buffer + total - kept, kept);
  }
  close(fd);
  return found;
}

bool SendHello(int fd, int memfd) {
  record::Hello hello{
      record::kMessageMagic, record::kMessageVersion, record::Opcode::kHello, getpid(), record::kDefaultRingSlots, {}};
  std::memcpy(hello.token, session.token, sizeof(hello.token));
  iovec data{&hello, sizeof(hello)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &memfd, sizeof(int));
  return sendmsg(fd, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(hello));
}

bool IsOurUser(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

bool Receive(int fd, int timeout_ms, record::Control* control) {
  pollfd event{fd, POLLIN, 0};
  if (poll(&event, 1, timeout_ms) <= 0) {
    return false;
  }
  char bytes[sizeof(record::Control) + 1];
  const ssize_t size = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
  return size > 0 && record::ParseControl(bytes, static_cast<size_t>(size), control);
}

// Connects, says hello, hands the ring over and waits for the welcome. The connected socket, or -1.
int Join() {
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return -1;
  }
  record::Control answer{};
  if (connect(fd, reinterpret_cast<const sockaddr*>(&session.address), sizeof(session.address)) == 0 && IsOurUser(fd) &&
      SendHello(fd, ring_fd.load()) && Receive(fd, kAnswerTimeoutMs, &answer) &&
      answer.opcode == record::Opcode::kWelcome) {
    return fd;
  }
  close(fd);
  return -1;
}

// Takes the lesser of two costs, where 0 is none yet.
void KeepLeast(uint32_t cost_ps, uint32_t* least_ps) {
  if (cost_ps != 0 && (*least_ps == 0 || cost_ps < *least_ps)) {
    *least_ps = cost_ps;
  }
}

// What recording costs in this process, on a recorder of this thread's own; `statistics` keeps the least of all calls.
// Takes about 2 ms. REQUIRES: host_mutex is held.
void MeasureCost(bool with_torch, record::Statistics* statistics) {
  auto* scratch = new (std::nothrow) Recorder;
  if (scratch == nullptr) {
    return;
  }
  constexpr uint32_t kSlots = 4 * kMeasuredCalls;
  const int fd = scratch->Start(kSlots);
  if (fd >= 0) {
    close(fd);
    scratch->Prefault();
    SetThreadRecorder(scratch);
    if (ThreadState* thread = HookThread()) {
      scratch->set_listener(CuptiListener());
      const uint32_t push_and_pop_ps = MeasurePs(kMeasuredCalls / 2, [&] {
        scratch->PushRange(*thread, MakeText("prefill/layer[7]/self_attn/q_proj"), nullptr);
        scratch->PopRange(*thread, nullptr);
      });
      KeepLeast(push_and_pop_ps / 2, &statistics->range_record_ps);
      if (with_torch) {
        record::Statistics measured{};
        MeasureTorchCallbacks(kMeasuredCalls, &measured);
        KeepLeast(measured.operation_record_ps, &statistics->operation_record_ps);
        KeepLeast(measured.nested_call_ps, &statistics->nested_call_ps);
      }
    }
    SetThreadRecorder(nullptr);
  }
  delete scratch;
}

// Follows the daemon's orders until it goes or says to detach.
void Serve(int fd) {
  Recorder& recorder = *ProcessRecorder();
  TorchState torch = TorchState::kAbsent;
  int measurements = 0;
  int64_t last_statistics_ns = 0;
  for (;;) {
    pollfd event{fd, POLLIN, 0};
    const int ready = poll(&event, 1,
                           measurements == 0              ? 0
                           : torch == TorchState::kAbsent ? kSleepingPollMs
                           : IsCuptiOn()                  ? kCuptiPollMs
                                                          : kStatisticsPeriodMs);
    if (ready > 0) {
      record::Control control{};
      if (!Receive(fd, 0, &control) || control.opcode == record::Opcode::kDetach) {
        return;
      }
      SetPaused(control.opcode == record::Opcode::kPause);
    }
    const bool has_come = torch == TorchState::kAbsent && !CuptiDelivers() && HasMapped("libtorch_cpu.so");
    const std::lock_guard<std::mutex> lock(host_mutex);
    if (is_exiting) {
      return;
    }
    if (has_come) {
      torch = InstallTorch();
    }
    if (has_come || measurements == 0) {
      last_statistics_ns = 0;
    }
    PollCupti();
    if (CuptiDelivers()) {
      RemoveTorchCallbacks();  // kernels are the operations now
    }
    if (NowNs() - last_statistics_ns >= int64_t{kStatisticsPeriodMs} * 1'000'000) {
      if (has_come || measurements < kCostMeasurements) {
        MeasureCost(torch == TorchState::kInstalled, &recorder.statistics());
        ++measurements;
        is_measured.store(true);
      }
      recorder.WriteStatistics();
      last_statistics_ns = NowNs();
    }
  }
}

void* ControlThread(void*) {
  while (phase.load() == Phase::kAsleep) {
    pollfd event{wake_fd, POLLIN, 0};
    if (poll(&event, 1, kSleepingPollMs) == 0 && HasMapped("libtorch_cpu.so")) {
      Wake();
    }
  }
  if (phase.load() == Phase::kRecording) {
    ProcessRecorder()->Prefault();
    const int fd = Join();
    close(ring_fd.exchange(-1));
    if (fd >= 0) {
      socket_fd.store(fd);
      phase.store(Phase::kJoined);
      Serve(fd);
      Sleep(Phase::kOver);
      socket_fd.store(-1);
      close(fd);
    } else {
      Sleep(Phase::kOver);
    }
  }
  return nullptr;
}

// A forked child shares the ring but not the session: it must not write, and must not keep the parent's connection
// open.
void AfterForkInChild() {
  if (Recorder* recorder = ProcessRecorder()) {
    recorder->set_mode(Recorder::Mode::kOff);
  }
  phase.store(Phase::kOver);
  for (std::atomic<int>* fd : {&socket_fd, &ring_fd}) {
    if (const int open_fd = fd->exchange(-1); open_fd >= 0) {
      close(open_fd);
    }
  }
}

__attribute__((constructor)) void OnLoad() {
  if (!ReadEnvironment() || (wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
    return;
  }
  pthread_atfork(nullptr, nullptr, AfterForkInChild);
  if (!StartThread("dsocr-agent", ControlThread, nullptr)) {
    phase.store(Phase::kOver);
  }
}

// Before the process takes itself apart: what is on its way arrives, and from here on nothing of the host is called.
// The control thread alone measures: this thread's variables, those of torch and CUPTI too, are gone. May run twice.
void OnExit() noexcept {
  const auto is_under_way = [] {
    return phase.load() == Phase::kRecording || (phase.load() == Phase::kJoined && !is_measured.load());
  };
  for (int waited_ms = 0; is_under_way() && waited_ms < kExitWaitMs; ++waited_ms) {
    poll(nullptr, 0, 1);
  }
  if (phase.load() != Phase::kJoined || is_exiting.exchange(true)) {
    return;
  }
  if (LockHost()) {
    FlushCupti(kExitWaitMs);
    host_mutex.unlock();
  }
  ProcessRecorder()->WriteStatistics();
}

}  // namespace
}  // namespace dsocr::agent

// NVTX calls this at the process's first NVTX call, once for every copy of NVTX. 0: no tool here, and its calls stay
// free.
DSOCR_EXPORT int InitializeInjectionNvtx2(const void* (*get_export_table)(unsigned int)) {
  dsocr::agent::Wake();
  return dsocr::agent::ProcessRecorder() != nullptr && get_export_table != nullptr &&
         dsocr::agent::InstallNvtxHooks(get_export_table);
}

// libcuda calls this in cuInit (CUDA_INJECTION64_PATH).
DSOCR_EXPORT int InitializeInjection() {
  dsocr::agent::Wake();
  dsocr::agent::WakeCupti();
  return 1;
}

// For a job that wants to leave out, or measure, the cost of being recorded. Ranges are still followed while paused.
DSOCR_EXPORT void dsocr_agent_pause() { dsocr::agent::SetPaused(true); }
DSOCR_EXPORT void dsocr_agent_resume() { dsocr::agent::SetPaused(false); }
