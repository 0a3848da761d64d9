#include "cupti/agent/hooked_calls.h"

#include <pthread.h>
#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace dsocr::agent {
namespace {

struct HookedModule {
  Text name;
  PathMemo memo;
  bool is_root;
  // The domains of its ranges.
  char call;
  char adopted;
};

// Written under the GIL.
HookedModule* hooked = nullptr;  // kMaxHooked of them in one mapping, touched as modules come
long hooked_count = 0;
uintptr_t installations = 0;

std::mutex recording_mutex;                     // never held while waiting for anything
Recorder* wanted_recorder = nullptr;            // null: that recording is over. Guarded by recording_mutex
std::atomic<Recorder*> live_recorder{nullptr};  // null: hooks do nothing

// The calls that a thread is inside of when recording starts, until that thread takes them over.
struct CallsUnderWay {
  unsigned long thread;  // pthread_self()
  uint32_t count;
  uint32_t modules[record::kMaxPathDepth];
};
constexpr int kMaxThreadsUnderWay = 256;
CallsUnderWay under_way[kMaxThreadsUnderWay];  // guarded by recording_mutex
std::atomic<int> under_way_count{0};

bool IsHookedCall(const void* domain) { return domain >= hooked && domain < hooked + hooked_count; }
bool IsAdopted(const void* domain) {
  return IsHookedCall(domain) &&
         (static_cast<const char*>(domain) - reinterpret_cast<const char*>(hooked)) % sizeof(HookedModule) ==
             offsetof(HookedModule, adopted);
}

// The outermost range that is one of ours; null: none.
const void* OutermostCall(const ThreadState& thread) {
  for (uint32_t i = 0; i < thread.depth; ++i) {
    if (IsHookedCall(thread.open[i].domain)) {
      return thread.open[i].domain;
    }
  }
  return nullptr;
}

void TakeOverCallsUnderWay(ThreadState& thread) noexcept {
  if (under_way_count.load(std::memory_order_relaxed) == 0) {
    return;
  }
  const std::lock_guard<std::mutex> lock(recording_mutex);
  const int count = under_way_count.load(std::memory_order_relaxed);
  for (int i = 0; i < count; ++i) {
    if (under_way[i].thread == pthread_self()) {
      const bool is_known = OutermostCall(thread) != nullptr;  // a root that came late: its inner calls were seen
      for (uint32_t k = 0; k < under_way[i].count && !is_known; ++k) {
        AdoptCall(thread, under_way[i].modules[k]);
      }
      under_way[i] = under_way[count - 1];
      under_way_count.store(count - 1, std::memory_order_relaxed);
      return;
    }
  }
}

}  // namespace

bool OpenHookedModules() {
  void* const memory = mmap(nullptr, kMaxHooked * sizeof(HookedModule), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return false;
  }
  hooked = static_cast<HookedModule*>(memory);
  ++installations;
  return true;
}

void CloseHookedModules() {
  const std::lock_guard<std::mutex> lock(recording_mutex);
  under_way_count.store(0, std::memory_order_relaxed);
  for (long i = 0; i < hooked_count; ++i) {
    std::free(const_cast<char*>(hooked[i].name.bytes));
  }
  if (hooked != nullptr) {
    munmap(hooked, kMaxHooked * sizeof(HookedModule));
  }
  hooked = nullptr;
  hooked_count = 0;
}

uintptr_t HookInstallation() { return installations; }

long HookedModuleCount() { return hooked_count; }

long AddHookedModule(const Text& name, bool is_root) {
  if (hooked == nullptr || hooked_count == kMaxHooked) {
    return -1;
  }
  char* const copy = static_cast<char*>(std::malloc(name.size + 1));
  if (copy == nullptr) {
    return -1;
  }
  std::memcpy(copy, name.bytes, name.size);
  HookedModule& entry = hooked[hooked_count];
  entry.name = {copy, name.size, name.hash};
  entry.is_root = is_root;
  return hooked_count++;
}

void BeginHookRecording(Recorder* recorder) {
  const std::lock_guard<std::mutex> lock(recording_mutex);
  wanted_recorder = recorder;
}

bool GoLive() {
  const std::lock_guard<std::mutex> lock(recording_mutex);
  if (wanted_recorder == nullptr) {
    return false;
  }
  wanted_recorder->set_thread_listener(TakeOverCallsUnderWay);
  live_recorder.store(wanted_recorder, std::memory_order_release);
  return true;
}

void EndHookRecording() {
  const std::lock_guard<std::mutex> lock(recording_mutex);
  wanted_recorder = nullptr;
  if (Recorder* const recorder = live_recorder.exchange(nullptr)) {
    recorder->set_thread_listener(nullptr);
  }
}

HookRecording::HookRecording() : lock_(recording_mutex) {}
Recorder* HookRecording::recorder() const { return wanted_recorder; }

CallsUnderWayEdit::CallsUnderWayEdit() : lock_(recording_mutex) {}
CallsUnderWayEdit::~CallsUnderWayEdit() { under_way_count.store(count_, std::memory_order_relaxed); }

void CallsUnderWayEdit::Add(unsigned long thread, long module) {
  if (count_ == 0 || under_way[count_ - 1].thread != thread) {
    if (count_ == kMaxThreadsUnderWay) {
      return;
    }
    under_way[count_++] = {.thread = thread};
  }
  CallsUnderWay& calls = under_way[count_ - 1];
  if (calls.count < record::kMaxPathDepth) {
    calls.modules[calls.count++] = static_cast<uint32_t>(module);
  }
}

LiveHook::LiveHook() {
  Recorder* const recorder = live_recorder.load(std::memory_order_acquire);
  if (hook_ && recorder != nullptr && hook_->recorder == recorder) {
    thread_ = &*hook_;
    TakeOverCallsUnderWay(*thread_);
  }
}

bool IsInDoubtBeforeEnter(const ThreadState& thread, long module) {
  const void* const outermost = OutermostCall(thread);
  return outermost != nullptr && (hooked[module].is_root || IsAdopted(outermost));
}

bool IsInDoubtBeforeLeave(const ThreadState& thread) { return IsAdopted(OutermostCall(thread)); }

// The adopted ones first, from the inside: every other call announces its end, as long as it does not end by an
// exception like KeyboardInterrupt.
void SettleCalls(ThreadState& thread, long open_calls) {
  long count = 0;
  for (uint32_t i = 0; i < thread.depth; ++i) {
    count += IsHookedCall(thread.open[i].domain) ? 1 : 0;
  }
  for (const bool only_adopted : {true, false}) {
    for (uint32_t i = thread.depth; i-- > 0 && count > open_calls;) {
      const void* const domain = thread.open[i].domain;
      if (only_adopted ? IsAdopted(domain) : IsHookedCall(domain)) {
        thread.recorder->PopRange(thread, domain);
        --count;
      }
    }
  }
}

void EnterCall(ThreadState& thread, long module) {
  HookedModule& entry = hooked[module];
  thread.recorder->PushRange(thread, entry.name, &entry.call, &entry.memo, /*is_module=*/true);
}

void LeaveCall(ThreadState& thread, long module) {
  const HookedModule& entry = hooked[module];
  if (thread.excess > 0) {
    thread.recorder->PopRange(thread, nullptr);
    return;
  }
  uint32_t call = thread.depth;
  while (call-- > 0 && thread.open[call].domain != &entry.call && thread.open[call].domain != &entry.adopted) {
  }
  if (call == ~0u) {
    return;  // began while nothing was recorded
  }
  // Calls inside of it that are still open ended without saying so.
  for (uint32_t i = thread.depth; i-- > call;) {
    if (IsHookedCall(thread.open[i].domain)) {
      thread.recorder->PopRange(thread, thread.open[i].domain);
    }
  }
}

void AdoptCall(ThreadState& thread, long module) {
  HookedModule& entry = hooked[module];
  thread.recorder->PushRange(thread, entry.name, &entry.adopted, &entry.memo, /*is_module=*/true);
}

}  // namespace dsocr::agent
