#include "cupti/agent/activity.h"

#include <cupti_activity_deprecated.h>

namespace dsocr::agent {
namespace {

// The oldest layout of each kind that CUPTI 12.0 or later writes; every later one begins like it.
using Kernel = CUpti_ActivityKernel8;
using Copy = CUpti_ActivityMemcpy5;
using PeerCopy = CUpti_ActivityMemcpyPtoP4;
using Set = CUpti_ActivityMemset3;
using Wait = CUpti_ActivitySynchronization;
using Overhead = CUpti_ActivityOverhead;
using Memory = CUpti_ActivityMemory3;
using External = CUpti_ActivityExternalCorrelation;

#define DSOCR_SAME_PLACE(a, b, field) static_assert(offsetof(a, field) == offsetof(b, field))
#define DSOCR_SAME_OPERATION(a, b)       \
  DSOCR_SAME_PLACE(a, b, start);         \
  DSOCR_SAME_PLACE(a, b, end);           \
  DSOCR_SAME_PLACE(a, b, deviceId);      \
  DSOCR_SAME_PLACE(a, b, contextId);     \
  DSOCR_SAME_PLACE(a, b, streamId);      \
  DSOCR_SAME_PLACE(a, b, correlationId); \
  DSOCR_SAME_PLACE(a, b, graphNodeId);   \
  DSOCR_SAME_PLACE(a, b, graphId)
DSOCR_SAME_OPERATION(Kernel, CUpti_ActivityKernel9);
DSOCR_SAME_OPERATION(Kernel, CUpti_ActivityKernel10);
DSOCR_SAME_PLACE(Kernel, CUpti_ActivityKernel9, name);
DSOCR_SAME_PLACE(Kernel, CUpti_ActivityKernel10, name);
DSOCR_SAME_OPERATION(Copy, CUpti_ActivityMemcpy6);
DSOCR_SAME_PLACE(Copy, CUpti_ActivityMemcpy6, copyKind);
DSOCR_SAME_PLACE(Copy, CUpti_ActivityMemcpy6, bytes);
DSOCR_SAME_OPERATION(Set, CUpti_ActivityMemset4);
DSOCR_SAME_PLACE(Set, CUpti_ActivityMemset4, bytes);
DSOCR_SAME_PLACE(Wait, CUpti_ActivitySynchronization2, type);
DSOCR_SAME_PLACE(Wait, CUpti_ActivitySynchronization2, start);
DSOCR_SAME_PLACE(Wait, CUpti_ActivitySynchronization2, end);
DSOCR_SAME_PLACE(Wait, CUpti_ActivitySynchronization2, correlationId);
DSOCR_SAME_PLACE(Wait, CUpti_ActivitySynchronization2, contextId);
DSOCR_SAME_PLACE(Wait, CUpti_ActivitySynchronization2, streamId);
DSOCR_SAME_PLACE(Overhead, CUpti_ActivityOverhead3, overheadKind);
DSOCR_SAME_PLACE(Overhead, CUpti_ActivityOverhead3, start);
DSOCR_SAME_PLACE(Overhead, CUpti_ActivityOverhead3, end);
DSOCR_SAME_PLACE(Memory, CUpti_ActivityMemory4, memoryOperationType);
DSOCR_SAME_PLACE(Memory, CUpti_ActivityMemory4, memoryKind);
DSOCR_SAME_PLACE(Memory, CUpti_ActivityMemory4, address);
DSOCR_SAME_PLACE(Memory, CUpti_ActivityMemory4, bytes);
DSOCR_SAME_PLACE(Memory, CUpti_ActivityMemory4, timestamp);
DSOCR_SAME_PLACE(Memory, CUpti_ActivityMemory4, deviceId);
#undef DSOCR_SAME_OPERATION
#undef DSOCR_SAME_PLACE

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

const char* WaitName(CUpti_ActivitySynchronizationType type) {
  switch (type) {
    case CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_EVENT_SYNCHRONIZE:
      return "event synchronize";
    case CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_SYNCHRONIZE:
      return "stream synchronize";
    case CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_CONTEXT_SYNCHRONIZE:
      return "context synchronize";
    default:
      return nullptr;  // a stream waits for an event: the host does not
  }
}

const char* OverheadName(CUpti_ActivityOverheadKind kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_OVERHEAD_DRIVER_COMPILER:
      return "driver compiler";
    case CUPTI_ACTIVITY_OVERHEAD_CUPTI_BUFFER_FLUSH:
      return "buffer flush";
    case CUPTI_ACTIVITY_OVERHEAD_CUPTI_INSTRUMENTATION:
      return "instrumentation";
    case CUPTI_ACTIVITY_OVERHEAD_CUPTI_RESOURCE:
      return "resource";
    case CUPTI_ACTIVITY_OVERHEAD_RUNTIME_TRIGGERED_MODULE_LOADING:
      return "module loading";
    case CUPTI_ACTIVITY_OVERHEAD_LAZY_FUNCTION_LOADING:
      return "lazy function loading";
    case CUPTI_ACTIVITY_OVERHEAD_COMMAND_BUFFER_FULL:
      return "command buffer full";
    default:
      return "overhead";
  }
}

// False, and `activity` is of kTruncated: these bytes hold no `Layout`.
template <typename Layout>
bool Holds(size_t bytes, Activity* activity) {
  if (bytes < sizeof(Layout)) {
    activity->type = Activity::Type::kTruncated;
  }
  return bytes >= sizeof(Layout);
}

template <typename Layout>
void ReadOperation(const Layout& record, Activity* activity) {
  activity->device = static_cast<uint16_t>(record.deviceId);
  activity->context = record.contextId;
  activity->stream = record.streamId;
  activity->correlation = record.correlationId;
  activity->start_ns = record.start;
  activity->end_ns = record.end;
  activity->graph = record.graphId;
  activity->node = record.graphNodeId;
}

}  // namespace

Activity ReadActivity(const CUpti_Activity* record, size_t bytes) noexcept {
  Activity activity{};
  activity.type = Activity::Type::kOther;
  if (!Holds<CUpti_Activity>(bytes, &activity)) {
    return activity;
  }
  switch (record->kind) {
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
    case CUPTI_ACTIVITY_KIND_KERNEL:
      if (Holds<Kernel>(bytes, &activity)) {
        const auto& kernel = *reinterpret_cast<const Kernel*>(record);
        ReadOperation(kernel, &activity);
        activity.type = Activity::Type::kKernel;
        activity.name = kernel.name;
      }
      break;
    case CUPTI_ACTIVITY_KIND_MEMCPY:
      if (Holds<Copy>(bytes, &activity)) {
        const auto& copy = *reinterpret_cast<const Copy*>(record);
        ReadOperation(copy, &activity);
        activity.type = Activity::Type::kCopy;
        activity.name = CopyName(copy.copyKind);
        activity.detail = copy.bytes;
      }
      break;
    case CUPTI_ACTIVITY_KIND_MEMCPY2:
      if (Holds<PeerCopy>(bytes, &activity)) {
        const auto& copy = *reinterpret_cast<const PeerCopy*>(record);
        ReadOperation(copy, &activity);
        activity.type = Activity::Type::kCopy;
        activity.name = CopyName(copy.copyKind);
        activity.detail = copy.bytes;
      }
      break;
    case CUPTI_ACTIVITY_KIND_MEMSET:
      if (Holds<Set>(bytes, &activity)) {
        const auto& set = *reinterpret_cast<const Set*>(record);
        ReadOperation(set, &activity);
        activity.type = Activity::Type::kSet;
        activity.name = "memset";
        activity.detail = set.bytes;
      }
      break;
    case CUPTI_ACTIVITY_KIND_SYNCHRONIZATION:
      if (Holds<Wait>(bytes, &activity)) {
        const auto& wait = *reinterpret_cast<const Wait*>(record);
        activity.name = WaitName(wait.type);
        activity.type = activity.name == nullptr ? Activity::Type::kOther : Activity::Type::kWait;
        activity.context = wait.contextId;
        activity.stream = wait.streamId;
        activity.correlation = wait.correlationId;
        activity.start_ns = wait.start;
        activity.end_ns = wait.end;
      }
      break;
    case CUPTI_ACTIVITY_KIND_OVERHEAD:
      if (Holds<Overhead>(bytes, &activity)) {
        const auto& overhead = *reinterpret_cast<const Overhead*>(record);
        activity.type = Activity::Type::kOverhead;
        activity.name = OverheadName(overhead.overheadKind);
        activity.start_ns = overhead.start;
        activity.end_ns = overhead.end;
      }
      break;
    case CUPTI_ACTIVITY_KIND_MEMORY2:
      if (Holds<Memory>(bytes, &activity)) {
        const auto& memory = *reinterpret_cast<const Memory*>(record);
        const bool is_on_device = memory.memoryKind == CUPTI_ACTIVITY_MEMORY_KIND_DEVICE ||
                                  memory.memoryKind == CUPTI_ACTIVITY_MEMORY_KIND_MANAGED;
        activity.type = is_on_device ? Activity::Type::kMemory : Activity::Type::kOther;
        activity.device = static_cast<uint16_t>(memory.deviceId);
        activity.correlation = memory.correlationId;
        activity.start_ns = activity.end_ns = memory.timestamp;
        activity.detail = memory.bytes;
        activity.address = memory.address;
        activity.is_release = memory.memoryOperationType == CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_RELEASE;
      }
      break;
    case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION:
      if (Holds<External>(bytes, &activity)) {
        const auto& external = *reinterpret_cast<const External*>(record);
        activity.type = Activity::Type::kExternal;
        activity.subtype = external.externalKind;
        activity.correlation = external.correlationId;
        activity.detail = external.externalId;
      }
      break;
    default:
      if (record->kind <= CUPTI_ACTIVITY_KIND_INVALID || record->kind >= CUPTI_ACTIVITY_KIND_COUNT) {
        activity.type = Activity::Type::kUnknown;
        activity.subtype = static_cast<uint32_t>(record->kind);
      }
      break;
  }
  return activity;
}

}  // namespace dsocr::agent
