#include "cupti/agent/torch_ops.h"

#include <ATen/record_function.h>
#include <dlfcn.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <variant>

#include "cupti/agent/clock.h"

namespace dsocr::agent {
namespace {

// The functions of libtorch_cpu.so that we call, by their mangled names in torch 2.11. Member functions are called as
// functions whose first argument is the object, which is what they are in the Itanium C++ ABI.
struct TorchFunctions {
  at::CallbackHandle (*add_global_callback)(at::RecordFunctionCallback);
  void (*remove_callback)(at::CallbackHandle);
  void (*disable_callback)(at::CallbackHandle);
  void (*reenable_callback)(at::CallbackHandle);
  const char* (*name)(const at::RecordFunction*);
  void (*construct)(void*, at::RecordScope);
  void (*before)(void*, at::RecordFunction::FunctionDescriptor, int64_t);
  void (*destroy)(void*);
};

TorchFunctions torch;
std::atomic<at::CallbackHandle> callback{0};  // 0: not installed
bool is_enabled = true;
bool tells_shapes = false;

template <typename Function>
bool Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr;
}

// Tensors whose sizes are asked of somebody's code.
constexpr c10::DispatchKeySet kOddlySized({c10::DispatchKey::Python, c10::DispatchKey::NestedTensor,
                                           c10::DispatchKey::FuncTorchBatched});

// Major and minor, as libtorch says them of itself and as the header was written for: TORCH_ABI_VERSION's two top
// bytes.
constexpr int kMinorShift = 48;

bool FindFunctions(void* library) {
  uint64_t (*version)();
  return Find(library, "aoti_torch_abi_version", &version) &&
         version() >> kMinorShift == TORCH_ABI_VERSION >> kMinorShift &&
         Find(library, "_ZN2at17addGlobalCallbackENS_22RecordFunctionCallbackE", &torch.add_global_callback) &&
         Find(library, "_ZN2at14removeCallbackEm", &torch.remove_callback) &&
         Find(library, "_ZN2at15disableCallbackEm", &torch.disable_callback) &&
         Find(library, "_ZN2at16reenableCallbackEm", &torch.reenable_callback) &&
         Find(library, "_ZNK2at14RecordFunction4nameEv", &torch.name) &&
         Find(library, "_ZN2at14RecordFunctionC1ENS_11RecordScopeE", &torch.construct) &&
         Find(library,
              "_ZN2at14RecordFunction6beforeESt7variantIJSt17basic_string_viewIcSt11char_traitsIcEESt17reference_"
              "wrapperIKN3c1014"
              "FunctionSchemaEEEEl",
              &torch.before) &&
         Find(library, "_ZN2at14RecordFunctionD1Ev", &torch.destroy);
}

std::unique_ptr<at::ObserverContext> OnStart(const at::RecordFunction& call) {
  if (const Hook thread; thread) {
    thread->recorder->BeginCall(*thread, &call);
  }
  return nullptr;
}

// What an argument is known by here: a Tensor is a pointer to its TensorImpl, and stands first in the IValue that holds
// it. IValue's own functions need libtorch for the errors that they throw.
const c10::TensorImpl* TensorOf(const c10::IValue& argument) {
  const c10::TensorImpl* tensor = nullptr;
  if (argument.isTensor()) {
    std::memcpy(&tensor, static_cast<const void*>(&argument), sizeof(tensor));
  }
  return tensor;
}

uint16_t ElementBytes(const c10::TensorImpl& tensor) {
  const caffe2::TypeMeta type = tensor.dtype();
  static_assert(sizeof(type) == sizeof(uint16_t));  // a number; those of ScalarType come first
  uint16_t number = 0;
  std::memcpy(&number, &type, sizeof(number));
  switch (number) {
    case static_cast<uint16_t>(at::ScalarType::Half):
    case static_cast<uint16_t>(at::ScalarType::BFloat16):
      return 2;
    case static_cast<uint16_t>(at::ScalarType::Float):
      return 4;
    case static_cast<uint16_t>(at::ScalarType::Double):
      return 8;
    default:
      return 0;
  }
}

// Nobody's code is asked, and so nothing thrown: an exception does not find its way through the agent's own unwinder.
// Undefined tensors are not dense.
bool HasPlainSizes(const c10::TensorImpl& tensor) {
  const c10::DispatchKeySet keys = tensor.key_set();
  return keys.has(c10::DispatchKey::Dense) && !keys.has_any(kOddlySized) && !tensor.has_symbolic_sizes_strides();
}

void ReadShape(const at::RecordFunction& call, record::OperatorShape* shape) {
  *shape = {};
  int seen = 0;
  for (const c10::IValue& argument : call.inputs()) {
    const c10::TensorImpl* tensor = TensorOf(argument);
    if (tensor == nullptr) {
      continue;
    }
    if (HasPlainSizes(*tensor)) {
      const c10::IntArrayRef sizes = tensor->sizes();
      shape->rank[seen] = static_cast<uint16_t>(sizes.size());
      shape->element_bytes[seen] = ElementBytes(*tensor);
      for (size_t i = 0; i < std::min<size_t>(sizes.size(), 5); ++i) {
        shape->sizes[seen][i] = static_cast<uint32_t>(std::min<int64_t>(sizes[i], UINT32_MAX));
      }
    }
    if (++seen == 2) {
      return;
    }
  }
}

std::unique_ptr<at::ObserverContext> OnStartWithInputs(const at::RecordFunction& call) {
  if (const Hook thread; thread && thread->recorder->BeginCall(*thread, &call)) {
    ReadShape(call, &thread->operation_shape);
    thread->has_operation_shape = true;
  }
  return nullptr;
}

void OnEnd(const at::RecordFunction& call, at::ObserverContext*) {
  if (const Hook thread; thread) {
    thread->recorder->EndCall(*thread, &call, [&call] { return torch.name(&call); });
  }
}

// One operator call as the dispatcher makes it: the object on the stack, start callbacks, end callbacks.
class Call {
 public:
  Call() {
    torch.construct(memory_, at::RecordScope::FUNCTION);
    torch.before(memory_, std::string_view("aten::dsocr_measures_itself"), -1);
  }
  ~Call() { torch.destroy(memory_); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 private:
  alignas(at::RecordFunction) unsigned char memory_[sizeof(at::RecordFunction)];
};

}  // namespace

TorchState InstallTorchCallbacks() noexcept {
  if (callback.load() != 0) {
    EnableTorchCallbacks(true);
    return TorchState::kInstalled;
  }
  static void* library = nullptr;
  if (library == nullptr) {
    library = dlopen("libtorch_cpu.so", RTLD_NOW | RTLD_NOLOAD);
    if (library == nullptr) {
      return TorchState::kAbsent;
    }
  }
  if (!FindFunctions(library)) {
    return TorchState::kUnsupported;
  }
  try {
    callback.store(
        torch.add_global_callback(at::RecordFunctionCallback(tells_shapes ? OnStartWithInputs : OnStart, OnEnd)
                                      .needsInputs(tells_shapes)
                                      .scopes({at::RecordScope::FUNCTION})));
  } catch (...) {
    return TorchState::kUnsupported;
  }
  is_enabled = true;
  return TorchState::kInstalled;
}

void RemoveTorchCallbacks() noexcept {
  if (const at::CallbackHandle handle = callback.exchange(0)) {
    try {
      torch.remove_callback(handle);
    } catch (...) {  // gone already: nothing to take out
    }
  }
}

void TellShapes(bool wanted) noexcept {
  if (wanted == tells_shapes) {
    return;
  }
  tells_shapes = wanted;
  if (callback.load() != 0) {
    RemoveTorchCallbacks();
    InstallTorchCallbacks();
  }
}

void EnableTorchCallbacks(bool enabled) noexcept {
  const at::CallbackHandle handle = callback.load();
  if (handle == 0 || enabled == is_enabled) {
    return;
  }
  try {
    (enabled ? torch.reenable_callback : torch.disable_callback)(handle);
    is_enabled = enabled;
  } catch (...) {  // gone already
  }
}

void MeasureTorchCallbacks(int calls, record::Statistics* statistics) noexcept {
  try {
    statistics->operation_record_ps = MeasurePs(calls, [] { const Call outermost; });
    const Call outermost;
    statistics->nested_call_ps = MeasurePs(calls, [] { const Call nested; });
  } catch (...) {  // then the costs stay unknown: 0
  }
}

}  // namespace dsocr::agent
