#include "cupti/agent/recorder.h"

#include <fcntl.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <mutex>
#include <new>
#include <string_view>

namespace dsocr::agent {
namespace {

std::atomic<uint32_t> recordings{0};
// Of the whole process: a range's owner that a job kept from an earlier recording is nobody's in this one.
std::atomic<uint64_t> entries{1};

pthread_key_t thread_key;
pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;
bool has_thread_key = false;

// The threads that have a number, by their number. Locked while a place is looked at: a thread that ends takes its own
// away first.
constinit std::mutex places_mutex;
constinit ThreadPlace* places[record::kMaxThreads];

// A thread ends.
void TakeNumberBack(void* ending) {
  auto* place = static_cast<ThreadPlace*>(ending);
  const std::lock_guard<std::mutex> lock(places_mutex);
  places[place->number - 1] = nullptr;
  place->number = ThreadPlace::kGone;
}

void MakeThreadKey() { has_thread_key = pthread_key_create(&thread_key, TakeNumberBack) == 0; }

bool IsAnyThreadInside() {
  const std::lock_guard<std::mutex> lock(places_mutex);
  return std::any_of(std::begin(places), std::end(places), [](const ThreadPlace* place) {
    return place != nullptr && place->uses.load(std::memory_order_acquire) != 0;
  });
}

// The operators that have weights, and attention: where one stands in a model, its sizes say.
constexpr std::string_view kShapedOperators[] = {
    "aten::linear",       "aten::addmm",     "aten::mm",           "aten::matmul",
    "aten::bmm",          "aten::baddbmm",   "aten::conv2d",       "aten::convolution",
    "aten::_convolution", "aten::embedding", "aten::index_select", "aten::scaled_dot_product_attention"};

bool TellsShape(std::string_view operator_name) {
  return std::find(std::begin(kShapedOperators), std::end(kShapedOperators), operator_name) !=
         std::end(kShapedOperators);
}

bool CallMembarrier(int command) { return syscall(SYS_membarrier, command, 0, 0) == 0; }

}  // namespace

constinit thread_local ThreadPlace thread_place{};
constinit std::atomic<Recorder*> process_recorder{nullptr};

bool NumberThread() noexcept {
  ThreadPlace& place = thread_place;
  pthread_once(&thread_key_once, MakeThreadKey);
  if (place.number == ThreadPlace::kGone || !has_thread_key) {
    return false;
  }
  const std::lock_guard<std::mutex> lock(places_mutex);
  ThreadPlace** const free = std::find(std::begin(places), std::end(places), nullptr);
  if (free == std::end(places) || pthread_setspecific(thread_key, &place) != 0) {
    return false;
  }
  *free = &place;
  place.number = static_cast<uint32_t>(free - places) + 1;
  return true;
}

void SetThreadRecorder(Recorder* recorder) noexcept { thread_place.own_recorder = recorder; }

bool PrepareToRetire() noexcept { return CallMembarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED); }

bool RetireRecorder(int timeout_ms) noexcept {
  Recorder* const recorder = process_recorder.exchange(nullptr);
  // A thread that found the recorder before this barrier is seen inside after it; one that enters later finds none.
  if (!CallMembarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) {
    return false;
  }
  for (int waited_ms = 0; IsAnyThreadInside(); ++waited_ms) {
    if (waited_ms == timeout_ms) {
      return false;
    }
    poll(nullptr, 0, 1);
  }
  delete recorder;
  return true;
}

void ForgetRecorderAfterFork() noexcept {
  if (Recorder* recorder = process_recorder.exchange(nullptr)) {
    recorder->LeaveRing();
  }
  new (&places_mutex) std::mutex;  // another thread may have held it
  std::fill(std::begin(places), std::end(places), nullptr);
  ThreadPlace& place = thread_place;
  if (place.number - 1 < record::kMaxThreads) {
    places[place.number - 1] = &place;
  }
}

Recorder::~Recorder() {
  if (ring_memory_ != nullptr) {
    munmap(ring_memory_, ring_bytes_);
  }
  if (threads_ != nullptr) {
    munmap(threads_, record::kMaxThreads * sizeof(ThreadState));
  }
}

void Recorder::LeaveRing() noexcept {
  munmap(ring_memory_, ring_bytes_);
  ring_memory_ = nullptr;
}

int Recorder::Start(uint32_t slot_count) noexcept {
  ring_bytes_ = record::RingBytes(slot_count);
  const int fd = memfd_create("dsocr-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) {
    return -1;
  }
  // Sealed, so that the reader can trust the size: a file that shrank under a mapping would raise SIGBUS in the daemon.
  void* ring = MAP_FAILED;
  void* threads = MAP_FAILED;
  if (ftruncate(fd, static_cast<off_t>(ring_bytes_)) != 0 ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0 ||
      (ring = mmap(nullptr, ring_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED ||
      (threads = mmap(nullptr, record::kMaxThreads * sizeof(ThreadState), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) == MAP_FAILED) {
    if (ring != MAP_FAILED) {
      munmap(ring, ring_bytes_);
    }
    close(fd);
    return -1;
  }
  ring_memory_ = ring;
  threads_ = static_cast<ThreadState*>(threads);
  ring_ = record::RingWriter::Create(ring, slot_count);
  if (!interner_.Init(&ring_)) {
    close(fd);
    return -1;
  }
  first_entry_ = entries.load(std::memory_order_relaxed);
  recording_ = recordings.fetch_add(1, std::memory_order_relaxed) + 1;
  set_mode(Mode::kOn);
  return fd;
}

void Recorder::Prefault() noexcept {
  madvise(ring_memory_, ring_bytes_, MADV_POPULATE_WRITE);  // a kernel before 5.14 refuses: then writers fault
}

ThreadState* Recorder::AcquireThread() noexcept {
  ThreadPlace& place = thread_place;
  ThreadState& thread = threads_[place.number - 1];  // of an earlier thread of that number, if at all
  thread.recorder = this;
  thread.is_announced = false;
  thread.number = place.number - 1;
  thread.depth = thread.excess = 0;
  thread.next_entry = thread.end_entry = 0;
  thread.operation = nullptr;
  thread.launch = {};
  thread.cloned_graph = 0;
  thread.unit = {};
  place.state = &thread;
  place.recording = recording_;
  Announce(thread);
  if (ThreadListener* listener = thread_listener_.load(std::memory_order_acquire)) {
    listener(thread);
  }
  return &thread;
}

void Recorder::Announce(ThreadState& thread) noexcept {
  record::Record record{};
  record.kind = record::Kind::kThread;
  record.thread = thread.number;
  record.thread_definition.os_tid = static_cast<uint32_t>(syscall(SYS_gettid));
  prctl(PR_GET_NAME, record.thread_definition.name);  // writes at most 16 bytes
  thread.is_announced = ring_.Write(record);
}

record::PathId Recorder::PathBelow(ThreadState& thread, record::PathId parent, const Text& name, PathMemo* memo,
                                   bool is_module) noexcept {
  constexpr uint64_t kPathMask = 0xffff;
  const uint64_t place = uint64_t{recording_} << 32 | uint64_t{parent} << 16;
  const uint64_t known = memo == nullptr ? 0 : memo->load(std::memory_order_acquire);
  if ((known & ~kPathMask) == place) {
    return static_cast<record::PathId>(known & kPathMask);
  }
  const record::PathId path = interner_.Path(parent, NameOn(thread, name).id, thread.number, is_module);
  if (memo != nullptr && path != 0) {
    memo->store(place | path, std::memory_order_release);  // its definition is in the ring
  }
  return path;
}

uint64_t Recorder::BeginUnit(ThreadState& thread) noexcept {
  const uint64_t inverse_probability_q16 = sampler_.Choose();
  const UnitListener* gpu = unit_listener_.load(std::memory_order_acquire);
  thread.unit = {};
  thread.unit.is_skipped = inverse_probability_q16 == 0;
  const int others = thread.unit.is_skipped ? units_recorded_open_.load() : units_recorded_open_.fetch_add(1);
  if (gpu != nullptr) {
    if (others == 0) {
      gpu->on_change(!thread.unit.is_skipped);
    }
    thread.unit.gpu_cost_ns = gpu->cost_ns();
  }
  thread.unit.start_ns = NowNs();
  return inverse_probability_q16;
}

void Recorder::EndUnit(ThreadState& thread) noexcept {
  const ThreadState::Unit& unit = thread.unit;
  const UnitListener* gpu = unit_listener_.load(std::memory_order_acquire);
  if (!unit.is_skipped) {
    units_recorded_open_.fetch_sub(1);
  }
  const int64_t gpu_ns = gpu == nullptr ? 0 : gpu->cost_ns() - unit.gpu_cost_ns;
  const uint64_t host_ps = unit.range_records * statistics_.range_record_ps +
                           unit.operations * statistics_.operation_record_ps * (gpu == nullptr ? 1 : 0) +
                           unit.nested_calls * statistics_.nested_call_ps;
  sampler_.Learn(!unit.is_skipped, NowNs() - unit.start_ns, gpu_ns + static_cast<int64_t>(host_ps / 1000));
  thread.unit = {};
}

int Recorder::PushRange(ThreadState& thread, const Text& name, const void* domain, PathMemo* memo,
                        bool is_module) noexcept {
  const uint32_t before = thread.depth + thread.excess;
  if (thread.depth == record::kMaxPathDepth) {
    ++thread.excess;
    overflowed_.fetch_add(1, std::memory_order_relaxed);
    return static_cast<int>(before);
  }
  const record::Owner enclosing = CurrentOwner(thread);
  ThreadState::OpenRange& range = thread.open[thread.depth++];
  range = {enclosing, domain, false, false};
  if (mode() != Mode::kOn || thread.operation != nullptr) {
    return static_cast<int>(before);
  }
  const uint64_t inverse_probability_q16 = before == 0 && sampler_.is_on() ? BeginUnit(thread) : 0;
  if (thread.unit.is_skipped) {
    const RangeListener* listener = before == 0 ? listener_.load(std::memory_order_acquire) : nullptr;
    range.has_external_id = listener != nullptr && listener->on_push(kSkippedOwner);
    return static_cast<int>(before);
  }
  if (!thread.is_announced) {
    Announce(thread);
  }
  const record::PathId path = PathBelow(thread, record::OwnerPath(enclosing), name, memo, is_module);
  if (path == 0) {
    overflowed_.fetch_add(1, std::memory_order_relaxed);
    return static_cast<int>(before);
  }
  if (thread.next_entry == thread.end_entry) {
    thread.next_entry = entries.fetch_add(kEntryBlock, std::memory_order_relaxed);
    thread.end_entry = thread.next_entry + kEntryBlock;
  }
  range.owner = record::MakeOwner(path, thread.next_entry++);
  range.is_recorded = true;
  record::Record record{};
  record.kind = record::Kind::kRangePush;
  record.thread = thread.number;
  record.range = {NowNs(), range.owner, inverse_probability_q16};
  ring_.Write(record);
  ++thread.unit.range_records;
  if (const RangeListener* listener = listener_.load(std::memory_order_acquire)) {
    range.has_external_id = listener->on_push(range.owner);
  }
  return static_cast<int>(before);
}

int Recorder::PopRange(ThreadState& thread, const void* domain) noexcept {
  if (thread.excess > 0) {
    --thread.excess;
    return static_cast<int>(thread.depth + thread.excess);
  }
  for (uint32_t i = thread.depth; i-- > 0;) {
    if (thread.open[i].domain == domain) {
      CloseRange(thread, i);
      return static_cast<int>(thread.depth);
    }
  }
  return -1;
}

bool Recorder::PopOwner(ThreadState& thread, record::Owner owner) noexcept {
  for (uint32_t i = thread.depth; i-- > 0;) {
    if (thread.open[i].is_recorded && thread.open[i].owner == owner) {
      CloseRange(thread, i);
      return true;
    }
  }
  return false;
}

void Recorder::CloseRange(ThreadState& thread, uint32_t index) noexcept {
  const ThreadState::OpenRange range = thread.open[index];
  --thread.depth;
  std::memmove(&thread.open[index], &thread.open[index + 1], (thread.depth - index) * sizeof(range));
  if (range.has_external_id) {
    if (const RangeListener* listener = listener_.load(std::memory_order_acquire)) {
      listener->on_pop();
    }
  }
  if (range.is_recorded) {
    record::Record record{};
    record.kind = record::Kind::kRangePop;
    record.thread = thread.number;
    record.range = {NowNs(), range.owner, 0};
    ring_.Write(record);
    ++thread.unit.range_records;
  }
  if (thread.depth == 0 && thread.unit.start_ns != 0) {
    EndUnit(thread);
  }
}

const ThreadState::KnownName& Recorder::NameOn(ThreadState& thread, const Text& name) noexcept {
  ThreadState::KnownName& known = thread.known_names[name.hash >> ThreadState::kKnownNamesShift];
  if (known.id == 0 || known.hash != name.hash) {
    known = {name.hash, interner_.Name(name, thread.number), TellsShape(std::string_view(name.bytes, name.size))};
  }
  return known;
}

void Recorder::WriteOperation(ThreadState& thread, const Text& name) noexcept {
  const int64_t end_ns = NowNs();
  const ThreadState::KnownName& known = NameOn(thread, name);
  record::Record record{};
  record.thread = thread.number;
  if (thread.has_operation_shape && known.tells_shape) {
    record.kind = record::Kind::kOperatorShape;
    record.operator_shape = thread.operation_shape;
    ring_.Write(record);
    record.operation = {};
  }
  record.kind = record::Kind::kCpuOperation;
  record.operation.end_ns = end_ns;
  record.operation.start_ns = thread.operation_start_ns;
  record.operation.owner = thread.operation_owner;
  record.operation.name = known.id;
  record.operation.detail = thread.operation_nested_calls;
  thread.operation = nullptr;
  ring_.Write(record);
  ++thread.unit.operations;
  thread.unit.nested_calls += thread.operation_nested_calls;
}

void Recorder::WriteStatistics() noexcept {
  record::Record record{};
  record.kind = record::Kind::kStatistics;
  record.statistics = statistics_;
  record.statistics.time_ns = NowNs();
  record.statistics.lost_operations = lost_operations_.load(std::memory_order_relaxed);
  record.statistics.invalid = invalid_.load(std::memory_order_relaxed);
  record.statistics.overflowed = overflowed_.load(std::memory_order_relaxed);
  ring_.Write(record);
  record = {};
  record.kind = record::Kind::kAgentCost;
  record.agent_cost = agent_cost_;
  record.agent_cost.time_ns = NowNs();
  record.agent_cost.memory_bytes += ring_bytes_;
  record.agent_cost.units_seen = sampler_.units_seen();
  record.agent_cost.units_recorded = sampler_.units_recorded();
  ring_.Write(record);
}

}  // namespace dsocr::agent
