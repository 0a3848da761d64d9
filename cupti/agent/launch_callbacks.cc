#include "cupti/agent/launch_callbacks.h"

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <cupti_driver_cbid.h>
#include <cupti_runtime_cbid.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <utility>

#include "cupti/agent/recorder.h"
#include "cupti/agent/spread.h"

namespace dsocr::agent {
namespace {

// One callback in so many is timed.
constexpr uint32_t kCostSample = 64;
// Streams whose row is remembered by their handle.
constexpr int kKnownStreams = 256;

// --- The launch functions of the driver API

enum class Form : uint8_t { kOne, kMany, kGraph };  // operations of a call: one, `count`, those of the graph

constexpr uint16_t kNoOffset = 0xffff;

struct Function {
  CUpti_CallbackId id;
  Form form;
  bool is_per_thread;      // its default stream is the thread's own
  uint16_t stream_offset;  // of the CUstream in its parameters; kNoOffset: it has none, the default stream
  uint16_t count_offset;   // kMany: of the size_t
};

#define DSOCR_ID(name) CUPTI_DRIVER_TRACE_CBID_##name
#define DSOCR_ASYNC(name)                                                                     \
  {DSOCR_ID(name), Form::kOne, false, offsetof(name##_params, hStream), kNoOffset}, {         \
    DSOCR_ID(name##_ptsz), Form::kOne, true, offsetof(name##_ptsz_params, hStream), kNoOffset \
  }
#define DSOCR_SYNC(name)                                          \
  {DSOCR_ID(name), Form::kOne, false, kNoOffset, kNoOffset}, {    \
    DSOCR_ID(name##_ptds), Form::kOne, true, kNoOffset, kNoOffset \
  }
#define DSOCR_BATCH(name)                                                                                   \
  {DSOCR_ID(name), Form::kMany, false, offsetof(name##_params, hStream), offsetof(name##_params, count)}, { \
    DSOCR_ID(name##_ptsz), Form::kMany, true, offsetof(name##_ptsz_params, hStream),                        \
        offsetof(name##_ptsz_params, count)                                                                 \
  }

constexpr Function kFunctions[] = {
    DSOCR_ASYNC(cuLaunchKernel),
    DSOCR_ASYNC(cuLaunchCooperativeKernel),
    // The stream is inside the configuration that the first parameter points to.
    {DSOCR_ID(cuLaunchKernelEx), Form::kOne, false, kNoOffset, kNoOffset},
    {DSOCR_ID(cuLaunchKernelEx_ptsz), Form::kOne, true, kNoOffset, kNoOffset},
    {DSOCR_ID(cuGraphLaunch), Form::kGraph, false, offsetof(cuGraphLaunch_params, hStream), kNoOffset},
    {DSOCR_ID(cuGraphLaunch_ptsz), Form::kGraph, true, offsetof(cuGraphLaunch_ptsz_params, hStream), kNoOffset},
    DSOCR_ASYNC(cuMemcpyAsync),
    DSOCR_ASYNC(cuMemcpyHtoDAsync_v2),
    DSOCR_ASYNC(cuMemcpyDtoHAsync_v2),
    DSOCR_ASYNC(cuMemcpyDtoDAsync_v2),
    DSOCR_ASYNC(cuMemcpyHtoAAsync_v2),
    DSOCR_ASYNC(cuMemcpyAtoHAsync_v2),
    DSOCR_ASYNC(cuMemcpy2DAsync_v2),
    DSOCR_ASYNC(cuMemcpy3DAsync_v2),
    DSOCR_ASYNC(cuMemcpyPeerAsync),
    DSOCR_ASYNC(cuMemcpy3DPeerAsync),
    DSOCR_BATCH(cuMemcpyBatchAsync),
    DSOCR_BATCH(cuMemcpyBatchAsync_v2),
    DSOCR_SYNC(cuMemcpy),
    DSOCR_SYNC(cuMemcpyHtoD_v2),
    DSOCR_SYNC(cuMemcpyDtoH_v2),
    DSOCR_SYNC(cuMemcpyDtoD_v2),
    DSOCR_SYNC(cuMemcpyDtoA_v2),
    DSOCR_SYNC(cuMemcpyAtoD_v2),
    DSOCR_SYNC(cuMemcpyHtoA_v2),
    DSOCR_SYNC(cuMemcpyAtoH_v2),
    DSOCR_SYNC(cuMemcpyAtoA_v2),
    DSOCR_SYNC(cuMemcpy2D_v2),
    DSOCR_SYNC(cuMemcpy2DUnaligned_v2),
    DSOCR_SYNC(cuMemcpy3D_v2),
    DSOCR_SYNC(cuMemcpyPeer),
    DSOCR_SYNC(cuMemcpy3DPeer),
    DSOCR_ASYNC(cuMemsetD8Async),
    DSOCR_ASYNC(cuMemsetD16Async),
    DSOCR_ASYNC(cuMemsetD32Async),
    DSOCR_ASYNC(cuMemsetD2D8Async),
    DSOCR_ASYNC(cuMemsetD2D16Async),
    DSOCR_ASYNC(cuMemsetD2D32Async),
    DSOCR_SYNC(cuMemsetD8_v2),
    DSOCR_SYNC(cuMemsetD16_v2),
    DSOCR_SYNC(cuMemsetD32_v2),
    DSOCR_SYNC(cuMemsetD2D8_v2),
    DSOCR_SYNC(cuMemsetD2D16_v2),
    DSOCR_SYNC(cuMemsetD2D32_v2),
};

#undef DSOCR_BATCH
#undef DSOCR_SYNC
#undef DSOCR_ASYNC
#undef DSOCR_ID

// Their callers in the runtime API. Each calls one of the above; where CUPTI does not show that call, the runtime's
// counts in its place.
constexpr CUpti_CallbackId kRuntimeFunctions[] = {
    CUPTI_RUNTIME_TRACE_CBID_cudaLaunchKernel_v7000,
    CUPTI_RUNTIME_TRACE_CBID_cudaLaunchKernel_ptsz_v7000,
    CUPTI_RUNTIME_TRACE_CBID_cudaLaunchKernelExC_v11060,
    CUPTI_RUNTIME_TRACE_CBID_cudaLaunchKernelExC_ptsz_v11060,
    CUPTI_RUNTIME_TRACE_CBID___cudaLaunchKernel_v13000,
    CUPTI_RUNTIME_TRACE_CBID___cudaLaunchKernel_ptsz_v13000,
    CUPTI_RUNTIME_TRACE_CBID_cudaLaunchCooperativeKernel_v9000,
    CUPTI_RUNTIME_TRACE_CBID_cudaLaunchCooperativeKernel_ptsz_v9000,
    CUPTI_RUNTIME_TRACE_CBID_cudaMemcpy_v3020,
    CUPTI_RUNTIME_TRACE_CBID_cudaMemcpy_ptds_v7000,
    CUPTI_RUNTIME_TRACE_CBID_cudaMemcpyAsync_v3020,
    CUPTI_RUNTIME_TRACE_CBID_cudaMemcpyAsync_ptsz_v7000,
    CUPTI_RUNTIME_TRACE_CBID_cudaMemcpy2DAsync_v3020,
    CUPTI_RUNTIME_TRACE_CBID_cudaMemcpy2DAsync_ptsz_v7000,
    CUPTI_RUNTIME_TRACE_CBID_cudaMemcpyPeerAsync_v4000,
    CUPTI_RUNTIME_TRACE_CBID_cudaMemset_v3020,
    CUPTI_RUNTIME_TRACE_CBID_cudaMemset_ptds_v7000,
    CUPTI_RUNTIME_TRACE_CBID_cudaMemsetAsync_v3020,
    CUPTI_RUNTIME_TRACE_CBID_cudaMemsetAsync_ptsz_v7000,
    CUPTI_RUNTIME_TRACE_CBID_cudaGraphLaunch_v10000,
    CUPTI_RUNTIME_TRACE_CBID_cudaGraphLaunch_ptsz_v10000,
};

constexpr CUpti_CallbackId kWaits[] = {CUPTI_CBID_SYNCHRONIZE_STREAM_SYNCHRONIZED,
                                       CUPTI_CBID_SYNCHRONIZE_CONTEXT_SYNCHRONIZED};

constexpr CUpti_CallbackId kResources[] = {
    CUPTI_CBID_RESOURCE_STREAM_DESTROY_STARTING, CUPTI_CBID_RESOURCE_GRAPHNODE_CREATED,
    CUPTI_CBID_RESOURCE_GRAPHNODE_CLONED,        CUPTI_CBID_RESOURCE_GRAPHNODE_DESTROY_STARTING,
    CUPTI_CBID_RESOURCE_GRAPHEXEC_CREATED,       CUPTI_CBID_RESOURCE_GRAPHEXEC_DESTROY_STARTING,
    CUPTI_CBID_RESOURCE_GRAPH_DESTROY_STARTING};

constexpr size_t kFunctionPlaces = 1024;
static_assert(CUPTI_DRIVER_TRACE_CBID_SIZE <= kFunctionPlaces);

// kFunctions by their callback id: index + 1, 0 for none.
constexpr auto kFunctionOf = [] {
  std::array<uint8_t, kFunctionPlaces> places{};
  for (size_t i = 0; i < std::size(kFunctions); ++i) {
    places[kFunctions[i].id] = static_cast<uint8_t>(i + 1);
  }
  return places;
}();

const CuptiLibrary* cupti = nullptr;
CUpti_SubscriberHandle subscriber = nullptr;

template <typename Value>
Value At(const void* parameters, size_t offset) {
  Value value;
  std::memcpy(&value, static_cast<const char*>(parameters) + offset, sizeof(value));
  return value;
}

// --- Streams

struct KnownStream {
  std::atomic<uint64_t> key;  // of handle, context and kind of default stream; 0: free
  std::atomic<uint16_t> row;
};
KnownStream known_streams[kKnownStreams];

uint64_t StreamKey(CUstream stream, uint32_t context, bool is_per_thread) {
  const uint64_t handle = reinterpret_cast<uint64_t>(stream) * 2 + (is_per_thread ? 1 : 0);
  return Spread(handle ^ uint64_t{context} << 48) | 1;
}

uint16_t RowOf(LaunchBooks* books, const CUpti_CallbackData& call, CUstream stream, bool is_per_thread) {
  const uint64_t key = StreamKey(stream, call.contextUid, is_per_thread);
  KnownStream& known = known_streams[key >> 56];
  if (known.key.load(std::memory_order_acquire) == key) {
    return known.row.load(std::memory_order_relaxed);
  }
  uint32_t id = 0;
  uint32_t device = 0;
  if (cupti->stream_id == nullptr || cupti->device_id == nullptr ||
      cupti->stream_id(call.context, stream, is_per_thread, &id) != CUPTI_SUCCESS ||
      cupti->device_id(call.context, &device) != CUPTI_SUCCESS) {
    return StreamLedger::kNoStream;
  }
  const uint16_t row = books->ledger.Row(static_cast<uint16_t>(device), call.contextUid, id);
  known.key.store(0, std::memory_order_relaxed);
  known.row.store(row, std::memory_order_relaxed);
  known.key.store(key, std::memory_order_release);
  return row;
}

void ForgetStreams() {
  for (KnownStream& known : known_streams) {
    known.key.store(0, std::memory_order_relaxed);
  }
}

// --- Launches

void Count(LaunchBooks* books, ThreadState::LaunchCall& call) {
  books->calls.fetch_add(1, std::memory_order_relaxed);
  if (call.operations > 0) {
    books->ledger.AddLaunched(call.row, call.operations);
  }
}

void OnCallEnter(LaunchBooks* books, ThreadState& thread, bool is_driver, CUpti_CallbackId id,
                 const CUpti_CallbackData& data) {
  ThreadState::LaunchCall& call = thread.launch;
  Launch launch{Recorder::CurrentOwner(thread), NowNs(), StreamLedger::kNoStream, true, false, 1};
  if (thread.unit.is_skipped) {
    launch.is_counted = false;
    launch.is_skipped = true;
    books->launches.Put(data.correlationId, launch);
    return;
  }
  if (!is_driver) {
    call = {};
    call.runtime_correlation = data.correlationId;
    call.operations = 1;
    books->launches.Put(data.correlationId, launch);
    return;
  }
  const Function& function = kFunctions[kFunctionOf[id] - 1];
  if (call.runtime_correlation == 0) {
    call = {};
  }
  const void* parameters = data.functionParams;
  CUstream stream = nullptr;
  if (id == CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx || id == CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx_ptsz) {
    const auto* config = At<const CUlaunchConfig*>(parameters, offsetof(cuLaunchKernelEx_params, config));
    stream = config == nullptr ? nullptr : config->hStream;
  } else if (function.stream_offset != kNoOffset) {
    stream = At<CUstream>(parameters, function.stream_offset);
  }
  launch.row = RowOf(books, data, stream, function.is_per_thread);
  if (function.form == Form::kMany) {
    launch.operations = static_cast<uint32_t>(std::min<size_t>(At<size_t>(parameters, function.count_offset), 1 << 20));
  } else if (function.form == Form::kGraph) {
    static_assert(offsetof(cuGraphLaunch_params, hGraph) == offsetof(cuGraphLaunch_ptsz_params, hGraphExec));
    const auto exec = At<CUgraphExec>(parameters, offsetof(cuGraphLaunch_params, hGraph));
    uint32_t exec_id = 0;
    GraphTable::Exec known{};
    if (cupti->graph_exec_id != nullptr && cupti->graph_exec_id(exec, &exec_id) == CUPTI_SUCCESS) {
      known = books->graphs.FindExec(exec_id);
    }
    launch.operations = known.operations;
    launch.is_counted = known.operations > 0;
    record::Record record{};
    record.kind = record::Kind::kGraphLaunch;
    record.thread = thread.number;
    record.graph_launch = {launch.time_ns, launch.owner, data.correlationId, known.graph, known.operations, 0};
    thread.recorder->Write(record);
  }
  call.row = launch.row;
  call.operations = launch.operations;
  call.is_in_driver = true;
  launch.operations += call.earlier_operations;  // one call of the runtime may make several of the driver
  books->launches.Put(data.correlationId, launch);
  if (call.runtime_correlation != 0 && call.runtime_correlation != data.correlationId) {
    books->launches.Put(call.runtime_correlation, launch);
  }
  books->last_launch_ns.store(launch.time_ns, std::memory_order_relaxed);
}

void OnCallExit(LaunchBooks* books, ThreadState& thread, bool is_driver, const CUpti_CallbackData& data) {
  ThreadState::LaunchCall& call = thread.launch;
  if (thread.unit.is_skipped) {
    call = {};
    return;
  }
  // Of either API an int, of which 0 is success.
  const bool has_failed = data.functionReturnValue != nullptr && At<int>(data.functionReturnValue, 0) != 0;
  if (is_driver && call.is_in_driver) {
    call.is_in_driver = false;
    call.is_settled = true;
    if (!has_failed && !call.is_captured) {
      Count(books, call);
      call.earlier_operations += call.operations;
    }
  } else if (!is_driver && call.runtime_correlation != 0 && !call.is_settled && !has_failed && !call.is_captured) {
    Count(books, call);
  }
  if (!is_driver || call.runtime_correlation == 0) {
    call = {};
  }
}

// --- Graphs

void TellGone(ThreadState& thread, uint32_t graph) {
  if (graph != 0) {
    record::Record record{};
    record.kind = record::Kind::kGraphGone;
    record.thread = thread.number;
    record.graph_gone = {graph, 0};
    thread.recorder->Write(record);
  }
}

void OnResource(LaunchBooks* books, CUpti_CallbackId id, const CUpti_ResourceData& resource) {
  if (id == CUPTI_CBID_RESOURCE_STREAM_DESTROY_STARTING) {
    ForgetStreams();  // its handle may come again as another stream
    return;
  }
  const auto* data = static_cast<const CUpti_GraphData*>(resource.resourceDescriptor);
  const Hook thread;
  if (data == nullptr || !thread || cupti->graph_id == nullptr || cupti->graph_exec_id == nullptr ||
      cupti->graph_node_id == nullptr) {
    return;
  }
  uint32_t graph = 0;
  uint32_t exec = 0;
  uint64_t node = 0;
  uint64_t original = 0;
  if (data->graph != nullptr) {
    cupti->graph_id(data->graph, &graph);
  }
  const bool is_operation = data->nodeType == CU_GRAPH_NODE_TYPE_KERNEL ||
                            data->nodeType == CU_GRAPH_NODE_TYPE_MEMCPY || data->nodeType == CU_GRAPH_NODE_TYPE_MEMSET;
  record::Owner owner = 0;
  switch (id) {
    case CUPTI_CBID_RESOURCE_GRAPHNODE_CREATED:
      cupti->graph_node_id(data->node, &node);
      owner = books->graphs.AddNode(graph, node, is_operation, Recorder::CurrentOwner(*thread));
      thread->launch.is_captured = true;
      break;
    case CUPTI_CBID_RESOURCE_GRAPHNODE_CLONED:
      cupti->graph_node_id(data->node, &node);
      cupti->graph_node_id(data->originalNode, &original);
      owner = books->graphs.CloneNode(graph, node, is_operation, original);
      thread->cloned_graph = graph;
      break;
    case CUPTI_CBID_RESOURCE_GRAPHNODE_DESTROY_STARTING:
      cupti->graph_node_id(data->node, &node);
      books->graphs.RemoveNode(node);
      return;
    case CUPTI_CBID_RESOURCE_GRAPHEXEC_CREATED:
      cupti->graph_exec_id(data->graphExec, &exec);
      books->graphs.BindExec(exec, graph, std::exchange(thread->cloned_graph, 0));
      return;
    case CUPTI_CBID_RESOURCE_GRAPHEXEC_DESTROY_STARTING:
      cupti->graph_exec_id(data->graphExec, &exec);
      TellGone(*thread, books->graphs.RemoveExec(exec));
      return;
    default:
      books->graphs.RemoveGraph(graph);
      TellGone(*thread, graph);
      return;
  }
  if (is_operation) {
    record::Record record{};
    record.kind = record::Kind::kGraphNode;
    record.thread = thread->number;
    record.graph_node = {node, owner, graph, 0};
    thread->recorder->Write(record);
  }
}

void Dispatch(LaunchBooks* books, CUpti_CallbackDomain domain, CUpti_CallbackId id, const void* data) {
  if (domain == CUPTI_CB_DOMAIN_RESOURCE) {
    OnResource(books, id, *static_cast<const CUpti_ResourceData*>(data));
    return;
  }
  if (domain == CUPTI_CB_DOMAIN_SYNCHRONIZE) {
    books->last_wait_ns.store(NowNs(), std::memory_order_relaxed);
    return;
  }
  const bool is_driver = domain == CUPTI_CB_DOMAIN_DRIVER_API;
  if (is_driver && (id >= kFunctionPlaces || kFunctionOf[id] == 0)) {
    return;
  }
  if (!books->has_kinds.load(std::memory_order_relaxed)) {
    return;
  }
  const Hook thread;
  if (!thread || thread->recorder->mode() != Recorder::Mode::kOn) {
    return;
  }
  const auto& call = *static_cast<const CUpti_CallbackData*>(data);
  if (call.callbackSite == CUPTI_API_ENTER) {
    OnCallEnter(books, *thread, is_driver, id, call);
  } else {
    OnCallExit(books, *thread, is_driver, call);
  }
}

void CUPTIAPI OnCallback(void* user, CUpti_CallbackDomain domain, CUpti_CallbackId id, const void* data) {
  auto* books = static_cast<LaunchBooks*>(user);
  const RecorderUse use;  // of the books, which begin anew with a recording
  if (data == nullptr || !use.is_safe() || !books->is_on.load(std::memory_order_relaxed)) {
    return;
  }
  static constinit std::atomic<uint32_t> count{0};
  if (count.fetch_add(1, std::memory_order_relaxed) % kCostSample != 0) {
    Dispatch(books, domain, id, data);
    return;
  }
  const int64_t before_ns = NowNs();
  const int64_t start_ns = NowNs();
  Dispatch(books, domain, id, data);
  const int64_t spent_ns = NowNs() - start_ns - (start_ns - before_ns);  // without what looking at the clock takes
  books->callback_ns.fetch_add(spent_ns > 0 ? static_cast<uint64_t>(spent_ns) * kCostSample : 0,
                               std::memory_order_relaxed);
}

bool EnableCallbacks(const CuptiLibrary& library) {
  const auto enable = [&library](CUpti_CallbackDomain domain, CUpti_CallbackId id) {
    return library.enable_callback(1, subscriber, domain, id) == CUPTI_SUCCESS;
  };
  // A function or resource that this version does not have is none that could be called: only the oldest must be there.
  bool hears_launches = false;
  for (const Function& function : kFunctions) {
    const bool is_enabled = enable(CUPTI_CB_DOMAIN_DRIVER_API, function.id);
    hears_launches = hears_launches || (is_enabled && function.id == CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel);
  }
  for (const CUpti_CallbackId id : kRuntimeFunctions) {
    enable(CUPTI_CB_DOMAIN_RUNTIME_API, id);
  }
  for (const CUpti_CallbackId id : kResources) {
    enable(CUPTI_CB_DOMAIN_RESOURCE, id);
  }
  for (const CUpti_CallbackId id : kWaits) {
    enable(CUPTI_CB_DOMAIN_SYNCHRONIZE, id);
  }
  return hears_launches;
}

}  // namespace

bool Subscribe(const CuptiLibrary& library, LaunchBooks* books, char (&holder)[kHolderBytes]) noexcept {
  holder[0] = '\0';
  if (library.enable_callback == nullptr || library.unsubscribe == nullptr) {
    return false;
  }
  cupti = &library;
  CUptiResult result = CUPTI_ERROR_NOT_SUPPORTED;
  if (library.subscribe_v2 != nullptr) {
    CUpti_SubscriberParams parameters{};
    parameters.structSize = CUpti_SubscriberParams_STRUCT_SIZE;
    parameters.subscriberName = "dsocr";
    parameters.oldSubscriberName = holder;
    parameters.oldSubscriberSize = sizeof(holder);
    result = library.subscribe_v2(&subscriber, OnCallback, books, &parameters);
    holder[sizeof(holder) - 1] = '\0';
  }
  if (result != CUPTI_SUCCESS && result != CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED &&
      library.subscribe != nullptr) {
    result = library.subscribe(&subscriber, OnCallback, books);
  }
  if (result != CUPTI_SUCCESS) {
    return false;
  }
  ForgetStreams();
  books->is_on.store(true);
  if (!EnableCallbacks(library)) {
    books->is_on.store(false);
    library.unsubscribe(subscriber);
    return false;
  }
  return true;
}

void Unsubscribe(const CuptiLibrary& library) noexcept { library.unsubscribe(subscriber); }

bool EnableLaunchRecords(const CuptiLibrary& library, bool enabled) noexcept {
  if (library.enable_driver_api == nullptr) {
    return false;
  }
  bool has_enabled = false;
  for (const Function& function : kFunctions) {
    const bool done = library.enable_driver_api(function.id, enabled) == CUPTI_SUCCESS;
    has_enabled = has_enabled || (done && function.id == CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel);
  }
  return has_enabled;
}

}  // namespace dsocr::agent
