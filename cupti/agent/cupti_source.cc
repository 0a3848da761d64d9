#include "cupti/agent/cupti_source.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <mutex>
#include <new>

#include "cupti/agent/buffer_pool.h"
#include "cupti/agent/cupti_library.h"
#include "cupti/agent/decoder.h"
#include "cupti/agent/flusher.h"
#include "cupti/agent/host_clock.h"
#include "cupti/agent/incidents.h"
#include "cupti/agent/launch_callbacks.h"
#include "cupti/agent/thread.h"

namespace dsocr::agent {
namespace {

using record::IncidentCode;

constexpr CUpti_ActivityKind kOperationKinds[] = {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY,
                                                  CUPTI_ACTIVITY_KIND_MEMCPY2, CUPTI_ACTIVITY_KIND_MEMSET};
// Worth having, not worth failing for.
constexpr CUpti_ActivityKind kOtherKinds[] = {CUPTI_ACTIVITY_KIND_SYNCHRONIZATION, CUPTI_ACTIVITY_KIND_OVERHEAD,
                                              CUPTI_ACTIVITY_KIND_MEMORY2};

// Once a second is enough for a clock that nobody sets and a ledger that nobody reads until the end.
constexpr int64_t kBookkeepingNs = 1'000'000'000;
// No record for so long although the device has done its work is a stall: noticed within two seconds, the poll and its
// flush included.
constexpr int64_t kStallNs = 1'400'000'000;
// Without a wait of the host that proves that work was done, the longest pause between records so far, so many times.
constexpr int kStallPauses = 4;
constexpr int kMaxRestarts = 5;
constexpr int64_t kStuckFlushMs = 1500;
// Invalid records within a second that are more than chance.
constexpr int64_t kMostlyInvalid = 1000;
// Operations without a known launch, though launches are heard: then they are not heard after all.
constexpr uint64_t kUnexplainedLimit = 64;

struct Source {
  CuptiLibrary library{};
  LaunchBooks books{};
  HostClock clock;
  Incidents incidents;
  BufferPool pool;
  Flusher flusher;
  Decoder decoder{&library, &books, &clock, &incidents};
  std::atomic<Recorder*> target{nullptr};  // null: stopped
  std::mutex kinds_mutex;                  // serialises switching the kinds
  bool is_subscribed = false;
  bool uses_external_ids = false;
  std::atomic<uint64_t> callback_ns{0};  // in buffer callbacks
  std::atomic<uint64_t> decode_ns{0};
  std::mutex decoder_mutex;    // serialises the decoding thread's last look with the next one's start
  bool is_decoder_on = false;  // guarded by it

  // Whether records still come. Of the polling thread.
  struct Watch {
    int64_t last_poll_ns = 0;
    int64_t last_bookkeeping_ns = 0;
    int64_t last_arrival_ns = 0;
    int64_t arrived = 0;
    int64_t longest_pause_ns = 0;
    int64_t stalled_since_ns = 0;  // 0: they come
    int restarts = 0;
    // At the last bookkeeping.
    int64_t recorded = 0;
    int64_t invalid = 0;
    bool is_flush_stuck = false;
  };
  Watch watch;
};

// Made once, never destroyed: CUPTI's threads use it until the process is gone. What it holds of one recording begins
// anew with the next.
std::atomic<Source*> source{nullptr};
constinit std::atomic<bool> delivers{false};
// Handed out when the pool is empty and this CUPTI cannot be refused a buffer: what lands here is counted, not read.
alignas(8) char discarded[1 << 16];

// --- Kinds

void DisableKinds(Source& s) {
  const std::lock_guard<std::mutex> lock(s.kinds_mutex);
  s.books.has_kinds.store(false, std::memory_order_relaxed);
  for (const CUpti_ActivityKind kind : kOtherKinds) {
    s.library.disable(kind);
  }
  for (size_t i = std::size(kOperationKinds); i-- > 0;) {
    s.library.disable(kOperationKinds[i]);
  }
}

bool EnableKinds(Source& s, Recorder& recorder) {
  const std::lock_guard<std::mutex> lock(s.kinds_mutex);
  for (size_t i = 0; i < std::size(kOperationKinds); ++i) {
    if (s.library.enable(kOperationKinds[i]) != CUPTI_SUCCESS) {
      s.incidents.Tell(recorder, IncidentCode::kEnableRefused, kOperationKinds[i]);
      while (i-- > 0) {
        s.library.disable(kOperationKinds[i]);
      }
      return false;
    }
  }
  for (const CUpti_ActivityKind kind : kOtherKinds) {
    if (s.library.enable(kind) != CUPTI_SUCCESS) {
      s.incidents.Tell(recorder, IncidentCode::kEnableRefused, kind);
    }
  }
  s.books.has_kinds.store(true, std::memory_order_relaxed);
  return true;
}

// --- External ids: the owners' way where launches are not heard

bool OnRangePush(record::Owner owner) {
  return source.load()->library.push_external(kExternalKind, owner) == CUPTI_SUCCESS;
}

void OnRangePop() {
  uint64_t last;
  source.load()->library.pop_external(kExternalKind, &last);
}

constexpr RangeListener kListener = {OnRangePush, OnRangePop};

// --- A budget

int64_t CostNs(const Source& s) {
  return static_cast<int64_t>(s.callback_ns.load(std::memory_order_relaxed) +
                              s.books.callback_ns.load(std::memory_order_relaxed) +
                              s.decode_ns.load(std::memory_order_relaxed));
}

int64_t OnCost() { return CostNs(*source.load()); }

void OnUnitChange(bool is_any_recorded) { PauseCupti(!is_any_recorded); }

constexpr UnitListener kUnitListener = {OnCost, OnUnitChange};

// CUPTI writes an external correlation record beside an API record: those of the launch functions, where it lets us
// choose.
void UseExternalIds(Source& s, Recorder& recorder) {
  s.uses_external_ids = true;
  if (!EnableLaunchRecords(s.library, true)) {
    s.library.enable(CUPTI_ACTIVITY_KIND_RUNTIME);
    s.library.enable(CUPTI_ACTIVITY_KIND_DRIVER);
  }
  s.library.enable(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION);
  recorder.set_listener(&kListener);
}

void StopExternalIds(Source& s, Recorder& recorder) {
  recorder.set_listener(nullptr);
  s.library.disable(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION);
  if (!EnableLaunchRecords(s.library, false)) {
    s.library.disable(CUPTI_ACTIVITY_KIND_RUNTIME);
    s.library.disable(CUPTI_ACTIVITY_KIND_DRIVER);
  }
  s.uses_external_ids = false;
}

// --- Buffers

void CUPTIAPI OnBufferRequested(uint8_t** buffer, size_t* size, size_t* max_records) {
  if (source.load() == nullptr) {  // a forked child
    *buffer = nullptr;
    *size = *max_records = 0;
    return;
  }
  Source& s = *source.load();
  const RecorderUse use;
  const int64_t start_ns = NowNs();
  *max_records = 0;
  *buffer = s.pool.Lend();
  *size = BufferPool::kBufferBytes;
  if (*buffer == nullptr) {
    if (Recorder* recorder = use.is_safe() ? s.target.load() : nullptr) {
      s.incidents.Tell(*recorder, IncidentCode::kNoBuffer, 0);
    }
    *buffer = s.library.can_refuse_buffers ? nullptr : reinterpret_cast<uint8_t*>(discarded);
    *size = s.library.can_refuse_buffers ? 0 : sizeof(discarded);
  }
  s.callback_ns.fetch_add(static_cast<uint64_t>(NowNs() - start_ns), std::memory_order_relaxed);
}

// Operations among the records of a buffer that nobody else reads.
int64_t CountOperations(const Source& s, uint8_t* buffer, size_t valid_bytes) {
  int64_t count = 0;
  CUpti_Activity* activity = nullptr;
  while (s.library.next_record(buffer, valid_bytes, &activity) == CUPTI_SUCCESS && activity != nullptr) {
    count +=
        std::find(std::begin(kOperationKinds), std::end(kOperationKinds), activity->kind) != std::end(kOperationKinds)
            ? 1
            : 0;
  }
  return count;
}

void CountLost(Source& s, int64_t operations) {
  const RecorderUse use;
  s.books.ledger.AddLost(operations);
  if (Recorder* recorder = use.is_safe() ? s.target.load() : nullptr) {
    recorder->CountLost(static_cast<uint64_t>(operations));
  }
}

void CUPTIAPI OnBufferCompleted(CUcontext context, uint32_t stream, uint8_t* buffer, size_t, size_t valid_bytes) {
  if (source.load() == nullptr) {
    return;
  }
  Source& s = *source.load();
  const int64_t start_ns = NowNs();
  if (reinterpret_cast<char*>(buffer) == discarded) {
    CountLost(s, CountOperations(s, buffer, std::min(valid_bytes, sizeof(discarded))));
  } else if (buffer != nullptr) {
    s.pool.Queue(buffer, valid_bytes);
  }
  size_t dropped = 0;
  if (s.library.dropped_records(context, stream, &dropped) == CUPTI_SUCCESS && dropped > 0) {
    CountLost(s, static_cast<int64_t>(dropped));
  }
  s.callback_ns.fetch_add(static_cast<uint64_t>(NowNs() - start_ns), std::memory_order_relaxed);
}

// Decodes what is queued, or what has waited long enough. False: there was nothing, and no recording is on.
bool DecodeNext(Source& s) {
  const BufferPool::Full full = s.pool.Next(kCuptiPollMs);
  const RecorderUse use;
  Recorder* recorder = use.is_safe() ? s.target.load(std::memory_order_acquire) : nullptr;
  if (full.buffer == nullptr) {
    if (recorder != nullptr) {
      s.decoder.WriteWaiting(*recorder);
    }
    return recorder != nullptr;
  }
  const int64_t start_ns = NowNs();
  if (recorder != nullptr) {
    s.decoder.Decode(*recorder, full.buffer, full.valid_bytes);
    if (s.books.ledger.recorded() > 0) {
      delivers.store(true, std::memory_order_relaxed);
    }
  }
  s.pool.Return(full.buffer);
  s.decode_ns.fetch_add(static_cast<uint64_t>(NowNs() - start_ns), std::memory_order_relaxed);
  return true;
}

void* DecodeThread(void*) {
  Source& s = *source.load();
  for (;;) {
    if (DecodeNext(s)) {
      continue;
    }
    const std::lock_guard<std::mutex> lock(s.decoder_mutex);
    if (s.target.load() == nullptr) {
      s.is_decoder_on = false;
      return nullptr;
    }
  }
}

void Work(Flusher::Task task) {
  Source& s = *source.load();
  if (task == Flusher::Task::kRestart) {
    const RecorderUse use;
    DisableKinds(s);
    s.library.flush_all(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
    if (Recorder* recorder = use.is_safe() ? s.target.load() : nullptr) {
      EnableKinds(s, *recorder);
    }
    return;
  }
  s.library.flush_all(task == Flusher::Task::kFlushForced ? CUPTI_ACTIVITY_FLAG_FLUSH_FORCED : 0);
}

// --- Bookkeeping

void AlignClock(Source& s, Recorder& recorder) {
  int64_t jump_ns = 0;
  if (s.clock.Align(s.library, &jump_ns)) {
    recorder.statistics().clock_uncertainty_ns = s.clock.uncertainty_ns();
    if (jump_ns != 0) {
      s.incidents.Tell(recorder, IncidentCode::kClockJumped, jump_ns);
    }
  }
}

void WriteBooks(Source& s, Recorder& recorder) {
  s.books.ledger.Write(recorder, s.is_subscribed && !s.uses_external_ids);
  s.incidents.TellCounts(recorder);
  const int64_t recorded = s.books.ledger.recorded();
  const uint64_t callback_ns = s.callback_ns.load() + s.books.callback_ns.load();
  const uint64_t decode_ns = s.decode_ns.load();
  recorder.agent_cost().callback_ns = callback_ns;
  recorder.agent_cost().decode_ns = decode_ns;
  recorder.agent_cost().memory_bytes = s.pool.touched_bytes() + sizeof(Source);
  if (recorded > 0) {
    recorder.statistics().operation_record_ps = static_cast<uint32_t>(
        std::min<uint64_t>((callback_ns + decode_ns) * 1000 / static_cast<uint64_t>(recorded), UINT32_MAX));
  }
}

// Launches without records: the subscriber that never hears of a launch, or the wall that CUPTI runs into.
void WatchArrivals(Source& s, Recorder& recorder, int64_t now_ns) {
  const int64_t arrived = s.books.ledger.recorded() + s.books.ledger.invalid();
  const bool has_launched = s.books.last_launch_ns.load(std::memory_order_relaxed) > s.watch.last_arrival_ns;
  if (arrived != s.watch.arrived || !has_launched || !s.books.has_kinds) {
    if (arrived != s.watch.arrived && s.watch.stalled_since_ns != 0) {
      s.incidents.Tell(recorder, IncidentCode::kRecovered, (now_ns - s.watch.stalled_since_ns) / 1'000'000);
      s.watch.stalled_since_ns = 0;
      s.watch.restarts = 0;
    }
    if (arrived != s.watch.arrived && s.watch.arrived != 0 && has_launched) {
      s.watch.longest_pause_ns = std::max(s.watch.longest_pause_ns, now_ns - s.watch.last_arrival_ns);
    }
    s.watch.arrived = arrived;
    s.watch.last_arrival_ns = now_ns;
    return;
  }
  const int64_t silent_ns = now_ns - s.watch.last_arrival_ns;
  const int64_t wait_ns = s.books.last_wait_ns.load(std::memory_order_relaxed);
  const bool work_is_done = wait_ns > s.watch.last_arrival_ns;
  const bool is_unusual = s.watch.longest_pause_ns > 0 && silent_ns > kStallPauses * s.watch.longest_pause_ns;
  if (silent_ns < kStallNs || s.books.ledger.pending() == 0 || (!work_is_done && !is_unusual)) {
    return;
  }
  if (s.watch.stalled_since_ns == 0) {
    s.watch.stalled_since_ns = now_ns;
    s.incidents.Tell(recorder, IncidentCode::kStalled, s.books.ledger.pending());
  }
  if (s.watch.restarts < kMaxRestarts && s.flusher.Ask(Flusher::Task::kRestart)) {
    ++s.watch.restarts;
    s.watch.last_arrival_ns = now_ns;  // the restart has its time
  }
}

// Records that make no sense: CUPTI's device buffers have run out.
void WatchSense(Source& s, Recorder& recorder) {
  const int64_t recorded = s.books.ledger.recorded();
  const int64_t invalid = s.books.ledger.invalid();
  const int64_t new_invalid = invalid - s.watch.invalid;
  if (new_invalid >= kMostlyInvalid && new_invalid > recorded - s.watch.recorded && s.watch.restarts < kMaxRestarts) {
    s.incidents.Tell(recorder, IncidentCode::kMostlyInvalid, new_invalid);
    if (!s.flusher.Ask(Flusher::Task::kRestart)) {
      return;  // it is at a flush: again at the next look
    }
    ++s.watch.restarts;
  }
  s.watch.recorded = recorded;
  s.watch.invalid = invalid;
}

// The books, once in a process.
Source* MakeSource() {
  Source* made = source.load();
  if (made == nullptr) {
    made = new (std::nothrow) Source;
    source.store(made);
  }
  return made;
}

// Nothing of an earlier recording is in this one. REQUIRES: no callback of ours is heard.
void BeginAnew(Source& s) {
  s.books.launches.Forget();
  s.books.ledger.Forget();
  s.books.graphs.Forget();
  s.books.calls.store(0);
  s.books.callback_ns.store(0);
  s.books.last_launch_ns.store(0);
  s.books.last_wait_ns.store(0);
  s.incidents.Forget();
  s.callback_ns.store(0);
  s.decode_ns.store(0);
  s.watch = {};
  delivers.store(false);
}

// The recorder, and the threads that work for it.
bool Aim(Source& s, Recorder* recorder) {
  const std::lock_guard<std::mutex> lock(s.decoder_mutex);
  s.target.store(recorder, std::memory_order_release);
  s.is_decoder_on = s.is_decoder_on || StartThread("dsocr-decode", DecodeThread, nullptr);
  return s.is_decoder_on && s.flusher.Start(Work);
}

}  // namespace

bool StartCupti(Recorder* recorder) noexcept {
  if (IsCuptiOn()) {
    return true;
  }
  Source* made = MakeSource();
  if (made == nullptr) {
    return false;
  }
  Source& s = *made;
  BeginAnew(s);
  if (const LibraryState state = FindCupti(&s.library); state != LibraryState::kFound) {
    s.incidents.Tell(*recorder, IncidentCode::kNoLibrary, s.library.major);
    return false;
  }
  AlignClock(s, *recorder);
  char holder[kHolderBytes];
  s.is_subscribed = Subscribe(s.library, &s.books, holder);
  if (!s.is_subscribed) {
    s.incidents.Tell(*recorder, IncidentCode::kSubscriberRefused, 0, holder);
  }
  s.watch.last_arrival_ns = s.watch.last_bookkeeping_ns = NowNs();
  if (!Aim(s, recorder) || s.library.register_callbacks(OnBufferRequested, OnBufferCompleted) != CUPTI_SUCCESS ||
      !EnableKinds(s, *recorder)) {
    s.incidents.Tell(*recorder, IncidentCode::kEnableRefused, 0);
    s.books.is_on.store(false);
    if (s.is_subscribed) {
      Unsubscribe(s.library);
      s.is_subscribed = false;
    }
    s.target.store(nullptr);
    s.flusher.Stop();
    return false;
  }
  if (!s.is_subscribed) {
    UseExternalIds(s, *recorder);
  }
  recorder->set_unit_listener(&kUnitListener);
  return true;
}

const RangeListener* CuptiListener() noexcept {
  return IsCuptiOn() && source.load()->uses_external_ids ? &kListener : nullptr;
}

void PauseCupti(bool paused) noexcept {
  if (!IsCuptiOn()) {
    return;
  }
  Source& s = *source.load();
  if (paused && s.books.has_kinds) {
    DisableKinds(s);
  } else if (!paused && !s.books.has_kinds) {
    EnableKinds(s, *s.target.load());
  }
}

bool CuptiDelivers() noexcept { return delivers.load(std::memory_order_relaxed); }

bool IsCuptiOn() noexcept {
  const Source* s = source.load(std::memory_order_acquire);
  return s != nullptr && s->target.load(std::memory_order_relaxed) != nullptr;
}

void PollCupti() noexcept {
  if (!IsCuptiOn()) {
    return;
  }
  Source& s = *source.load();
  Recorder& recorder = *s.target.load();
  const int64_t now_ns = NowNs();
  if (now_ns - s.watch.last_poll_ns < int64_t{kCuptiPollMs} * 1'000'000) {
    return;
  }
  s.watch.last_poll_ns = now_ns;
  const bool keeps_books = now_ns - s.watch.last_bookkeeping_ns >= kBookkeepingNs;
  WatchArrivals(s, recorder, now_ns);
  if (keeps_books) {
    WatchSense(s, recorder);
  }
  if (s.flusher.busy_ms() > kStuckFlushMs) {
    if (!s.watch.is_flush_stuck) {
      s.incidents.Tell(recorder, IncidentCode::kFlushStuck, s.flusher.busy_ms());
    }
    s.watch.is_flush_stuck = true;
  } else {
    s.watch.is_flush_stuck = false;
    s.flusher.Ask(Flusher::Task::kFlush);
  }
  if (!s.uses_external_ids && s.is_subscribed && s.books.calls.load() == 0 &&
      s.decoder.unexplained() > kUnexplainedLimit) {
    UseExternalIds(s, recorder);
  }
  if (keeps_books) {
    s.watch.last_bookkeeping_ns = now_ns;
    AlignClock(s, recorder);
    WriteBooks(s, recorder);
  }
}

void FlushCupti(int timeout_ms) noexcept {
  if (!IsCuptiOn()) {
    return;
  }
  Source& s = *source.load();
  Recorder& recorder = *s.target.load();
  if (s.flusher.Await(timeout_ms) && s.flusher.Ask(Flusher::Task::kFlushForced) && s.flusher.Await(timeout_ms)) {
    s.pool.AwaitEmpty(timeout_ms);
  } else {
    s.incidents.Tell(recorder, IncidentCode::kFlushStuck, s.flusher.busy_ms());
  }
  WriteBooks(s, recorder);
}

void StopCupti(int timeout_ms) noexcept {
  if (!IsCuptiOn()) {
    return;
  }
  Source& s = *source.load();
  Recorder& recorder = *s.target.load();
  recorder.set_unit_listener(nullptr);
  s.books.is_on.store(false);
  if (s.uses_external_ids) {
    StopExternalIds(s, recorder);
  }
  if (s.books.has_kinds) {
    DisableKinds(s);
  }
  FlushCupti(timeout_ms);
  if (s.is_subscribed) {
    Unsubscribe(s.library);
    s.is_subscribed = false;
  }
  s.target.store(nullptr, std::memory_order_release);
  s.flusher.Stop();
  s.pool.GiveBack();
}

void ForgetCuptiAfterFork() noexcept {
  source.store(nullptr);
  delivers.store(false);
}

}  // namespace dsocr::agent
