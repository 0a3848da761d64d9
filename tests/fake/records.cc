#include "tests/fake/records.h"

#include <unistd.h>

#include <cstring>

namespace dsocr::fake {
namespace {

#define DSOCR_BEGINS_WITH(later, earlier, last_field) \
  static_assert(offsetof(later, last_field) == offsetof(earlier, last_field) && sizeof(later) >= sizeof(earlier))
DSOCR_BEGINS_WITH(CUpti_ActivityKernel9, CUpti_ActivityKernel8, graphId);
DSOCR_BEGINS_WITH(CUpti_ActivityKernel10, CUpti_ActivityKernel9, graphId);
DSOCR_BEGINS_WITH(CUpti_ActivityMemcpy6, CUpti_ActivityMemcpy5, graphId);
DSOCR_BEGINS_WITH(CUpti_ActivityMemory4, CUpti_ActivityMemory3, isAsync);
DSOCR_BEGINS_WITH(CUpti_ActivitySynchronization2, CUpti_ActivitySynchronization, streamId);
DSOCR_BEGINS_WITH(CUpti_ActivityOverhead3, CUpti_ActivityOverhead2, correlationId);
#undef DSOCR_BEGINS_WITH

constexpr uint32_t kCuda12 = 19;
constexpr uint32_t kCuda128 = 26;
constexpr uint32_t kCuda13 = 130000;
constexpr uint32_t kLatest = 130001;
constexpr size_t kFutureBytes = 40;  // by how much a record of the future is longer
constexpr size_t kUnknownBytes = 64;

size_t KernelBytes(uint32_t version) {
  return version > kLatest    ? sizeof(CUpti_ActivityKernel10) + kFutureBytes
         : version >= kCuda13 ? sizeof(CUpti_ActivityKernel10)
         : version >= kCuda12 ? sizeof(CUpti_ActivityKernel9)
                              : sizeof(CUpti_ActivityKernel8);
}

template <typename Activity>
Activity& Fill(const Execution& execution, CUpti_ActivityKind kind, void* place) {
  auto& activity = *static_cast<Activity*>(place);
  activity.kind = kind;
  activity.start = execution.start;
  activity.end = execution.end;
  activity.deviceId = execution.device;
  activity.contextId = execution.context;
  activity.streamId = execution.stream;
  activity.correlationId = execution.correlation;
  activity.graphId = execution.graph;
  activity.graphNodeId = execution.node;
  return activity;
}

}  // namespace

size_t RecordBytes(CUpti_ActivityKind kind, uint32_t version) {
  switch (kind) {
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
      return KernelBytes(version);
    case CUPTI_ACTIVITY_KIND_MEMCPY:
      return version >= kCuda128 ? sizeof(CUpti_ActivityMemcpy6) : sizeof(CUpti_ActivityMemcpy5);
    case CUPTI_ACTIVITY_KIND_MEMSET:
      return sizeof(CUpti_ActivityMemset4);
    case CUPTI_ACTIVITY_KIND_DRIVER:
    case CUPTI_ACTIVITY_KIND_RUNTIME:
      return sizeof(CUpti_ActivityAPI);
    case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION:
      return sizeof(CUpti_ActivityExternalCorrelation);
    case CUPTI_ACTIVITY_KIND_SYNCHRONIZATION:
      return version >= kCuda128 ? sizeof(CUpti_ActivitySynchronization2) : sizeof(CUpti_ActivitySynchronization);
    case CUPTI_ACTIVITY_KIND_OVERHEAD:
      return version >= kCuda13 ? sizeof(CUpti_ActivityOverhead3) : sizeof(CUpti_ActivityOverhead2);
    case CUPTI_ACTIVITY_KIND_MEMORY2:
      return version >= kCuda128 ? sizeof(CUpti_ActivityMemory4) : sizeof(CUpti_ActivityMemory3);
    default:
      return kind == kUnknownKind ? kUnknownBytes : 0;
  }
}

void WriteOperation(const Operation& operation, const Execution& execution, uint32_t version, void* place) {
  const CUpti_ActivityKind kind = ActivityKindOf(operation.kind);
  std::memset(place, 0, RecordBytes(kind, version));
  switch (operation.kind) {
    case OperationKind::kKernel: {
      auto& kernel = Fill<CUpti_ActivityKernel8>(execution, kind, place);
      kernel.name = operation.name;
      kernel.completed = execution.end;
      kernel.gridX = kernel.gridY = kernel.gridZ = 1;
      kernel.blockX = 128;
      kernel.blockY = kernel.blockZ = 1;
      break;
    }
    case OperationKind::kCopy: {
      auto& copy = Fill<CUpti_ActivityMemcpy5>(execution, kind, place);
      copy.copyKind = operation.copy_kind;
      copy.bytes = operation.bytes;
      break;
    }
    case OperationKind::kSet: {
      auto& set = Fill<CUpti_ActivityMemset4>(execution, kind, place);
      set.bytes = operation.bytes;
      break;
    }
  }
}

void WriteHostRecord(const HostRecord& record, uint32_t version, void* place) {
  std::memset(place, 0, RecordBytes(record.kind, version));
  static_cast<CUpti_Activity*>(place)->kind = record.kind;
  switch (record.kind) {
    case CUPTI_ACTIVITY_KIND_DRIVER:
    case CUPTI_ACTIVITY_KIND_RUNTIME: {
      auto& api = *static_cast<CUpti_ActivityAPI*>(place);
      api.cbid = record.id;
      api.start = record.start;
      api.end = record.end;
      api.processId = static_cast<uint32_t>(getpid());
      api.threadId = record.thread;
      api.correlationId = record.correlation;
      api.returnValue = static_cast<uint32_t>(record.result);
      break;
    }
    case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION: {
      auto& external = *static_cast<CUpti_ActivityExternalCorrelation*>(place);
      external.externalKind = static_cast<CUpti_ExternalCorrelationKind>(record.id);
      external.externalId = record.value;
      external.correlationId = record.correlation;
      break;
    }
    case CUPTI_ACTIVITY_KIND_SYNCHRONIZATION: {
      auto& synchronization = *static_cast<CUpti_ActivitySynchronization*>(place);
      synchronization.type = CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_SYNCHRONIZE;
      synchronization.start = record.start;
      synchronization.end = record.end;
      synchronization.correlationId = record.correlation;
      synchronization.contextId = record.context;
      synchronization.streamId = record.stream;
      break;
    }
    case CUPTI_ACTIVITY_KIND_OVERHEAD: {
      auto& overhead = *static_cast<CUpti_ActivityOverhead2*>(place);
      overhead.overheadKind = CUPTI_ACTIVITY_OVERHEAD_CUPTI_BUFFER_FLUSH;
      overhead.objectKind = CUPTI_ACTIVITY_OBJECT_THREAD;
      overhead.objectId.pt.processId = static_cast<uint32_t>(getpid());
      overhead.objectId.pt.threadId = record.thread;
      overhead.start = record.start;
      overhead.end = record.end;
      break;
    }
    case CUPTI_ACTIVITY_KIND_MEMORY2: {
      auto& memory = *static_cast<CUpti_ActivityMemory3*>(place);
      memory.memoryOperationType = static_cast<CUpti_ActivityMemoryOperationType>(record.id);
      memory.memoryKind = CUPTI_ACTIVITY_MEMORY_KIND_DEVICE;
      memory.correlationId = record.correlation;
      memory.address = record.value;
      memory.bytes = record.bytes;
      memory.timestamp = record.start;
      memory.processId = static_cast<uint32_t>(getpid());
      memory.contextId = record.context;
      break;
    }
    default:  // of an unknown kind, the kind alone
      break;
  }
}

}  // namespace dsocr::fake
