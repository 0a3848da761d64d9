#include "tests/fake/fake_cupti.h"

#include <cupti.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <vector>

namespace {

std::mutex mutex;
std::set<int> enabled;
CUpti_BuffersCallbackRequestFunc request_buffer = nullptr;
CUpti_BuffersCallbackCompleteFunc complete_buffer = nullptr;
uint8_t* buffer = nullptr;
size_t buffer_size = 0;
size_t buffer_used = 0;
uint32_t correlation = 0;
uint64_t device_free_ns = 0;  // when the device has done all that was asked of it
thread_local std::map<int, std::vector<uint64_t>> external_ids;

uint64_t WallClockNs() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

size_t SizeOf(CUpti_ActivityKind kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION:
      return sizeof(CUpti_ActivityExternalCorrelation);
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
      return sizeof(CUpti_ActivityKernel10);
    case CUPTI_ACTIVITY_KIND_MEMCPY:
      return sizeof(CUpti_ActivityMemcpy6);
    default:
      return 0;
  }
}

void Complete(std::unique_lock<std::mutex>& lock) {
  if (buffer == nullptr || complete_buffer == nullptr) {
    return;
  }
  uint8_t* const full = buffer;
  const size_t size = buffer_size;
  const size_t used = buffer_used;
  buffer = nullptr;
  lock.unlock();
  complete_buffer(nullptr, 0, full, size, used);
  lock.lock();
}

template <typename Activity>
void Append(const Activity& activity, std::unique_lock<std::mutex>& lock) {
  if (request_buffer == nullptr || enabled.count(activity.kind) == 0) {
    return;
  }
  if (buffer != nullptr && buffer_used + sizeof(activity) > buffer_size) {
    Complete(lock);
  }
  if (buffer == nullptr) {
    size_t max_records = 0;
    request_buffer(&buffer, &buffer_size, &max_records);
    buffer_used = 0;
  }
  std::memcpy(buffer + buffer_used, &activity, sizeof(activity));
  buffer_used += sizeof(activity);
}

void AppendExternal(std::unique_lock<std::mutex>& lock) {
  for (const auto& [kind, ids] : external_ids) {
    if (!ids.empty()) {
      CUpti_ActivityExternalCorrelation record{};
      record.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;
      record.externalKind = static_cast<CUpti_ExternalCorrelationKind>(kind);
      record.externalId = ids.back();
      record.correlationId = correlation;
      Append(record, lock);
    }
  }
}

template <typename Activity>
void Run(Activity& activity, uint64_t duration_ns, uint32_t stream) {
  activity.start = std::max(device_free_ns, WallClockNs());
  activity.end = device_free_ns = activity.start + duration_ns;
  activity.streamId = stream;
  activity.contextId = 1;
  activity.correlationId = correlation;
}

}  // namespace

extern "C" {

void fake_cupti_launch(const char* name, uint64_t duration_ns, uint32_t stream) {
  std::unique_lock<std::mutex> lock(mutex);
  ++correlation;
  AppendExternal(lock);
  CUpti_ActivityKernel10 kernel{};
  kernel.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
  kernel.name = name;
  Run(kernel, duration_ns, stream);
  Append(kernel, lock);
}

void fake_cupti_copy(uint64_t bytes, uint64_t duration_ns, uint32_t stream) {
  std::unique_lock<std::mutex> lock(mutex);
  ++correlation;
  AppendExternal(lock);
  CUpti_ActivityMemcpy6 copy{};
  copy.kind = CUPTI_ACTIVITY_KIND_MEMCPY;
  copy.copyKind = CUPTI_ACTIVITY_MEMCPY_KIND_HTOD;
  copy.bytes = bytes;
  Run(copy, duration_ns, stream);
  Append(copy, lock);
}

int fake_cupti_enabled_kinds() {
  const std::lock_guard<std::mutex> lock(mutex);
  return static_cast<int>(enabled.size());
}

CUptiResult CUPTIAPI cuptiActivityEnable(CUpti_ActivityKind kind) {
  const char* refused = std::getenv("FAKE_CUPTI_REFUSE_KIND");
  if (refused != nullptr && std::atoi(refused) == static_cast<int>(kind)) {
    return CUPTI_ERROR_NOT_COMPATIBLE;
  }
  const std::lock_guard<std::mutex> lock(mutex);
  enabled.insert(kind);
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityDisable(CUpti_ActivityKind kind) {
  const std::lock_guard<std::mutex> lock(mutex);
  enabled.erase(kind);
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityRegisterCallbacks(CUpti_BuffersCallbackRequestFunc request,
                                                    CUpti_BuffersCallbackCompleteFunc complete) {
  const std::lock_guard<std::mutex> lock(mutex);
  request_buffer = request;
  complete_buffer = complete;
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityFlushAll(uint32_t) {
  std::unique_lock<std::mutex> lock(mutex);
  Complete(lock);
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityGetNextRecord(uint8_t* bytes, size_t valid_size, CUpti_Activity** record) {
  uint8_t* next = *record == nullptr ? bytes : reinterpret_cast<uint8_t*>(*record) + SizeOf((*record)->kind);
  if (next >= bytes + valid_size) {
    return CUPTI_ERROR_MAX_LIMIT_REACHED;
  }
  *record = reinterpret_cast<CUpti_Activity*>(next);
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityGetNumDroppedRecords(CUcontext, uint32_t, size_t* dropped) {
  *dropped = 0;
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityPushExternalCorrelationId(CUpti_ExternalCorrelationKind kind, uint64_t id) {
  external_ids[kind].push_back(id);
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityPopExternalCorrelationId(CUpti_ExternalCorrelationKind kind, uint64_t* last) {
  std::vector<uint64_t>& ids = external_ids[kind];
  if (ids.empty()) {
    return CUPTI_ERROR_QUEUE_EMPTY;
  }
  *last = ids.back();
  ids.pop_back();
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiGetTimestamp(uint64_t* timestamp) {
  *timestamp = WallClockNs();
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiGetVersion(uint32_t* version) {
  *version = 130001;
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiGetResultString(CUptiResult, const char** text) {
  *text = "fake";
  return CUPTI_SUCCESS;
}

// What libtorch_cpu.so links and nobody here uses.
CUptiResult CUPTIAPI cuptiActivityEnableCudaEventDeviceTimestamps(uint8_t) { return CUPTI_ERROR_NOT_SUPPORTED; }
CUptiResult CUPTIAPI cuptiActivityEnableDriverApi(CUpti_CallbackId, uint8_t) { return CUPTI_ERROR_NOT_SUPPORTED; }
CUptiResult CUPTIAPI cuptiActivityEnableRuntimeApi(CUpti_CallbackId, uint8_t) { return CUPTI_ERROR_NOT_SUPPORTED; }
CUptiResult CUPTIAPI cuptiActivityRegisterTimestampCallback(CUpti_TimestampCallbackFunc) {
  return CUPTI_ERROR_NOT_SUPPORTED;
}
CUptiResult CUPTIAPI cuptiActivitySetAttribute(CUpti_ActivityAttribute, size_t*, void*) {
  return CUPTI_ERROR_NOT_SUPPORTED;
}
CUptiResult CUPTIAPI cuptiEnableCallback(uint32_t, CUpti_SubscriberHandle, CUpti_CallbackDomain, CUpti_CallbackId) {
  return CUPTI_ERROR_NOT_SUPPORTED;
}
CUptiResult CUPTIAPI cuptiEnableDomain(uint32_t, CUpti_SubscriberHandle, CUpti_CallbackDomain) {
  return CUPTI_ERROR_NOT_SUPPORTED;
}
CUptiResult CUPTIAPI cuptiFinalize() { return CUPTI_SUCCESS; }
CUptiResult CUPTIAPI cuptiSubscribe(CUpti_SubscriberHandle*, CUpti_CallbackFunc, void*) {
  return CUPTI_ERROR_NOT_SUPPORTED;
}
CUptiResult CUPTIAPI cuptiUnsubscribe(CUpti_SubscriberHandle) { return CUPTI_ERROR_NOT_SUPPORTED; }

}  // extern "C"
