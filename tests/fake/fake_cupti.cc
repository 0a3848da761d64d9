// The cupti* functions over the simulated device: what libtorch_cpu links, and what the agent looks up. Others are
// missing.
#include <cupti.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "tests/fake/device.h"

namespace {

using namespace dsocr::fake;

constexpr uint32_t kDefaultStream = 7;  // the id that CUDA gives the null stream
int subscriber_handle;                  // its address is the handle

bool IsKind(CUpti_ActivityKind kind) { return kind > CUPTI_ACTIVITY_KIND_INVALID && kind < CUPTI_ACTIVITY_KIND_COUNT; }

bool IsSubscriber(CUpti_SubscriberHandle handle) {
  return reinterpret_cast<int*>(handle) == &subscriber_handle && ProcessDevice().subscriber.is_subscribed();
}

bool IsDomain(CUpti_CallbackDomain domain) { return domain > CUPTI_CB_DOMAIN_INVALID && domain < CUPTI_CB_DOMAIN_SIZE; }

CUptiResult RecordApi(CUpti_CallbackDomain domain, CUpti_CallbackId id, uint8_t enable) {
  if (id >= Subscriber::kIds) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  ProcessDevice().api_records[domain][id] = enable != 0;
  return CUPTI_SUCCESS;
}

// An API kind as a whole overrides what was said of its functions before.
void ForgetApiRecords(CUpti_ActivityKind kind) {
  const CUpti_CallbackDomain domain = kind == CUPTI_ACTIVITY_KIND_DRIVER    ? CUPTI_CB_DOMAIN_DRIVER_API
                                      : kind == CUPTI_ACTIVITY_KIND_RUNTIME ? CUPTI_CB_DOMAIN_RUNTIME_API
                                                                            : CUPTI_CB_DOMAIN_INVALID;
  auto& ids = ProcessDevice().api_records[domain];
  std::fill(std::begin(ids), std::end(ids), false);
}

}  // namespace

extern "C" {

CUptiResult CUPTIAPI cuptiActivityEnable(CUpti_ActivityKind kind) {
  if (!IsKind(kind)) {
    return CUPTI_ERROR_INVALID_KIND;
  }
  if (kind == ProcessFaults().refused_kind()) {
    return CUPTI_ERROR_NOT_COMPATIBLE;
  }
  ForgetApiRecords(kind);
  ProcessActivity().Enable(kind, true);
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityDisable(CUpti_ActivityKind kind) {
  if (!IsKind(kind)) {
    return CUPTI_ERROR_INVALID_KIND;
  }
  ForgetApiRecords(kind);
  ProcessActivity().Enable(kind, false);
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityEnableDriverApi(CUpti_CallbackId id, uint8_t enable) {
  return RecordApi(CUPTI_CB_DOMAIN_DRIVER_API, id, enable);
}

CUptiResult CUPTIAPI cuptiActivityEnableRuntimeApi(CUpti_CallbackId id, uint8_t enable) {
  return RecordApi(CUPTI_CB_DOMAIN_RUNTIME_API, id, enable);
}

CUptiResult CUPTIAPI cuptiActivityRegisterCallbacks(CUpti_BuffersCallbackRequestFunc request,
                                                    CUpti_BuffersCallbackCompleteFunc complete) {
  if (request == nullptr || complete == nullptr) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  ProcessActivity().Register(request, complete);
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityFlushAll(uint32_t flag) {
  return ProcessActivity().Flush((flag & CUPTI_ACTIVITY_FLAG_FLUSH_FORCED) != 0);
}

CUptiResult CUPTIAPI cuptiActivityGetNextRecord(uint8_t* buffer, size_t valid_bytes, CUpti_Activity** record) {
  if (buffer == nullptr || record == nullptr) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  const uint32_t version = ProcessFaults().version();
  uint8_t* next = buffer;
  if (*record != nullptr) {
    next = reinterpret_cast<uint8_t*>(*record) + RecordBytes((*record)->kind, version);
  }
  const auto left = static_cast<size_t>(buffer + valid_bytes - next);
  if (left == 0) {
    return CUPTI_ERROR_MAX_LIMIT_REACHED;
  }
  auto* const activity = reinterpret_cast<CUpti_Activity*>(next);
  const size_t bytes = left < sizeof(CUpti_Activity) ? 0 : RecordBytes(activity->kind, version);
  if (bytes == 0 || bytes > left) {
    return CUPTI_ERROR_INVALID_KIND;
  }
  *record = activity;
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityGetNumDroppedRecords(CUcontext, uint32_t, size_t* dropped) {
  if (dropped == nullptr) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  *dropped = ProcessActivity().TakeDropped();
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityPushExternalCorrelationId(CUpti_ExternalCorrelationKind kind, uint64_t id) {
  if (kind <= CUPTI_EXTERNAL_CORRELATION_KIND_INVALID || kind >= CUPTI_EXTERNAL_CORRELATION_KIND_SIZE) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  ExternalIds& external = ThreadExternalIds();
  if (external.depth[kind] < ExternalIds::kDepth) {
    external.ids[kind][external.depth[kind]] = id;
  }
  ++external.depth[kind];
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityPopExternalCorrelationId(CUpti_ExternalCorrelationKind kind, uint64_t* last) {
  if (kind <= CUPTI_EXTERNAL_CORRELATION_KIND_INVALID || kind >= CUPTI_EXTERNAL_CORRELATION_KIND_SIZE) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  ExternalIds& external = ThreadExternalIds();
  if (external.depth[kind] == 0) {
    return CUPTI_ERROR_QUEUE_EMPTY;
  }
  --external.depth[kind];
  if (last != nullptr) {
    *last = external.ids[kind][std::min(external.depth[kind], ExternalIds::kDepth - 1)];
  }
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiGetTimestamp(uint64_t* timestamp) {
  if (timestamp == nullptr) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  *timestamp = CuptiTimeNs();
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiGetVersion(uint32_t* version) {
  if (version == nullptr) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  *version = ProcessFaults().version();
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiGetResultString(CUptiResult result, const char** text) {
  static constexpr struct {
    CUptiResult result;
    const char* text;
  } kTexts[] = {{CUPTI_SUCCESS, "CUPTI_SUCCESS"},
                {CUPTI_ERROR_INVALID_PARAMETER, "CUPTI_ERROR_INVALID_PARAMETER"},
                {CUPTI_ERROR_NOT_COMPATIBLE, "CUPTI_ERROR_NOT_COMPATIBLE"},
                {CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED, "CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED"}};
  const auto* const found = std::find_if(std::begin(kTexts), std::end(kTexts),
                                         [result](const auto& entry) { return entry.result == result; });
  *text = found == std::end(kTexts) ? "CUPTI_ERROR_UNKNOWN" : found->text;
  return CUPTI_SUCCESS;
}

// --- Callbacks
// -----------------------------------------------------------------------------------------------------------------

CUptiResult CUPTIAPI cuptiSubscribe_v2(CUpti_SubscriberHandle* handle, CUpti_CallbackFunc callback, void* userdata,
                                       CUpti_SubscriberParams* params) {
  static std::string name;
  if (handle == nullptr || (params != nullptr && params->structSize != CUpti_SubscriberParams_STRUCT_SIZE &&
                            params->structSize != sizeof(CUpti_SubscriberParams))) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  const std::string other = ProcessFaults().other_subscriber();
  if (!other.empty() || !ProcessDevice().subscriber.Subscribe(callback, userdata)) {
    if (params != nullptr && params->oldSubscriberName != nullptr && params->oldSubscriberSize > 0) {
      const std::string old = "CUPTI for " + (other.empty() ? name : other);
      params->oldSubscriberName[old.copy(params->oldSubscriberName, params->oldSubscriberSize - 1)] = '\0';
    }
    return CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED;
  }
  name = params != nullptr && params->subscriberName != nullptr ? params->subscriberName : "";
  *handle = reinterpret_cast<CUpti_SubscriberHandle>(&subscriber_handle);
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiSubscribe(CUpti_SubscriberHandle* handle, CUpti_CallbackFunc callback, void* userdata) {
  return cuptiSubscribe_v2(handle, callback, userdata, nullptr);
}

CUptiResult CUPTIAPI cuptiUnsubscribe(CUpti_SubscriberHandle handle) {
  if (!IsSubscriber(handle)) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  ProcessDevice().subscriber.Unsubscribe();
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiEnableCallback(uint32_t enable, CUpti_SubscriberHandle handle, CUpti_CallbackDomain domain,
                                         CUpti_CallbackId id) {
  if (!IsSubscriber(handle) || !IsDomain(domain) || id == 0 || id >= Subscriber::kIds) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  ProcessDevice().subscriber.Enable(domain, id, enable != 0);
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiEnableDomain(uint32_t enable, CUpti_SubscriberHandle handle, CUpti_CallbackDomain domain) {
  if (!IsSubscriber(handle) || !IsDomain(domain)) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  ProcessDevice().subscriber.EnableDomain(domain, enable != 0);
  return CUPTI_SUCCESS;
}

// --- Ids of handles
// ------------------------------------------------------------------------------------------------------------

CUptiResult CUPTIAPI cuptiGetStreamIdEx(CUcontext context, CUstream stream, uint8_t, uint32_t* id) {
  if (id == nullptr) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  if (stream == nullptr || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD) {
    *id = kDefaultStream;
    return CUPTI_SUCCESS;
  }
  const auto* const known = reinterpret_cast<const Stream*>(stream);
  if (context != nullptr && reinterpret_cast<const Context*>(context) != known->context) {
    return CUPTI_ERROR_INVALID_STREAM;
  }
  *id = known->id;
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiGetContextId(CUcontext context, uint32_t* id) {
  if (context == nullptr || id == nullptr) {
    return context == nullptr ? CUPTI_ERROR_INVALID_CONTEXT : CUPTI_ERROR_INVALID_PARAMETER;
  }
  *id = reinterpret_cast<const Context*>(context)->id;
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiGetDeviceId(CUcontext context, uint32_t* id) {
  if (id == nullptr) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  *id = context == nullptr ? 0 : reinterpret_cast<const Context*>(context)->device;
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiGetGraphNodeId(CUgraphNode node, uint64_t* id) {
  if (node == nullptr || id == nullptr) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  *id = reinterpret_cast<const Node*>(node)->id;
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiGetGraphId(CUgraph graph, uint32_t* id) {
  if (graph == nullptr || id == nullptr) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  *id = reinterpret_cast<const Graph*>(graph)->id;
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiGetGraphExecId(CUgraphExec exec, uint32_t* id) {
  if (exec == nullptr || id == nullptr) {
    return CUPTI_ERROR_INVALID_PARAMETER;
  }
  *id = reinterpret_cast<const Exec*>(exec)->clone.id;
  return CUPTI_SUCCESS;
}

// --- The rest
// ------------------------------------------------------------------------------------------------------------------

// Detaches: nothing is recorded or told any more, and the next enable begins anew.
CUptiResult CUPTIAPI cuptiFinalize() {
  for (int kind = 1; kind < CUPTI_ACTIVITY_KIND_COUNT; ++kind) {
    cuptiActivityDisable(static_cast<CUpti_ActivityKind>(kind));
  }
  ProcessDevice().subscriber.Unsubscribe();
  return CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivitySetAttribute(CUpti_ActivityAttribute, size_t* size, void* value) {
  return size == nullptr || value == nullptr ? CUPTI_ERROR_INVALID_PARAMETER : CUPTI_SUCCESS;
}

CUptiResult CUPTIAPI cuptiActivityFlushPeriod(uint32_t) { return CUPTI_SUCCESS; }

// What libtorch_cpu.so links and nobody here uses.
CUptiResult CUPTIAPI cuptiActivityEnableCudaEventDeviceTimestamps(uint8_t) { return CUPTI_ERROR_NOT_SUPPORTED; }
CUptiResult CUPTIAPI cuptiActivityRegisterTimestampCallback(CUpti_TimestampCallbackFunc) {
  return CUPTI_ERROR_NOT_SUPPORTED;
}

}  // extern "C"
