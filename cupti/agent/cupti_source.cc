#include "cupti/agent/cupti_source.h"

#include <cupti.h>
#include <cupti_activity_deprecated.h>
#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <mutex>

#include "cupti/agent/clock.h"

namespace dsocr::agent {
namespace {

// 1 MiB holds about 4,800 kernel records; 32 of them bound what a stalled reader can make us hold. CUPTI owns a buffer
// from request to completion, so none is ever freed.
constexpr size_t kBufferBytes = 1 << 20;
constexpr int kMaxBuffers = 32;
constexpr size_t kBufferAlignment = 8;  // CUPTI's ACTIVITY_RECORD_ALIGNMENT
// Which launch an external id belongs to is remembered for this many launches; correlation ids count up, so that the
// low bits are the place.
constexpr uint32_t kLaunches = 1 << 16;
// Operations whose launch has not been heard of yet: another buffer may hold it.
constexpr size_t kMaxWaiting = 4096;
constexpr int kClockReads = 64;

// External ids are pushed on one kind of ours; Kineto uses CUSTOM0 and CUSTOM1.
constexpr CUpti_ExternalCorrelationKind kExternalKind = CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM2;

// CUPTI writes an external correlation record beside an API record, so the API kinds are on; their own records are
// skipped.
constexpr CUpti_ActivityKind kKinds[] = {CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION,
                                         CUPTI_ACTIVITY_KIND_RUNTIME,
                                         CUPTI_ACTIVITY_KIND_DRIVER,
                                         CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
                                         CUPTI_ACTIVITY_KIND_MEMCPY,
                                         CUPTI_ACTIVITY_KIND_MEMCPY2,
                                         CUPTI_ACTIVITY_KIND_MEMSET};
constexpr int kKindCount = static_cast<int>(std::size(kKinds));

// What we read of a record lies at the same place in every version of CUPTI 12 and 13.
#define DSOCR_SAME_PLACE(a, b, field) static_assert(offsetof(a, field) == offsetof(b, field))
DSOCR_SAME_PLACE(CUpti_ActivityKernel8, CUpti_ActivityKernel10, start);
DSOCR_SAME_PLACE(CUpti_ActivityKernel8, CUpti_ActivityKernel10, deviceId);
DSOCR_SAME_PLACE(CUpti_ActivityKernel8, CUpti_ActivityKernel10, streamId);
DSOCR_SAME_PLACE(CUpti_ActivityKernel8, CUpti_ActivityKernel10, correlationId);
DSOCR_SAME_PLACE(CUpti_ActivityKernel8, CUpti_ActivityKernel10, name);
DSOCR_SAME_PLACE(CUpti_ActivityKernel8, CUpti_ActivityKernel10, graphNodeId);
DSOCR_SAME_PLACE(CUpti_ActivityKernel8, CUpti_ActivityKernel10, graphId);
DSOCR_SAME_PLACE(CUpti_ActivityMemcpy5, CUpti_ActivityMemcpy6, correlationId);
DSOCR_SAME_PLACE(CUpti_ActivityMemset3, CUpti_ActivityMemset4, correlationId);
#undef DSOCR_SAME_PLACE

struct Cupti {
  decltype(&cuptiActivityRegisterCallbacks) register_callbacks;
  decltype(&cuptiActivityEnable) enable;
  decltype(&cuptiActivityDisable) disable;
  decltype(&cuptiActivityFlushAll) flush_all;
  decltype(&cuptiActivityGetNextRecord) next_record;
  decltype(&cuptiActivityGetNumDroppedRecords) dropped_records;
  decltype(&cuptiActivityPushExternalCorrelationId) push_external;
  decltype(&cuptiActivityPopExternalCorrelationId) pop_external;
  decltype(&cuptiGetTimestamp) timestamp;
};

struct Launch {
  uint32_t correlation;
  record::Owner owner;
};

Cupti cupti;
std::atomic<Recorder*> target{nullptr};  // null: not started, or stopped
std::atomic<bool> delivers{false};
bool is_enabled = false;

std::mutex buffer_mutex;  // guards what follows
char* free_buffers[kMaxBuffers];
int free_count = 0;
int buffer_count = 0;
alignas(
    kBufferAlignment) char discarded[1 << 16];  // handed out when all are in use: what lands here is counted, not read

std::mutex record_mutex;  // guards what follows; completions come one at a time, except during a flush
Launch launches[kLaunches];
record::Record waiting[kMaxWaiting];
size_t waiting_count = 0;
int64_t clock_offset_ns = 0;  // CLOCK_MONOTONIC - CUPTI's clock
int64_t callback_ns = 0;
int64_t callback_records = 0;

template <typename Function>
bool Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr;
}

bool FindFunctions() {
  void* library = nullptr;
  for (const int mode : {RTLD_NOW | RTLD_NOLOAD, RTLD_NOW}) {  // the process's own before one that we load
    for (const char* name : {"libcupti.so.13", "libcupti.so.12"}) {
      if (library == nullptr) {
        library = dlopen(name, mode);
      }
    }
  }
  return library != nullptr && Find(library, "cuptiActivityRegisterCallbacks", &cupti.register_callbacks) &&
         Find(library, "cuptiActivityEnable", &cupti.enable) && Find(library, "cuptiActivityDisable", &cupti.disable) &&
         Find(library, "cuptiActivityFlushAll", &cupti.flush_all) &&
         Find(library, "cuptiActivityGetNextRecord", &cupti.next_record) &&
         Find(library, "cuptiActivityGetNumDroppedRecords", &cupti.dropped_records) &&
         Find(library, "cuptiActivityPushExternalCorrelationId", &cupti.push_external) &&
         Find(library, "cuptiActivityPopExternalCorrelationId", &cupti.pop_external) &&
         Find(library, "cuptiGetTimestamp", &cupti.timestamp);
}

// Reads both clocks in brackets and keeps the tightest. The uncertainty is half of that bracket.
bool AlignClocks(Recorder* recorder) {
  int64_t tightest_ns = INT64_MAX;
  int64_t offset_ns = 0;
  for (int i = 0; i < kClockReads; ++i) {
    uint64_t device_ns = 0;
    const int64_t before_ns = NowNs();
    if (cupti.timestamp(&device_ns) != CUPTI_SUCCESS) {
      return false;
    }
    const int64_t after_ns = NowNs();
    if (after_ns - before_ns < tightest_ns) {
      tightest_ns = after_ns - before_ns;
      offset_ns = before_ns + tightest_ns / 2 - static_cast<int64_t>(device_ns);
    }
  }
  const std::lock_guard<std::mutex> lock(record_mutex);
  clock_offset_ns = offset_ns;
  recorder->statistics().clock_uncertainty_ns =
      static_cast<uint32_t>(std::min<int64_t>((tightest_ns + 1) / 2, UINT32_MAX));
  return true;
}

// --- Records
// -----------------------------------------------------------------------------------------------------------------------

const char* CopyName(uint8_t kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOD:
      return "memcpy HtoD";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOH:
      return "memcpy DtoH";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOD:
      return "memcpy DtoD";
    case CUPTI_ACTIVITY_MEMCPY_KIND_PTOP:
      return "memcpy PtoP";
    default:
      return "memcpy";
  }
}

// The common part of every operation's activity record.
template <typename Activity>
record::Record MakeOperation(record::Kind kind, const Activity& activity, const char* name, uint64_t detail,
                             Recorder* recorder) {
  record::Record record{};
  record.kind = kind;
  record.device = static_cast<uint16_t>(activity.deviceId);
  record.operation.start_ns = activity.start == 0 ? 0 : static_cast<int64_t>(activity.start) + clock_offset_ns;
  record.operation.end_ns = activity.end == 0 ? 0 : static_cast<int64_t>(activity.end) + clock_offset_ns;
  record.operation.name = recorder->Name(MakeText(name));
  record.operation.stream = activity.streamId;
  record.operation.context = activity.contextId;
  record.operation.correlation = activity.correlationId;
  record.operation.detail = detail;
  return record;
}

// False: nobody has said yet whose launch it was.
bool WriteOwned(record::Record& record, Recorder* recorder) {
  const Launch& launch = launches[record.operation.correlation % kLaunches];
  if (launch.correlation != record.operation.correlation || launch.owner == 0) {
    return false;
  }
  record.operation.owner = launch.owner;
  recorder->Write(record);
  return true;
}

// Gives those that wait another chance; `is_last`: they have had it.
void WriteWaiting(bool is_last, Recorder* recorder) {
  size_t kept = 0;
  for (size_t i = 0; i < waiting_count; ++i) {
    if (WriteOwned(waiting[i], recorder)) {
      continue;
    }
    if (is_last) {
      recorder->Write(waiting[i]);
    } else {
      waiting[kept++] = waiting[i];
    }
  }
  waiting_count = kept;
}

void TakeOperation(record::Record record, Recorder* recorder) {
  const record::Operation& operation = record.operation;
  if (operation.start_ns <= 0 || operation.end_ns < operation.start_ns) {
    recorder->CountInvalid(1);
    return;
  }
  delivers.store(true, std::memory_order_relaxed);
  if (!WriteOwned(record, recorder)) {
    if (waiting_count == kMaxWaiting) {
      WriteWaiting(true, recorder);
    }
    waiting[waiting_count++] = record;
  }
}

void TakeActivity(const CUpti_Activity* activity, Recorder* recorder) {
  switch (activity->kind) {
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
    case CUPTI_ACTIVITY_KIND_KERNEL: {
      const auto& kernel = *reinterpret_cast<const CUpti_ActivityKernel8*>(activity);
      const uint64_t node = uint64_t{kernel.graphId} << 32 | (kernel.graphNodeId & 0xffffffff);
      TakeOperation(MakeOperation(record::Kind::kKernel, kernel, kernel.name, node, recorder), recorder);
      break;
    }
    case CUPTI_ACTIVITY_KIND_MEMCPY: {
      const auto& copy = *reinterpret_cast<const CUpti_ActivityMemcpy5*>(activity);
      TakeOperation(MakeOperation(record::Kind::kCopy, copy, CopyName(copy.copyKind), copy.bytes, recorder), recorder);
      break;
    }
    case CUPTI_ACTIVITY_KIND_MEMCPY2: {
      const auto& copy = *reinterpret_cast<const CUpti_ActivityMemcpyPtoP4*>(activity);
      TakeOperation(MakeOperation(record::Kind::kCopy, copy, CopyName(copy.copyKind), copy.bytes, recorder), recorder);
      break;
    }
    case CUPTI_ACTIVITY_KIND_MEMSET: {
      const auto& set = *reinterpret_cast<const CUpti_ActivityMemset3*>(activity);
      TakeOperation(MakeOperation(record::Kind::kSet, set, "memset", set.bytes, recorder), recorder);
      break;
    }
    default:
      break;
  }
}

// Calls `take` on each record of a buffer.
template <typename Take>
int64_t ForEachRecord(uint8_t* buffer, size_t size, Take take) {
  CUpti_Activity* activity = nullptr;
  int64_t count = 0;
  while (cupti.next_record(buffer, size, &activity) == CUPTI_SUCCESS && activity != nullptr) {
    take(activity);
    ++count;
  }
  return count;
}

void CUPTIAPI OnBufferRequested(uint8_t** buffer, size_t* size, size_t* max_records) {
  *max_records = 0;
  const std::lock_guard<std::mutex> lock(buffer_mutex);
  void* fresh = nullptr;
  if (free_count > 0) {
    fresh = free_buffers[--free_count];
  } else if (buffer_count < kMaxBuffers && posix_memalign(&fresh, kBufferAlignment, kBufferBytes) == 0) {
    ++buffer_count;
  } else {
    fresh = discarded;
  }
  *buffer = static_cast<uint8_t*>(fresh);
  *size = fresh == discarded ? sizeof(discarded) : kBufferBytes;
}

void CUPTIAPI OnBufferCompleted(CUcontext context, uint32_t stream, uint8_t* buffer, size_t, size_t valid_size) {
  Recorder* recorder = target.load(std::memory_order_acquire);
  if (buffer == nullptr) {
    return;
  }
  const bool is_discarded = reinterpret_cast<char*>(buffer) == discarded;
  if (recorder != nullptr && is_discarded) {
    recorder->CountLost(static_cast<uint64_t>(ForEachRecord(buffer, valid_size, [](const CUpti_Activity*) {})));
  } else if (recorder != nullptr) {
    const std::lock_guard<std::mutex> lock(record_mutex);
    const int64_t start_ns = NowNs();
    // Launches first: CUPTI orders the records of a buffer by when they were written, and a kernel may stand before its
    // launch.
    callback_records += ForEachRecord(buffer, valid_size, [](const CUpti_Activity* activity) {
      const auto& external = *reinterpret_cast<const CUpti_ActivityExternalCorrelation*>(activity);
      if (activity->kind == CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION && external.externalKind == kExternalKind) {
        launches[external.correlationId % kLaunches] = {external.correlationId, external.externalId};
      }
    });
    const size_t waited = waiting_count;
    WriteWaiting(waited > kMaxWaiting / 2, recorder);
    ForEachRecord(buffer, valid_size, [recorder](const CUpti_Activity* activity) { TakeActivity(activity, recorder); });
    callback_ns += NowNs() - start_ns;
  }
  size_t dropped = 0;
  if (recorder != nullptr && cupti.dropped_records(context, stream, &dropped) == CUPTI_SUCCESS) {
    recorder->CountLost(dropped);
  }
  if (!is_discarded) {
    const std::lock_guard<std::mutex> lock(buffer_mutex);
    free_buffers[free_count++] = reinterpret_cast<char*>(buffer);
  }
}

// --- Ranges, and switching on and off
// ------------------------------------------------------------------------------------------------

bool OnRangePush(record::Owner owner) { return cupti.push_external(kExternalKind, owner) == CUPTI_SUCCESS; }

void OnRangePop() {
  uint64_t last;
  cupti.pop_external(kExternalKind, &last);
}

constexpr RangeListener kListener = {OnRangePush, OnRangePop};

void DisableKinds(int count) {
  for (int i = count; i-- > 0;) {
    cupti.disable(kKinds[i]);
  }
  is_enabled = false;
}

bool EnableKinds() {
  for (int i = 0; i < kKindCount; ++i) {
    if (cupti.enable(kKinds[i]) != CUPTI_SUCCESS) {
      DisableKinds(i);
      return false;
    }
  }
  is_enabled = true;
  return true;
}

}  // namespace

bool StartCupti(Recorder* recorder) noexcept {
  if (target.load() != nullptr) {
    return true;
  }
  if (!FindFunctions() || cupti.register_callbacks(OnBufferRequested, OnBufferCompleted) != CUPTI_SUCCESS ||
      !EnableKinds()) {
    return false;
  }
  if (!AlignClocks(recorder)) {
    DisableKinds(kKindCount);
    return false;
  }
  target.store(recorder, std::memory_order_release);
  recorder->set_listener(&kListener);
  return true;
}

const RangeListener* CuptiListener() noexcept { return target.load() == nullptr ? nullptr : &kListener; }

void PauseCupti(bool paused) noexcept {
  if (target.load() == nullptr || paused != is_enabled) {
    return;
  }
  if (paused) {
    DisableKinds(kKindCount);
  } else {
    EnableKinds();
  }
}

bool CuptiDelivers() noexcept { return delivers.load(std::memory_order_relaxed); }

void PollCupti() noexcept {
  Recorder* recorder = target.load();
  if (recorder == nullptr) {
    return;
  }
  AlignClocks(recorder);
  cupti.flush_all(0);
  const std::lock_guard<std::mutex> lock(record_mutex);
  if (callback_records > 0) {
    recorder->statistics().operation_record_ps = static_cast<uint32_t>(callback_ns * 1000 / callback_records);
  }
}

void FlushCupti() noexcept {
  Recorder* recorder = target.load();
  if (recorder == nullptr) {
    return;
  }
  cupti.flush_all(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  const std::lock_guard<std::mutex> lock(record_mutex);
  WriteWaiting(true, recorder);
}

void StopCupti() noexcept {
  Recorder* recorder = target.load();
  if (recorder == nullptr) {
    return;
  }
  recorder->set_listener(nullptr);
  if (is_enabled) {
    DisableKinds(kKindCount);
  }
  FlushCupti();
  target.store(nullptr, std::memory_order_release);
}

}  // namespace dsocr::agent
