#include "tests/fake/device.h"

#include <dlfcn.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <tuple>
#include <utility>

namespace dsocr::fake {

Device& ProcessDevice() {
  static Device* const device = new Device;
  return *device;
}

ExternalIds& ThreadExternalIds() {
  static thread_local ExternalIds ids{};
  return ids;
}

bool Subscriber::Subscribe(CUpti_CallbackFunc callback, void* userdata) {
  if (is_subscribed()) {
    return false;
  }
  userdata_ = userdata;
  callback_ = callback;
  return true;
}

void Subscriber::Unsubscribe() {
  callback_ = nullptr;
  for (int domain = 0; domain < CUPTI_CB_DOMAIN_SIZE; ++domain) {
    EnableDomain(static_cast<CUpti_CallbackDomain>(domain), false);
  }
}

void Subscriber::EnableDomain(CUpti_CallbackDomain domain, bool is_enabled) {
  std::fill(std::begin(enabled_[domain]), std::end(enabled_[domain]), is_enabled);
}

namespace {

uint32_t ThreadId() {
  static thread_local const auto id = static_cast<uint32_t>(syscall(SYS_gettid));
  return id;
}

// One call of a CUDA function: the subscriber hears of its beginning and end, and its record is written at the end,
// each of the thread's external correlation ids before it.
class ApiCall {
 public:
  // `within`: the runtime call that this driver call is made by. `symbol`: the kernel of a launch.
  ApiCall(CUpti_CallbackDomain domain, CUpti_CallbackId id, const char* name, const void* params,
          const Context* context, const char* symbol = nullptr, const ApiCall* within = nullptr)
      : domain_(domain), id_(id), is_heard_(device_.subscriber.Hears(domain, id)) {
    data_.functionName = name;
    data_.functionParams = params;
    data_.functionReturnValue = &result_;
    data_.symbolName = symbol;
    data_.context = reinterpret_cast<CUcontext>(const_cast<Context*>(context));
    data_.contextUid = context->id;
    data_.correlationData = &correlation_data_;
    data_.correlationId = within != nullptr ? within->correlation() : ++device_.last_correlation;
    is_recorded_ =
        device_.api_records[domain_][id_].load(std::memory_order_relaxed) || ProcessActivity().IsEnabled(Kind());
    start_ns_ = is_recorded_ ? CuptiTimeNs() : 0;
    Tell(CUPTI_API_ENTER);
  }

  ~ApiCall() {
    Tell(CUPTI_API_EXIT);
    if (is_recorded_) {
      Record();
    }
  }
  ApiCall(const ApiCall&) = delete;
  ApiCall& operator=(const ApiCall&) = delete;

  uint32_t correlation() const { return data_.correlationId; }
  int result() const { return result_; }
  void set_result(int result) { result_ = result; }

 private:
  CUpti_ActivityKind Kind() const {
    return domain_ == CUPTI_CB_DOMAIN_RUNTIME_API ? CUPTI_ACTIVITY_KIND_RUNTIME : CUPTI_ACTIVITY_KIND_DRIVER;
  }

  void Tell(CUpti_ApiCallbackSite site) {
    if (is_heard_) {
      data_.callbackSite = site;
      device_.subscriber.Tell(domain_, id_, &data_);
    }
  }

  void Record() {
    HostRecord records[CUPTI_EXTERNAL_CORRELATION_KIND_SIZE + 1];
    size_t count = 0;
    const ExternalIds& external = ThreadExternalIds();
    if (ProcessActivity().IsEnabled(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION)) {
      for (uint32_t kind = 0; kind < CUPTI_EXTERNAL_CORRELATION_KIND_SIZE; ++kind) {
        if (const uint32_t depth = std::min(external.depth[kind], ExternalIds::kDepth)) {
          HostRecord& record = records[count++];
          record.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;
          record.correlation = correlation();
          record.id = kind;
          record.value = external.ids[kind][depth - 1];
        }
      }
    }
    HostRecord& record = records[count++];
    record.kind = Kind();
    record.correlation = correlation();
    record.start = start_ns_;
    record.end = CuptiTimeNs();
    record.id = id_;
    record.thread = ThreadId();
    record.result = result_;
    ProcessActivity().Add(records, count);
  }

  Device& device_ = ProcessDevice();
  const CUpti_CallbackDomain domain_;
  const CUpti_CallbackId id_;
  const bool is_heard_;
  bool is_recorded_;
  int result_ = 0;
  uint64_t correlation_data_ = 0;
  uint64_t start_ns_;
  CUpti_CallbackData data_{};
};

// A driver call of FUNCTION with the parameters that its own struct names, in that order.
#define DSOCR_DRIVER_CALL(FUNCTION) CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DRIVER_TRACE_CBID_##FUNCTION, #FUNCTION
// The runtime's names carry the version since which they are as they are: cudaLaunchKernel_v7000.
#define DSOCR_RUNTIME_CALL(FUNCTION, VERSION) \
  CUPTI_CB_DOMAIN_RUNTIME_API, CUPTI_RUNTIME_TRACE_CBID_##FUNCTION##VERSION, #FUNCTION

void Tell(CUpti_CallbackIdResource id, CUpti_GraphData graph, const Context* context) {
  CUpti_ResourceData resource{};
  resource.context = reinterpret_cast<CUcontext>(const_cast<Context*>(context));
  resource.resourceDescriptor = &graph;
  ProcessDevice().subscriber.Tell(CUPTI_CB_DOMAIN_RESOURCE, id, &resource);
}

CUpti_GraphData GraphData(const Graph* graph, const Node* node = nullptr) {
  CUpti_GraphData data{};
  data.graph = reinterpret_cast<CUgraph>(const_cast<Graph*>(graph));
  data.node = reinterpret_cast<CUgraphNode>(const_cast<Node*>(node));
  if (node != nullptr) {
    data.nodeType = node->operation.kind == OperationKind::kKernel ? CU_GRAPH_NODE_TYPE_KERNEL
                    : node->operation.kind == OperationKind::kCopy ? CU_GRAPH_NODE_TYPE_MEMCPY
                                                                   : CU_GRAPH_NODE_TYPE_MEMSET;
  }
  return data;
}

const Node& AddNode(Graph& graph, const Operation& operation) {
  const uint64_t id = uint64_t{graph.id} << 32 | graph.nodes.size();
  return *graph.nodes.emplace_back(std::make_unique<Node>(Node{id, operation}));
}

// Puts work on the stream: one operation, or those of a graph.
void Enqueue(Stream& stream, uint32_t correlation, const Operation& operation, const Exec* exec) {
  Activity& activity = ProcessActivity();
  Work work;
  work.execution = {.device = stream.context->device,
                    .context = stream.context->id,
                    .stream = stream.id,
                    .correlation = correlation,
                    .graph = exec == nullptr ? 0 : exec->clone.id};
  work.operation = operation;
  if (exec != nullptr) {
    work.nodes = exec->nodes;
  }
  work.clock_offset_ns = ProcessFaults().clock_offset_ns();
  for (const OperationKind kind : {OperationKind::kKernel, OperationKind::kCopy, OperationKind::kSet}) {
    work.is_recorded[static_cast<int>(kind)] = activity.IsEnabled(ActivityKindOf(kind));
  }
  const bool is_recorded = exec != nullptr || work.is_recorded[static_cast<int>(operation.kind)];
  if (is_recorded) {
    const uint32_t records = exec == nullptr ? 1 : static_cast<uint32_t>(exec->nodes->size());
    work.fault = ProcessFaults().TakeOperationFault(records, &work.faulty_records);
  }
  const std::lock_guard<std::mutex> lock(stream.mutex);
  work.start_ns = std::max(stream.free_ns, RealTimeNs());
  stream.free_ns = work.start_ns + (exec == nullptr ? operation.duration_ns : exec->duration_ns);
  if (is_recorded) {
    activity.Add(std::move(work), stream.queue);
  }
}

// What a launch function does with its operation: a node of the capture, or work.
int Submit(Stream& stream, ApiCall& call, const Operation& operation) {
  if (const int error = ProcessFaults().TakeLaunchError()) {
    call.set_result(error);
    return error;
  }
  if (Graph* const capture = stream.capture.get()) {
    const Node& node = AddNode(*capture, operation);
    Tell(CUPTI_CBID_RESOURCE_GRAPHNODE_CREATED, GraphData(capture, &node), stream.context);
  } else {
    Enqueue(stream, call.correlation(), operation, nullptr);
  }
  return 0;
}

int LaunchByDriver(const std::string* function, int64_t duration_ns, Stream& stream, bool by_config,
                   const ApiCall* within) {
  const char* const name = function->c_str();
  const auto handle = reinterpret_cast<CUfunction>(const_cast<std::string*>(function));
  const auto stream_handle = reinterpret_cast<CUstream>(&stream);
  Operation operation;
  operation.name = name;
  operation.duration_ns = duration_ns;
  if (by_config) {
    const CUlaunchConfig config{1, 1, 1, 128, 1, 1, 0, stream_handle, nullptr, 0};
    const cuLaunchKernelEx_params params{&config, handle, nullptr, nullptr};
    ApiCall call(DSOCR_DRIVER_CALL(cuLaunchKernelEx), &params, stream.context, name, within);
    return Submit(stream, call, operation);
  }
  const cuLaunchKernel_params params{handle, 1, 1, 1, 128, 1, 1, 0, stream_handle, nullptr, nullptr};
  ApiCall call(DSOCR_DRIVER_CALL(cuLaunchKernel), &params, stream.context, name, within);
  return Submit(stream, call, operation);
}

int CopyByDriver(const Operation& operation, Stream& stream, const ApiCall* within) {
  const auto handle = reinterpret_cast<CUstream>(&stream);
  if (operation.copy_kind == CUPTI_ACTIVITY_MEMCPY_KIND_HTOD) {
    const cuMemcpyHtoDAsync_v2_params params{0, nullptr, operation.bytes, handle};
    ApiCall call(DSOCR_DRIVER_CALL(cuMemcpyHtoDAsync_v2), &params, stream.context, nullptr, within);
    return Submit(stream, call, operation);
  }
  if (operation.copy_kind == CUPTI_ACTIVITY_MEMCPY_KIND_DTOH) {
    const cuMemcpyDtoHAsync_v2_params params{nullptr, 0, operation.bytes, handle};
    ApiCall call(DSOCR_DRIVER_CALL(cuMemcpyDtoHAsync_v2), &params, stream.context, nullptr, within);
    return Submit(stream, call, operation);
  }
  const cuMemcpyDtoDAsync_v2_params params{0, 0, operation.bytes, handle};
  ApiCall call(DSOCR_DRIVER_CALL(cuMemcpyDtoDAsync_v2), &params, stream.context, nullptr, within);
  return Submit(stream, call, operation);
}

Stream& StreamOf(fake_gpu_stream_t handle) { return *static_cast<Stream*>(handle); }

Context& FirstContext() { return *StreamOf(fake_gpu_stream(1, 7)).context; }

// Takes the nodes' operations over into what work reads.
void SetNodes(Exec& exec) {
  auto nodes = std::make_shared<std::vector<GraphNode>>();
  exec.duration_ns = 0;
  for (const auto& node : exec.clone.nodes) {
    nodes->push_back({node->id, node->operation});
    exec.duration_ns += node->operation.duration_ns;
  }
  exec.nodes = std::move(nodes);
}

void RecordMemory(CUpti_ActivityMemoryOperationType type, uint64_t address, uint64_t bytes, uint32_t correlation) {
  if (ProcessActivity().IsEnabled(CUPTI_ACTIVITY_KIND_MEMORY2)) {
    HostRecord record;
    record.kind = CUPTI_ACTIVITY_KIND_MEMORY2;
    record.correlation = correlation;
    record.id = type;
    record.value = address;
    record.bytes = bytes;
    record.start = CuptiTimeNs();
    record.context = FirstContext().id;
    ProcessActivity().Add(&record, 1);
  }
}

}  // namespace
}  // namespace dsocr::fake

using namespace dsocr::fake;

extern "C" {

void fake_gpu_init() {
  static std::once_flag once;
  std::call_once(once, [] {
    const char* const path = std::getenv("CUDA_INJECTION64_PATH");
    void* const library = path == nullptr ? nullptr : dlopen(path, RTLD_NOW);
    if (void* const initialize = library == nullptr ? nullptr : dlsym(library, "InitializeInjection")) {
      reinterpret_cast<int (*)()>(initialize)();
    }
  });
}

fake_gpu_stream_t fake_gpu_stream(uint32_t context_id, uint32_t id) {
  Device& device = ProcessDevice();
  const std::lock_guard<std::mutex> lock(device.mutex);
  const auto queue = static_cast<uint32_t>(device.streams.size());
  const auto [stream, is_new] =
      device.streams.emplace(std::piecewise_construct, std::forward_as_tuple(context_id, id), std::tuple<>());
  if (is_new) {
    stream->second.id = id;
    stream->second.queue = queue;
    stream->second.context = &device.contexts.try_emplace(context_id, Context{context_id}).first->second;
  }
  return &stream->second;
}

fake_gpu_function_t fake_gpu_function(const char* name) {
  Device& device = ProcessDevice();
  const std::lock_guard<std::mutex> lock(device.mutex);
  std::unique_ptr<std::string>& function = device.functions[name];
  if (function == nullptr) {
    function = std::make_unique<std::string>(name);
  }
  return function.get();
}

int fake_gpu_launch(fake_gpu_function_t function_handle, int64_t duration_ns, fake_gpu_stream_t stream_handle,
                    fake_gpu_api api) {
  Stream& stream = StreamOf(stream_handle);
  const auto* const function = static_cast<const std::string*>(function_handle);
  if (api != FAKE_GPU_RUNTIME) {
    return LaunchByDriver(function, duration_ns, stream, api == FAKE_GPU_DRIVER_EX, nullptr);
  }
  const cudaLaunchKernel_v7000_params params{
      function, dim3{1, 1, 1}, dim3{128, 1, 1}, nullptr, 0, reinterpret_cast<cudaStream_t>(&stream)};
  ApiCall call(DSOCR_RUNTIME_CALL(cudaLaunchKernel, _v7000), &params, stream.context, function->c_str());
  call.set_result(LaunchByDriver(function, duration_ns, stream, false, &call));
  return call.result();
}

int fake_gpu_copy(fake_gpu_copy_kind kind, uint64_t bytes, int64_t duration_ns, fake_gpu_stream_t stream_handle,
                  fake_gpu_api api) {
  Stream& stream = StreamOf(stream_handle);
  Operation operation;
  operation.kind = OperationKind::kCopy;
  operation.copy_kind = kind == FAKE_GPU_HTOD   ? CUPTI_ACTIVITY_MEMCPY_KIND_HTOD
                        : kind == FAKE_GPU_DTOH ? CUPTI_ACTIVITY_MEMCPY_KIND_DTOH
                                                : CUPTI_ACTIVITY_MEMCPY_KIND_DTOD;
  operation.bytes = bytes;
  operation.duration_ns = duration_ns;
  if (api != FAKE_GPU_RUNTIME) {
    return CopyByDriver(operation, stream, nullptr);
  }
  const cudaMemcpyAsync_v3020_params params{nullptr, nullptr, bytes, cudaMemcpyDefault,
                                            reinterpret_cast<cudaStream_t>(&stream)};
  ApiCall call(DSOCR_RUNTIME_CALL(cudaMemcpyAsync, _v3020), &params, stream.context);
  call.set_result(CopyByDriver(operation, stream, &call));
  return call.result();
}

int fake_gpu_set(uint64_t bytes, int64_t duration_ns, fake_gpu_stream_t stream_handle) {
  Stream& stream = StreamOf(stream_handle);
  Operation operation;
  operation.kind = OperationKind::kSet;
  operation.bytes = bytes;
  operation.duration_ns = duration_ns;
  const cuMemsetD8Async_params params{0, 0, bytes, reinterpret_cast<CUstream>(&stream)};
  ApiCall call(DSOCR_DRIVER_CALL(cuMemsetD8Async), &params, stream.context);
  return Submit(stream, call, operation);
}

void fake_gpu_synchronize(fake_gpu_stream_t stream_handle) {
  Stream& stream = StreamOf(stream_handle);
  const cuStreamSynchronize_params params{reinterpret_cast<CUstream>(&stream)};
  ApiCall call(DSOCR_DRIVER_CALL(cuStreamSynchronize), &params, stream.context);
  HostRecord record;
  record.start = CuptiTimeNs();
  int64_t free_ns = 0;
  {
    const std::lock_guard<std::mutex> lock(stream.mutex);
    free_ns = stream.free_ns;
  }
  for (int64_t now_ns = RealTimeNs(); now_ns < free_ns; now_ns = RealTimeNs()) {
    const timespec rest{(free_ns - now_ns) / 1'000'000'000, (free_ns - now_ns) % 1'000'000'000};
    nanosleep(&rest, nullptr);
  }
  const CUpti_SynchronizeData data{reinterpret_cast<CUcontext>(stream.context), params.hStream};
  ProcessDevice().subscriber.Tell(CUPTI_CB_DOMAIN_SYNCHRONIZE, CUPTI_CBID_SYNCHRONIZE_STREAM_SYNCHRONIZED, &data);
  if (ProcessActivity().IsEnabled(CUPTI_ACTIVITY_KIND_SYNCHRONIZATION)) {
    record.kind = CUPTI_ACTIVITY_KIND_SYNCHRONIZATION;
    record.correlation = call.correlation();
    record.end = CuptiTimeNs();
    record.context = stream.context->id;
    record.stream = stream.id;
    ProcessActivity().Add(&record, 1);
  }
}

uint64_t fake_gpu_allocate(uint64_t bytes) {
  Device& device = ProcessDevice();
  CUdeviceptr address = 0;
  const cuMemAlloc_v2_params params{&address, bytes};
  ApiCall call(DSOCR_DRIVER_CALL(cuMemAlloc_v2), &params, &FirstContext());
  address = device.next_address.fetch_add((bytes + 511) / 512 * 512);
  {
    const std::lock_guard<std::mutex> lock(device.mutex);
    device.allocations[address] = bytes;
  }
  RecordMemory(CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_ALLOCATION, address, bytes, call.correlation());
  return address;
}

void fake_gpu_free(uint64_t address) {
  Device& device = ProcessDevice();
  const cuMemFree_v2_params params{address};
  ApiCall call(DSOCR_DRIVER_CALL(cuMemFree_v2), &params, &FirstContext());
  uint64_t bytes = 0;
  {
    const std::lock_guard<std::mutex> lock(device.mutex);
    bytes = std::exchange(device.allocations[address], 0);
    device.allocations.erase(address);
  }
  RecordMemory(CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_RELEASE, address, bytes, call.correlation());
}

void fake_gpu_overhead(int64_t duration_ns) {
  if (ProcessActivity().IsEnabled(CUPTI_ACTIVITY_KIND_OVERHEAD)) {
    HostRecord record;
    record.kind = CUPTI_ACTIVITY_KIND_OVERHEAD;
    record.end = CuptiTimeNs();
    record.start = record.end - static_cast<uint64_t>(duration_ns);
    record.thread = ThreadId();
    ProcessActivity().Add(&record, 1);
  }
}

void fake_gpu_begin_capture(fake_gpu_stream_t stream_handle) {
  Stream& stream = StreamOf(stream_handle);
  const cuStreamBeginCapture_v2_params params{reinterpret_cast<CUstream>(&stream), CU_STREAM_CAPTURE_MODE_GLOBAL};
  ApiCall call(DSOCR_DRIVER_CALL(cuStreamBeginCapture_v2), &params, stream.context);
  stream.capture = std::make_unique<Graph>();
  stream.capture->id = ProcessDevice().next_graph_id++;
  Tell(CUPTI_CBID_RESOURCE_GRAPH_CREATED, GraphData(stream.capture.get()), stream.context);
}

fake_gpu_graph_t fake_gpu_end_capture(fake_gpu_stream_t stream_handle) {
  Stream& stream = StreamOf(stream_handle);
  CUgraph graph = nullptr;
  const cuStreamEndCapture_params params{reinterpret_cast<CUstream>(&stream), &graph};
  ApiCall call(DSOCR_DRIVER_CALL(cuStreamEndCapture), &params, stream.context);
  graph = reinterpret_cast<CUgraph>(stream.capture.release());
  return graph;
}

fake_gpu_exec_t fake_gpu_instantiate(fake_gpu_graph_t graph_handle) {
  const auto& graph = *static_cast<const Graph*>(graph_handle);
  const Context* const context = &FirstContext();
  CUgraphExec result = nullptr;
  const cuGraphInstantiateWithFlags_params params{&result, static_cast<CUgraph>(graph_handle), 0};
  ApiCall call(DSOCR_DRIVER_CALL(cuGraphInstantiateWithFlags), &params, context);
  Tell(CUPTI_CBID_RESOURCE_GRAPHEXEC_CREATE_STARTING, GraphData(&graph), context);
  auto exec = std::make_unique<Exec>();
  exec->original = &graph;
  exec->clone.id = ProcessDevice().next_graph_id++;
  CUpti_GraphData cloned = GraphData(&exec->clone);
  cloned.originalGraph = GraphData(&graph).graph;
  Tell(CUPTI_CBID_RESOURCE_GRAPH_CLONED, cloned, context);
  for (const auto& original : graph.nodes) {
    const Node& node = AddNode(exec->clone, original->operation);
    // NVIDIA's samples leave out the nodes created while a graph is instantiated: they are heard of too.
    Tell(CUPTI_CBID_RESOURCE_GRAPHNODE_CREATED, GraphData(&exec->clone, &node), context);
    CUpti_GraphData data = GraphData(&exec->clone, &node);
    data.originalGraph = cloned.originalGraph;
    data.originalNode = GraphData(&graph, original.get()).node;
    Tell(CUPTI_CBID_RESOURCE_GRAPHNODE_CLONED, data, context);
  }
  SetNodes(*exec);
  result = reinterpret_cast<CUgraphExec>(exec.release());
  CUpti_GraphData created = GraphData(&graph);
  created.graphExec = result;
  Tell(CUPTI_CBID_RESOURCE_GRAPHEXEC_CREATED, created, context);
  return result;
}

int fake_gpu_graph_launch(fake_gpu_exec_t exec_handle, fake_gpu_stream_t stream_handle) {
  Stream& stream = StreamOf(stream_handle);
  const cuGraphLaunch_params params{static_cast<CUgraphExec>(exec_handle), reinterpret_cast<CUstream>(&stream)};
  ApiCall call(DSOCR_DRIVER_CALL(cuGraphLaunch), &params, stream.context);
  if (const int error = ProcessFaults().TakeLaunchError()) {
    call.set_result(error);
    return error;
  }
  Enqueue(stream, call.correlation(), {}, static_cast<const Exec*>(exec_handle));
  return 0;
}

void fake_gpu_update(fake_gpu_exec_t exec_handle, fake_gpu_graph_t graph_handle) {
  auto& exec = *static_cast<Exec*>(exec_handle);
  const auto& graph = *static_cast<const Graph*>(graph_handle);
  const cuGraphExecUpdate_v2_params params{static_cast<CUgraphExec>(exec_handle), static_cast<CUgraph>(graph_handle),
                                           nullptr};
  ApiCall call(DSOCR_DRIVER_CALL(cuGraphExecUpdate_v2), &params, &FirstContext());
  for (size_t i = 0; i < exec.clone.nodes.size(); ++i) {
    exec.clone.nodes[i]->operation = graph.nodes.at(i)->operation;
    CUpti_GraphData data = GraphData(&exec.clone, exec.clone.nodes[i].get());
    data.originalGraph = GraphData(&graph).graph;
    data.originalNode = GraphData(&graph, graph.nodes[i].get()).node;
    data.graphExec = static_cast<CUgraphExec>(exec_handle);
    Tell(CUPTI_CBID_RESOURCE_GRAPH_NODE_UPDATED, data, &FirstContext());
  }
  SetNodes(exec);
}

void fake_gpu_destroy_graph(fake_gpu_graph_t graph_handle) {
  const std::unique_ptr<Graph> graph(static_cast<Graph*>(graph_handle));
  const cuGraphDestroy_params params{static_cast<CUgraph>(graph_handle)};
  ApiCall call(DSOCR_DRIVER_CALL(cuGraphDestroy), &params, &FirstContext());
  Tell(CUPTI_CBID_RESOURCE_GRAPH_DESTROY_STARTING, GraphData(graph.get()), &FirstContext());
  for (const auto& node : graph->nodes) {
    Tell(CUPTI_CBID_RESOURCE_GRAPHNODE_DESTROY_STARTING, GraphData(graph.get(), node.get()), &FirstContext());
  }
}

void fake_gpu_destroy_exec(fake_gpu_exec_t exec_handle) {
  const std::unique_ptr<Exec> exec(static_cast<Exec*>(exec_handle));
  const cuGraphExecDestroy_params params{static_cast<CUgraphExec>(exec_handle)};
  ApiCall call(DSOCR_DRIVER_CALL(cuGraphExecDestroy), &params, &FirstContext());
  CUpti_GraphData data{};
  data.graphExec = static_cast<CUgraphExec>(exec_handle);
  Tell(CUPTI_CBID_RESOURCE_GRAPHEXEC_DESTROY_STARTING, data, &FirstContext());
}

void fake_gpu_set_next_graph_id(uint32_t id) { ProcessDevice().next_graph_id = id; }

const char* fake_gpu_fault(const char* text) { return ProcessFaults().Arm(text); }
void fake_gpu_deliver() { ProcessActivity().Deliver(); }
void fake_gpu_wait_for_flush() { ProcessActivity().WaitForFlush(); }
int fake_gpu_enabled_kinds() { return ProcessActivity().enabled_kinds(); }

}  // extern "C"
