// The recorder: what the agent's sources (NVTX ranges, operator callbacks, CUPTI) write through. One per recording, and
// one more, private, on which the agent measures its own cost.
//
// A recording ends while the job runs on. Whoever uses the process's recorder marks its thread for as long, with two
// plain stores beside what it reads anyway; RetireRecorder waits until no thread is marked before it gives the memory
// back. The barrier that this needs is made by who waits (membarrier), not by the job.
//
// Nothing here waits, allocates memory in steady state, throws or prints, but for RetireRecorder. Every call is safe
// from any thread.
#ifndef DSOCR_CUPTI_AGENT_RECORDER_H_
#define DSOCR_CUPTI_AGENT_RECORDER_H_

#include <atomic>
#include <cstdint>
#include <optional>

#include "cupti/agent/clock.h"
#include "cupti/agent/intern.h"
#include "cupti/agent/sampler.h"
#include "cupti/record/ring.h"

namespace dsocr::agent {

class Recorder;

// What one thread is in the middle of. Only its own thread touches it, so a mark of an open range needs no lock. What
// every operator call touches lies on the first cache line: between two calls a job's own data drives all out.
struct alignas(64) ThreadState {
  struct OpenRange {
    record::Owner owner;   // of the innermost recorded range, this one or one around it
    const void* domain;    // NVTX domain; null: the default one
    bool is_recorded;      // its push is in the ring, so its pop will be
    bool has_external_id;  // its owner was pushed to CUPTI
  };

  // A name seen on this thread: one line of cache instead of the shared table's entry and text.
  struct KnownName {
    uint64_t hash;
    record::NameId id;  // 0: free
    bool tells_shape;
  };
  static constexpr int kKnownNamesShift = 56;  // by the hash's upper bits: 256 names, of some dozens of operators

  // The CUDA launch function that this thread is in, if CUPTI tells.
  struct LaunchCall {
    uint32_t runtime_correlation;  // of the runtime API's call around it; 0: none
    uint32_t operations;
    uint32_t earlier_operations;  // of this call of the runtime, already counted
    uint16_t row;                 // of the ledger
    bool is_in_driver;
    bool is_settled;   // a call of the driver has been heard in that of the runtime
    bool is_captured;  // it made a node of a graph instead
  };

  Recorder* recorder;
  // The outermost operator call in progress. `operation` is the address of its at::RecordFunction, on this thread's
  // stack; null: none.
  const void* operation;
  record::Owner operation_owner;
  int64_t operation_start_ns;
  uint64_t operation_nested_calls;
  uint32_t number;
  uint32_t depth;       // open ranges in `open`
  uint32_t excess;      // ranges opened beyond those
  bool is_announced;    // its kThread record is in the ring
  uint64_t next_entry;  // entries are taken from a process-wide counter in blocks
  uint64_t end_entry;
  LaunchCall launch;
  uint32_t cloned_graph;  // that nodes were last cloned into, by an instantiation under way on this thread
  // The outermost range that is open, under a budget.
  struct Unit {
    bool is_skipped;  // it was not chosen: nothing of it is recorded
    int64_t start_ns;
    uint64_t range_records;
    uint64_t operations;
    uint64_t nested_calls;
    int64_t gpu_cost_ns;  // of the process, when the unit began
  };
  Unit unit;
  OpenRange open[record::kMaxPathDepth];
  record::OperatorShape operation_shape;  // of the outermost call in progress, where its sizes were asked for
  bool has_operation_shape;
  KnownName known_names[uint64_t{1} << (64 - kKnownNamesShift)];  // names of one 64-bit hash are taken for equal
};

// Where the path of a registered range is remembered, so that its next push asks no table: recording << 32 | parent <<
// 16 | path. One that comes below another parent, or in another recording, is looked up and remembered anew.
using PathMemo = std::atomic<uint64_t>;
static_assert(record::kMaxPaths <= 1 << 16);

// Who else must hear of a recorded range: CUPTI's external correlation. Called on the range's thread.
struct RangeListener {
  bool (*on_push)(record::Owner owner);
  void (*on_pop)();
};

// The owner of what a unit launches that is not recorded.
inline constexpr record::Owner kSkippedOwner = ~record::Owner{0};

// The GPU source's part in a budget: what it has cost so far, and switching it off while no unit is recorded.
struct UnitListener {
  int64_t (*cost_ns)();
  void (*on_change)(bool is_any_recorded);
};

using ThreadListener = void(ThreadState& thread) noexcept;

class alignas(64) Recorder {
 public:
  enum class Mode : int { kOff, kPaused, kOn };

  Recorder() = default;
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  ~Recorder();

  // Makes the ring in a sealed memfd and starts recording. The descriptor, or -1 where that fails; the caller's to
  // close.
  int Start(uint32_t slot_count) noexcept;

  // In a forked child: the ring is the parent's. Nothing is written any more.
  void LeaveRing() noexcept;

  // Takes the ring's pages now (2 to 20 ms), so that no writer has to fault them in (60 ns a record). From any thread,
  // while others write.
  void Prefault() noexcept;

  Mode mode() const noexcept { return mode_.load(std::memory_order_relaxed); }
  void set_mode(Mode mode) noexcept { mode_.store(mode, std::memory_order_relaxed); }
  void set_listener(const RangeListener* listener) noexcept { listener_.store(listener, std::memory_order_release); }
  void set_unit_listener(const UnitListener* listener) noexcept {
    unit_listener_.store(listener, std::memory_order_release);
  }
  // Called once for each thread, on it, before anything of it is recorded.
  void set_thread_listener(ThreadListener* listener) noexcept {
    thread_listener_.store(listener, std::memory_order_release);
  }
  Sampler& sampler() noexcept { return sampler_; }

  // Makes this thread's state in this recorder. Hook's own.
  ThreadState* AcquireThread() noexcept;

  // 1, 2, … in this process: a recorder's address may come again, its number does not.
  uint32_t recording() const noexcept { return recording_; }
  // False: the owner of an earlier recording.
  bool Knows(record::Owner owner) const noexcept { return record::OwnerEntry(owner) >= first_entry_; }

  // The depth before the push, as NVTX wants it. A range inside an operator call is part of that call and is not
  // recorded. `memo`: may be null. `is_module`: as in record::PathDefinition.
  int PushRange(ThreadState& thread, const Text& name, const void* domain, PathMemo* memo = nullptr,
                bool is_module = false) noexcept;
  // Closes the innermost open range of `domain`; the depth after it, or -1 where none is open.
  int PopRange(ThreadState& thread, const void* domain) noexcept;
  // Closes the range with this owner, wherever it stands among this thread's; false: not open on this thread.
  bool PopOwner(ThreadState& thread, record::Owner owner) noexcept;
  static record::Owner CurrentOwner(const ThreadState& thread) noexcept {
    return thread.depth == 0 ? 0 : thread.open[thread.depth - 1].owner;
  }

  // An operator call begins, ends. `call` identifies it by its place on the stack: deeper calls lie at lower addresses,
  // so a call that lies higher than the outermost one shows that that one ended unseen. `name` is asked only for
  // outermost calls. True: this is one, it is recorded and no range is open around it; only then may its shape be told.
  bool BeginCall(ThreadState& thread, const void* call) noexcept {
    if (thread.operation != nullptr && call < thread.operation) {
      ++thread.operation_nested_calls;
      return false;
    }
    if (mode() != Mode::kOn || thread.unit.is_skipped) {
      thread.operation = nullptr;
      return false;
    }
    ring_.Prefetch();
    thread.operation = call;
    thread.operation_owner = CurrentOwner(thread);
    thread.operation_nested_calls = 0;
    thread.has_operation_shape = false;
    thread.operation_start_ns = NowNs();
    return thread.operation_owner == 0;
  }
  template <typename NameFunction>
  void EndCall(ThreadState& thread, const void* call, NameFunction name) noexcept {
    if (thread.operation == call) {
      WriteOperation(thread, MakeText(name()));
    }
  }

  // False: the ring was full.
  bool Write(const record::Record& record) noexcept { return ring_.Write(record); }
  record::NameId Name(const Text& text) noexcept { return interner_.Name(text, 0); }

  // What the statistics record says; set by the agent once measured.
  record::Statistics& statistics() noexcept { return statistics_; }
  // What a GPU source has cost so far; the recorder's own memory and the units are added.
  record::AgentCost& agent_cost() noexcept { return agent_cost_; }
  void WriteStatistics() noexcept;
  void CountLost(uint64_t operations) noexcept { lost_operations_.fetch_add(operations, std::memory_order_relaxed); }
  void CountInvalid(uint64_t records) noexcept { invalid_.fetch_add(records, std::memory_order_relaxed); }

 private:
  static constexpr uint64_t kEntryBlock = 1024;

  record::PathId PathBelow(ThreadState& thread, record::PathId parent, const Text& name, PathMemo* memo,
                           bool is_module) noexcept;
  void Announce(ThreadState& thread) noexcept;
  uint64_t BeginUnit(ThreadState& thread) noexcept;
  void EndUnit(ThreadState& thread) noexcept;
  void CloseRange(ThreadState& thread, uint32_t index) noexcept;
  void WriteOperation(ThreadState& thread, const Text& name) noexcept;
  const ThreadState::KnownName& NameOn(ThreadState& thread, const Text& name) noexcept;

  std::atomic<Mode> mode_{Mode::kOff};
  uint32_t recording_ = 0;
  std::atomic<const RangeListener*> listener_{nullptr};
  std::atomic<const UnitListener*> unit_listener_{nullptr};
  std::atomic<ThreadListener*> thread_listener_{nullptr};
  std::atomic<int> units_recorded_open_{0};
  Sampler sampler_;
  record::RingWriter ring_;
  Interner interner_;
  uint64_t first_entry_ = 0;
  std::atomic<uint64_t> lost_operations_{0};
  std::atomic<uint64_t> invalid_{0};
  std::atomic<uint64_t> overflowed_{0};
  record::Statistics statistics_{};
  record::AgentCost agent_cost_{};
  void* ring_memory_ = nullptr;
  size_t ring_bytes_ = 0;
  ThreadState* threads_ = nullptr;  // kMaxThreads of them in one mapping, touched as threads come
};

// What a thread keeps of its own, whatever is being recorded.
struct alignas(32) ThreadPlace {
  static constexpr uint32_t kGone = ~uint32_t{0};

  ThreadState* state;          // in the recorder of `recording`, which may be gone
  Recorder* own_recorder;      // that this thread writes to, whatever the process's is; null: it has none
  uint32_t recording;          // 0: none
  uint32_t number;             // of this thread + 1; 0: not numbered yet; kGone: the thread is ending
  std::atomic<uint32_t> uses;  // how often this thread is inside of something that uses a recorder
};

// Initial-exec: one load instead of a call, and glibc keeps room for such variables of libraries loaded late.
extern __attribute__((tls_model("initial-exec"))) constinit thread_local ThreadPlace thread_place;
extern std::atomic<Recorder*> process_recorder;

// The recorder of this process; null while nothing is recorded.
inline Recorder* ProcessRecorder() noexcept { return process_recorder.load(std::memory_order_acquire); }
inline void SetProcessRecorder(Recorder* recorder) noexcept {
  process_recorder.store(recorder, std::memory_order_release);
}

// Numbers this thread. False: kMaxThreads threads are alive, or this one is ending.
bool NumberThread() noexcept;

// While it lives, no recorder that this thread finds after its construction is taken away. Nests.
class RecorderUse {
 public:
  RecorderUse() noexcept : is_safe_(thread_place.number - 1 < record::kMaxThreads || NumberThread()) {
    if (is_safe_) {
      Count(1);
      std::atomic_signal_fence(std::memory_order_seq_cst);  // the rest of the fence is RetireRecorder's membarrier
    }
  }
  ~RecorderUse() {
    if (is_safe_) {
      Count(-1u);
    }
  }
  RecorderUse(const RecorderUse&) = delete;
  RecorderUse& operator=(const RecorderUse&) = delete;

  // False: this thread cannot be waited for, so it must not use a recorder.
  bool is_safe() const noexcept { return is_safe_; }

 private:
  // Its own thread alone writes the count.
  static void Count(uint32_t change) noexcept {
    std::atomic<uint32_t>& uses = thread_place.uses;
    uses.store(uses.load(std::memory_order_relaxed) + change, std::memory_order_release);
  }

  const bool is_safe_;
};

// What a hook on a thread of the job begins with: this thread's state in the recorder that it writes to. None: nothing
// is recorded here.
class Hook {
 public:
  Hook() noexcept {
    if (process_recorder.load(std::memory_order_relaxed) != nullptr) {
      Enter();
    }
  }
  Hook(const Hook&) = delete;
  Hook& operator=(const Hook&) = delete;

  explicit operator bool() const noexcept { return thread_ != nullptr; }
  ThreadState& operator*() const noexcept { return *thread_; }
  ThreadState* operator->() const noexcept { return thread_; }

 private:
  void Enter() noexcept {
    use_.emplace();
    Recorder* recorder = thread_place.own_recorder != nullptr ? thread_place.own_recorder : ProcessRecorder();
    if (use_->is_safe() && recorder != nullptr && recorder->mode() != Recorder::Mode::kOff) {
      thread_ = thread_place.recording == recorder->recording() ? thread_place.state : recorder->AcquireThread();
    }
  }

  std::optional<RecorderUse> use_;
  ThreadState* thread_ = nullptr;
};

// Makes `recorder` the one that this thread writes to: for measuring the agent's own cost. Null undoes it. REQUIRES: a
// recording is on.
void SetThreadRecorder(Recorder* recorder) noexcept;

// Once before the first recording ends. False: this kernel has no such barrier, and no recorder is ever given back.
bool PrepareToRetire() noexcept;

// Takes the process's recorder away, waits until no thread uses one any more, and deletes it. False: a thread was
// inside for `timeout_ms`, so it is left alone for ever. REQUIRES: the caller uses none, and nobody else retires.
bool RetireRecorder(int timeout_ms) noexcept;

// In a forked child: there is no recorder, and no thread but this one.
void ForgetRecorderAfterFork() noexcept;

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_RECORDER_H_
