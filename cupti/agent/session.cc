#include "cupti/agent/session.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iterator>
#include <mutex>
#include <new>
#include <utility>

#include "cupti/agent/clock.h"
#include "cupti/agent/cupti_source.h"
#include "cupti/agent/daemon_socket.h"
#include "cupti/agent/late_kineto.h"
#include "cupti/agent/nvtx_hooks.h"
#include "cupti/agent/process_map.h"
#include "cupti/agent/python_hooks.h"
#include "cupti/agent/recorder.h"
#include "cupti/agent/torch_ops.h"

namespace dsocr::agent {
namespace {

// How soon after libtorch's arrival operators are seen.
constexpr int kArrivalPollMs = 50;
constexpr int kStatisticsPeriodMs = 1000;
constexpr int kAnswerTimeoutMs = 5000;  // a daemon that takes longer to say welcome is taken for dead
// … and one that says nothing does not keep the next one waiting: there is room for eight, and a daemon waits 3 s.
constexpr int kAnswerWhereOthersWaitMs = 300;
// A job shorter than the handshake waits this long for it, so that its records are not lost and have a cost.
constexpr int kExitWaitMs = 500;
// A daemon that is gone reads nothing more; hooks are to be out within 500 ms.
constexpr int kGoneWaitMs = 100;
constexpr int kHookWaitMs = 100;  // the longest that a hook takes by far: CUPTI's kinds switched, under a budget
constexpr int kMeasuredCalls = 4096;
// The cost is measured anew with the first so many statistics and the least one holds: a job that is loading weights on
// every core makes one look eight times too high (945 ns an operation where 112 is right).
constexpr int kCostMeasurements = 8;
constexpr int64_t kCudaWaitNs = 1'000'000'000;  // from libcuda's arrival to the end of cuInit
// Operators wait for the hooks of a Python that is not ready for them; a job that imports torch takes seconds.
constexpr int64_t kPythonWaitNs = 5'000'000'000;

enum class Phase : int { kNone, kBegun, kJoined };

// All of it constant-initialised: a session may come before the library's dynamic initialisation is over.
constinit std::atomic<bool> is_claimed{false};
constinit std::atomic<Phase> phase{Phase::kNone};
constinit std::atomic<bool> is_measured{false};  // the cost of a record, once at least
constinit std::atomic<int> ring_fd{-1};
constinit std::atomic<int> socket_fd{-1};
// Held around every call into libtorch and CUPTI, which are not to be called once the process has begun to take itself
// apart, and while a recorder goes.
constinit std::mutex host_mutex;
constinit std::atomic<bool> is_exiting{false};
constinit std::atomic<bool> has_met_cuda{false};
constinit TorchState torch = TorchState::kAbsent;  // of the control thread

void CloseFd(std::atomic<int>& fd) noexcept {
  if (const int open_fd = fd.exchange(-1); open_fd >= 0) {
    close(open_fd);
  }
}

// --- The end of the process

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

// Before the process takes itself apart: what is on its way arrives, and from here on nothing of the host is called.
// The control thread alone measures: this thread's variables, those of torch and CUPTI too, are gone. May run twice.
void OnExit() noexcept {
  const auto is_under_way = [] {
    return phase.load() == Phase::kBegun || (phase.load() == Phase::kJoined && !is_measured.load());
  };
  for (int waited_ms = 0; is_under_way() && waited_ms < kExitWaitMs; ++waited_ms) {
    poll(nullptr, 0, 1);
  }
  if (is_exiting.exchange(true) || phase.load() != Phase::kJoined || !LockHost()) {
    return;
  }
  if (Recorder* recorder = ProcessRecorder()) {
    FlushCupti(kExitWaitMs);
    recorder->WriteStatistics();
  }
  host_mutex.unlock();
}

// What is registered last runs first: after the registrations of a library that `is_registered` stands for, so before
// it is gone.
void CallAtExit(std::atomic<bool>* is_registered) noexcept {
  if (!is_registered->exchange(true)) {
    std::atexit(OnExit);
  }
}

constinit std::atomic<bool> is_registered_after_start{false};
constinit std::atomic<bool> is_registered_after_torch{false};
constinit std::atomic<bool> is_registered_after_cupti{false};

// --- The sources

// REQUIRES: host_mutex is held.
void InstallTorch() noexcept {
  torch = InstallTorchCallbacks();
  if (torch == TorchState::kInstalled) {
    CallAtExit(&is_registered_after_torch);
  }
}

// Calls libtorch or CUPTI, unless the process has begun to end.
template <typename Action>
void WithHost(Action action) noexcept {
  const std::lock_guard<std::mutex> lock(host_mutex);
  if (!is_exiting) {
    action();
  }
}

// Operators are recorded from now on, if there is torch.
void StartOperators() noexcept { WithHost(InstallTorch); }

// Operations of the GPU are. REQUIRES: host_mutex is held.
void StartGpu() noexcept {
  Recorder* recorder = ProcessRecorder();
  if (recorder != nullptr && !is_exiting && StartCupti(recorder)) {
    CallAtExit(&is_registered_after_cupti);
  }
}

// --- What recording costs

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
    if (const Hook thread; thread) {
      scratch->set_listener(CuptiListener());
      const uint32_t push_and_pop_ps = MeasurePs(kMeasuredCalls / 2, [&] {
        const Hook range;
        scratch->PushRange(*range, MakeText("prefill/layer[7]/self_attn/q_proj"), nullptr);
        scratch->PopRange(*range, nullptr);
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

// --- From the beginning to the end

// A recorder whose ring is in `ring_fd`; null: there is no memory for one.
Recorder* MakeRecorder() noexcept {
  CallAtExit(&is_registered_after_start);
  PrepareToRetire();
  auto* recorder = new (std::nothrow) Recorder;
  if (recorder == nullptr) {
    return nullptr;
  }
  const int fd = recorder->Start(record::kDefaultRingSlots);
  if (fd < 0) {
    delete recorder;
    return nullptr;
  }
  ring_fd.store(fd);
  return recorder;
}

void BeginRecording(Recorder* recorder, uint32_t budget_ppm, Phase first) noexcept {
  recorder->sampler().set_budget_ppm(budget_ppm);
  is_measured.store(false);
  torch = TorchState::kAbsent;
  phase.store(first);
  SetProcessRecorder(recorder);
}

// `wait_ms`: for what is still on its way.
void EndRecording(int wait_ms) noexcept {
  ProcessRecorder()->set_mode(Recorder::Mode::kOff);
  if (!is_exiting) {
    RemovePythonHooks(wait_ms);
  }
  const std::lock_guard<std::mutex> lock(host_mutex);
  if (is_exiting) {
    return;
  }
  RemoveTorchCallbacks();
  TellShapes(false);
  StopCupti(wait_ms);
  ProcessRecorder()->WriteStatistics();
  phase.store(Phase::kNone);
  RetireRecorder(kHookWaitMs);
}

// What a session still has to start: hooks of Python, operators and the GPU, each as soon as it can be.
class Beginnings {
 public:
  // `is_late`: the process may have called cuInit, and NVTX, before the agent came.
  Beginnings(record::Depth depth, bool is_late)
      : depth_(depth),
        waits_for_python_(depth != record::Depth::kNone),
        waits_for_cuda_(is_late),
        searches_nvtx_(is_late) {}

  void Continue() noexcept {
    if (is_exiting) {
      return;
    }
    ContinuePython();
    if (records_operators_ && torch == TorchState::kAbsent && !CuptiDelivers() && HasMapped("libtorch_cpu.so")) {
      StartOperators();
    }
    ContinueCuda();
    if (std::exchange(searches_nvtx_, false)) {
      InstallLateNvtxHooks();
    }
  }

 private:
  // Where there is Python, its hooks come before operators.
  void ContinuePython() noexcept {
    if (waits_for_python_) {
      const PythonState state = InstallPythonHooks(ProcessRecorder(), depth_, StartOperators);
      has_python_ = state == PythonState::kInstalled;
      waits_for_python_ = state == PythonState::kAbsent || state == PythonState::kNotYet;
      // Where nobody else will say which module it is.
      const bool tells_shapes = depth_ == record::Depth::kAll && !has_python_ && state != PythonState::kNotYet;
      WithHost([tells_shapes] { TellShapes(tells_shapes); });
      records_operators_ = records_operators_ || state != PythonState::kNotYet || NowNs() - start_ns_ > kPythonWaitNs;
    } else if (has_python_) {
      PollPythonHooks();
    }
  }

  // libcuda in the map is as good as cuInit, but for one that has only just come.
  void ContinueCuda() noexcept {
    if (!waits_for_cuda_ || (!has_met_cuda && !HasMapped("/libcuda.so"))) {
      cuda_absent_ns_ = NowNs();
      return;
    }
    if (has_met_cuda || cuda_absent_ns_ == 0 || NowNs() - cuda_absent_ns_ > kCudaWaitNs) {
      waits_for_cuda_ = false;
      const std::lock_guard<std::mutex> lock(host_mutex);
      StartGpu();
    }
  }

  const record::Depth depth_;
  const int64_t start_ns_ = NowNs();
  bool waits_for_python_;
  bool waits_for_cuda_;
  bool searches_nvtx_;
  bool has_python_ = false;
  bool records_operators_ = depth_ == record::Depth::kNone;
  int64_t cuda_absent_ns_ = 0;  // when it was last seen to be; 0: never
};

// Follows the daemon's orders until it says to detach, true, or is gone.
bool Serve(int socket, int listener, Beginnings beginnings) {
  Recorder& recorder = *ProcessRecorder();
  TorchState measured_with = TorchState::kAbsent;
  int measurements = 0;
  int64_t last_statistics_ns = 0;
  for (;;) {
    pollfd events[] = {{socket, POLLIN, 0}, {listener, POLLIN, 0}};
    const int timeout_ms = measurements == 0              ? 0
                           : torch == TorchState::kAbsent ? kArrivalPollMs
                           : IsCuptiOn()                  ? kCuptiPollMs
                                                          : kStatisticsPeriodMs;
    poll(events, std::size(events), timeout_ms);
    if (events[1].revents != 0) {
      if (const int second = AcceptDaemon(listener); second >= 0) {
        close(second);
      }
    }
    if (events[0].revents != 0) {
      record::Control control{};
      if (!ReceiveControl(socket, 0, &control)) {
        return false;
      }
      if (control.opcode == record::Opcode::kDetach) {
        return true;
      }
      if (control.opcode == record::Opcode::kStartKineto) {  // comes in place of a welcome or not at all
        return false;
      }
      SetPaused(control.opcode == record::Opcode::kPause);
    }
    beginnings.Continue();
    const std::lock_guard<std::mutex> lock(host_mutex);
    if (is_exiting) {
      return false;
    }
    PollCupti();
    if (CuptiDelivers()) {
      RemoveTorchCallbacks();  // kernels are the operations now
    }
    const bool has_come = torch != measured_with;
    if (!has_come && measurements > 0 && NowNs() - last_statistics_ns < int64_t{kStatisticsPeriodMs} * 1'000'000) {
      continue;
    }
    if (has_come || measurements < kCostMeasurements) {
      measured_with = torch;
      MeasureCost(torch == TorchState::kInstalled, &recorder.statistics());
      ++measurements;
      is_measured.store(true);
    }
    recorder.WriteStatistics();
    last_statistics_ns = NowNs();
  }
}

void AnswerStartKineto(int socket) noexcept {
  char answer[record::kMaxKinetoAnswerBytes];
  const std::lock_guard<std::mutex> lock(host_mutex);
  if (!is_exiting) {
    SendAnswer(socket, answer, StartKineto(answer));
  }
}

// A daemon that takes longer is taken for dead; sooner where another one waits.
bool ReceiveFirstControl(int socket, int listener, record::Control* control) noexcept {
  pollfd events[] = {{socket, POLLIN, 0}, {listener, POLLIN, 0}};
  poll(events, std::size(events), kAnswerTimeoutMs);
  return ReceiveControl(socket, events[1].revents != 0 ? kAnswerWhereOthersWaitMs : 0, control);
}

}  // namespace

bool ClaimSession() noexcept { return !is_exiting && !is_claimed.exchange(true); }
bool IsSessionClaimed() noexcept { return is_claimed; }
void ReleaseSession() noexcept { is_claimed.store(false); }

void RunSession(int socket, int listener) noexcept {
  socket_fd.store(socket);
  Recorder* recorder = MakeRecorder();
  record::Control welcome{};
  if (recorder != nullptr && SendHello(socket, ring_fd.load(), nullptr)) {
    CloseFd(ring_fd);
    recorder->Prefault();
    const bool is_asked = ReceiveFirstControl(socket, listener, &welcome);
    if (is_asked && welcome.opcode == record::Opcode::kWelcome) {
      BeginRecording(std::exchange(recorder, nullptr), welcome.budget_ppm, Phase::kJoined);
      EndRecording(Serve(socket, listener, {welcome.depth, /*is_late=*/true}) ? kExitWaitMs : kGoneWaitMs);
    } else if (is_asked && welcome.opcode == record::Opcode::kStartKineto) {
      AnswerStartKineto(socket);
    }
  }
  delete recorder;  // nobody has seen it
  CloseFd(ring_fd);
  is_claimed.store(false);
  CloseFd(socket_fd);
}

bool BeginLaunchedRecording(const Invitation& invitation) noexcept {
  Recorder* recorder = MakeRecorder();
  if (recorder == nullptr) {
    is_claimed.store(false);
    return false;
  }
  BeginRecording(recorder, invitation.budget_ppm, Phase::kBegun);
  if (HasMapped("libtorch_cpu.so")) {
    StartOperators();
  }
  return true;
}

void RunLaunchedSession(const Invitation& invitation) noexcept {
  ProcessRecorder()->Prefault();
  const int socket = ConnectToDaemon(invitation.address);
  socket_fd.store(socket);
  record::Control welcome{};
  const bool is_welcome = socket >= 0 && SendHello(socket, ring_fd.load(), invitation.token) &&
                          ReceiveControl(socket, kAnswerTimeoutMs, &welcome) &&
                          welcome.opcode == record::Opcode::kWelcome;
  CloseFd(ring_fd);
  bool is_told = false;
  if (is_welcome) {
    phase.store(Phase::kJoined);
    if (welcome.budget_ppm != 0) {
      ProcessRecorder()->sampler().set_budget_ppm(welcome.budget_ppm);
    }
    is_told = Serve(socket, -1, {welcome.depth, /*is_late=*/false});
  }
  EndRecording(is_told ? kExitWaitMs : kGoneWaitMs);
  is_claimed.store(false);
  CloseFd(socket_fd);
}

void MeetCuda() noexcept {
  has_met_cuda.store(true);
  const std::lock_guard<std::mutex> lock(host_mutex);
  StartGpu();
}

void SetPaused(bool paused) noexcept {
  const std::lock_guard<std::mutex> lock(host_mutex);
  Recorder* recorder = ProcessRecorder();
  if (recorder == nullptr || recorder->mode() == Recorder::Mode::kOff || is_exiting) {
    return;
  }
  recorder->set_mode(paused ? Recorder::Mode::kPaused : Recorder::Mode::kOn);
  EnableTorchCallbacks(!paused && !CuptiDelivers());
  PauseCupti(paused);
}

void ForgetSessionAfterFork() noexcept {
  ForgetRecorderAfterFork();
  ForgetCuptiAfterFork();
  new (&host_mutex) std::mutex;
  CloseFd(ring_fd);
  CloseFd(socket_fd);
  phase.store(Phase::kNone);
  is_claimed.store(false);
  has_met_cuda.store(false);
}

}  // namespace dsocr::agent
