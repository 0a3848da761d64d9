#include "cupti/agent/python_hooks.h"

#include <dlfcn.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <mutex>
#include <type_traits>

#include "cupti/agent/clock.h"
#include "cupti/agent/thread.h"

namespace dsocr::agent {

extern const char kHooksPy[];

namespace {

// --- CPython: what its stable ABI says of itself, as far as it is used here

struct PyObject;
using PySize = ptrdiff_t;
using FastFunction = PyObject* (*)(PyObject* self, PyObject* const* arguments, PySize count);
struct PyMethodDef {
  const char* name;
  FastFunction function;
  int flags;
  const char* doc;
};
constexpr int kFastCall = 0x80;  // METH_FASTCALL
constexpr int kFileInput = 257;  // Py_file_input

struct Python {
  int (*Py_IsInitialized)();
  int (*PyGILState_Ensure)();
  void (*PyGILState_Release)(int);
  int (*Py_AddPendingCall)(int (*)(void*), void*);
  void* (*PyEval_SaveThread)();
  void (*PyEval_RestoreThread)(void*);
  PyObject* (*PyImport_ImportModule)(const char*);
  PyObject* (*PyImport_GetModuleDict)();
  PyObject* (*PyEval_GetBuiltins)();
  PyObject* (*Py_CompileString)(const char*, const char*, int);
  PyObject* (*PyEval_EvalCode)(PyObject*, PyObject*, PyObject*);
  PyObject* (*PyDict_New)();
  PyObject* (*PyDict_GetItemString)(PyObject*, const char*);
  int (*PyDict_SetItemString)(PyObject*, const char*, PyObject*);
  PyObject* (*PyObject_GetAttr)(PyObject*, PyObject*);
  PyObject* (*PyObject_GetAttrString)(PyObject*, const char*);
  PyObject* (*PyObject_Type)(PyObject*);
  PyObject* (*PyObject_CallObject)(PyObject*, PyObject*);
  PyObject* (*PyObject_CallFunctionObjArgs)(PyObject*, ...);
  int (*PyObject_IsTrue)(PyObject*);
  PyObject* (*PyCFunction_NewEx)(PyMethodDef*, PyObject*, PyObject*);
  PyObject* (*PyBool_FromLong)(long);
  PyObject* (*PyLong_FromLong)(long);
  long (*PyLong_AsLong)(PyObject*);
  unsigned long (*PyLong_AsUnsignedLong)(PyObject*);
  const char* (*PyUnicode_AsUTF8AndSize)(PyObject*, PySize*);
  PyObject* (*PyUnicode_InternFromString)(const char*);
  PySize (*PyTuple_Size)(PyObject*);
  PyObject* (*PyTuple_GetItem)(PyObject*, PySize);
  PyObject* (*PyCapsule_New)(void*, const char*, void (*)(PyObject*));
  void* (*PyCapsule_GetPointer)(PyObject*, const char*);
  void (*PyErr_Clear)();
  void (*Py_IncRef)(PyObject*);
  void (*Py_DecRef)(PyObject*);
  PyObject* none;          // _Py_NoneStruct
  int (*is_finalizing)();  // Py_IsFinalizing since 3.13, _Py_IsFinalizing before
};

Python python;

// The library that has CPython, where its names are not the process's: it was loaded for somebody alone.
void* LocalLibpython() {
  void* library = nullptr;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* found) {
        if (std::strstr(info->dlpi_name, "/libpython3.") == nullptr) {
          return 0;
        }
        void* const handle = dlopen(info->dlpi_name, RTLD_NOW | RTLD_NOLOAD);
        *static_cast<void**>(found) = handle;
        return handle != nullptr ? 1 : 0;
      },
      &library);
  return library;
}

PythonState FindPython() {
  void* const library = dlsym(RTLD_DEFAULT, "Py_IsInitialized") != nullptr ? RTLD_DEFAULT : LocalLibpython();
  if (library != RTLD_DEFAULT && library == nullptr) {
    return PythonState::kAbsent;
  }
  bool has_all = true;
  const auto find = [&](const char* name, auto* function) {
    *function = reinterpret_cast<std::remove_pointer_t<decltype(function)>>(dlsym(library, name));
    has_all = has_all && *function != nullptr;
  };
#define DSOCR_FIND(name) find(#name, &python.name)
  DSOCR_FIND(Py_IsInitialized);
  DSOCR_FIND(PyGILState_Ensure);
  DSOCR_FIND(PyGILState_Release);
  DSOCR_FIND(Py_AddPendingCall);
  DSOCR_FIND(PyEval_SaveThread);
  DSOCR_FIND(PyEval_RestoreThread);
  DSOCR_FIND(PyImport_ImportModule);
  DSOCR_FIND(PyImport_GetModuleDict);
  DSOCR_FIND(PyEval_GetBuiltins);
  DSOCR_FIND(Py_CompileString);
  DSOCR_FIND(PyEval_EvalCode);
  DSOCR_FIND(PyDict_New);
  DSOCR_FIND(PyDict_GetItemString);
  DSOCR_FIND(PyDict_SetItemString);
  DSOCR_FIND(PyObject_GetAttr);
  DSOCR_FIND(PyObject_GetAttrString);
  DSOCR_FIND(PyObject_Type);
  DSOCR_FIND(PyObject_CallObject);
  DSOCR_FIND(PyObject_CallFunctionObjArgs);
  DSOCR_FIND(PyObject_IsTrue);
  DSOCR_FIND(PyCFunction_NewEx);
  DSOCR_FIND(PyBool_FromLong);
  DSOCR_FIND(PyLong_FromLong);
  DSOCR_FIND(PyLong_AsLong);
  DSOCR_FIND(PyLong_AsUnsignedLong);
  DSOCR_FIND(PyUnicode_AsUTF8AndSize);
  DSOCR_FIND(PyUnicode_InternFromString);
  DSOCR_FIND(PyTuple_Size);
  DSOCR_FIND(PyTuple_GetItem);
  DSOCR_FIND(PyCapsule_New);
  DSOCR_FIND(PyCapsule_GetPointer);
  DSOCR_FIND(PyErr_Clear);
  DSOCR_FIND(Py_IncRef);
  DSOCR_FIND(Py_DecRef);
#undef DSOCR_FIND
  find("_Py_NoneStruct", &python.none);
  python.is_finalizing = reinterpret_cast<int (*)()>(dlsym(library, "Py_IsFinalizing"));
  if (python.is_finalizing == nullptr) {
    find("_Py_IsFinalizing", &python.is_finalizing);
  }
  if (!has_all || python.is_finalizing() != 0) {
    return PythonState::kUnsupported;
  }
  return python.Py_IsInitialized() != 0 ? PythonState::kInstalled : PythonState::kNotYet;
}

// --- The modules that have hooks

// A range of it is opened with the address of `call` or `adopted` as its domain: so the thread's open ranges say
// themselves whose they are.
struct HookedModule {
  Text name;
  PathMemo memo;
  bool is_root;
  char call;
  char adopted;  // the domain of a call that began before the hooks: nothing announces its end
};
constexpr long kMaxHooked = 1 << 15;  // as many names as an Interner takes

// Of one installation. Written under the GIL.
HookedModule* hooked = nullptr;  // kMaxHooked of them in one mapping, touched as modules come
long hooked_count = 0;
uintptr_t installations = 0;
std::mutex recording_mutex;           // never held while waiting for anything
Recorder* wanted_recorder = nullptr;  // null: that recording is over. Guarded by recording_mutex
record::Depth wanted_depth;
void (*start_recording)() noexcept = nullptr;
std::atomic<Recorder*> live_recorder{nullptr};  // null: hooks do nothing

// Types of which a value is a tensor and nothing else: compared with, never looked into.
PyObject* plain_types[2] = {};
PyObject* shape_name = nullptr;

// The calls that a thread is inside of when recording starts, until that thread takes them over.
struct CallsUnderWay {
  unsigned long thread;  // pthread_self()
  uint32_t count;
  uint32_t modules[record::kMaxPathDepth];
};
constexpr int kMaxThreadsUnderWay = 256;
CallsUnderWay under_way[kMaxThreadsUnderWay];
std::atomic<int> under_way_count{0};

bool IsHookedCall(const void* domain) { return domain >= hooked && domain < hooked + hooked_count; }
bool IsAdopted(const void* domain) {
  return IsHookedCall(domain) &&
         (static_cast<const char*>(domain) - reinterpret_cast<const char*>(hooked)) % sizeof(HookedModule) ==
             offsetof(HookedModule, adopted);
}

// The outermost range that is one of ours; null: none.
const void* OutermostCall(const ThreadState& thread) {
  for (uint32_t i = 0; i < thread.depth; ++i) {
    if (IsHookedCall(thread.open[i].domain)) {
      return thread.open[i].domain;
    }
  }
  return nullptr;
}

void Adopt(ThreadState& thread, uint32_t module) {
  HookedModule& entry = hooked[module];
  thread.recorder->PushRange(thread, entry.name, &entry.adopted, &entry.memo, /*is_module=*/true);
}

void TakeOverCallsUnderWay(ThreadState& thread) noexcept {
  if (under_way_count.load(std::memory_order_relaxed) == 0) {
    return;
  }
  const std::lock_guard<std::mutex> lock(recording_mutex);
  const int count = under_way_count.load(std::memory_order_relaxed);
  for (int i = 0; i < count; ++i) {
    if (under_way[i].thread == pthread_self()) {
      const bool is_known = OutermostCall(thread) != nullptr;  // a root that came late: its inner calls were seen
      for (uint32_t k = 0; k < under_way[i].count && !is_known; ++k) {
        Adopt(thread, under_way[i].modules[k]);
      }
      under_way[i] = under_way[count - 1];
      under_way_count.store(count - 1, std::memory_order_relaxed);
      return;
    }
  }
}

// What a call of the job's begins with: this thread's state, if hooks are live; with it what was under way when they
// became so.
class LiveHook {
 public:
  LiveHook() {
    Recorder* const recorder = live_recorder.load(std::memory_order_acquire);
    if (hook_ && recorder != nullptr && hook_->recorder == recorder) {
      thread_ = &*hook_;
      TakeOverCallsUnderWay(*thread_);
    }
  }
  // Null: nothing is recorded here.
  ThreadState* thread() const { return thread_; }

 private:
  const Hook hook_;
  ThreadState* thread_ = nullptr;
};

// Closes calls until there are `open_calls`: what the frames of the thread do not show any more is over. The adopted
// ones first, from the inside: every other call announces its end, as long as it does not end by an exception like
// KeyboardInterrupt.
void Settle(ThreadState& thread, long open_calls) {
  long count = 0;
  for (uint32_t i = 0; i < thread.depth; ++i) {
    count += IsHookedCall(thread.open[i].domain) ? 1 : 0;
  }
  for (const bool only_adopted : {true, false}) {
    for (uint32_t i = thread.depth; i-- > 0 && count > open_calls;) {
      const void* const domain = thread.open[i].domain;
      if (only_adopted ? IsAdopted(domain) : IsHookedCall(domain)) {
        thread.recorder->PopRange(thread, domain);
        --count;
      }
    }
  }
}

void Push(ThreadState& thread, long module) {
  HookedModule& entry = hooked[module];
  thread.recorder->PushRange(thread, entry.name, &entry.call, &entry.memo, /*is_module=*/true);
}

void Pop(ThreadState& thread, long module) {
  const HookedModule& entry = hooked[module];
  if (thread.excess > 0) {
    thread.recorder->PopRange(thread, nullptr);
    return;
  }
  uint32_t call = thread.depth;
  while (call-- > 0 && thread.open[call].domain != &entry.call && thread.open[call].domain != &entry.adopted) {
  }
  if (call == ~0u) {
    return;  // began while nothing was recorded
  }
  // Calls inside of it that are still open ended without saying so.
  for (uint32_t i = thread.depth; i-- > call;) {
    if (IsHookedCall(thread.open[i].domain)) {
      thread.recorder->PopRange(thread, thread.open[i].domain);
    }
  }
}

// --- What hooks.py calls. Under the GIL; every argument is as hooks.py says, and is checked all the same.

PyObject* None() {
  python.Py_IncRef(python.none);
  return python.none;
}

// Of a module that `add` gave; -1: no number, or none of that.
long ModuleNumber(PyObject* object) {
  const long number = python.PyLong_AsLong(object);
  if (number < 0 || number >= hooked_count) {
    python.PyErr_Clear();
    return -1;
  }
  return number;
}

Text TextOf(PyObject* object) {
  PySize size = 0;
  const char* const bytes = python.PyUnicode_AsUTF8AndSize(object, &size);
  if (bytes == nullptr) {
    python.PyErr_Clear();
    return MakeText(nullptr, 0);
  }
  return MakeText(bytes, static_cast<size_t>(size));
}

// The first `capacity` sizes; how many there are.
uint32_t SizesOf(PyObject* tuple, uint32_t* sizes, PySize capacity) {
  const PySize count = python.PyTuple_Size(tuple);
  for (PySize i = 0; i < count && i < capacity; ++i) {
    const long size = python.PyLong_AsLong(python.PyTuple_GetItem(tuple, i));
    sizes[i] = size < 0 ? 0 : static_cast<uint32_t>(std::min(size, long{UINT32_MAX}));
  }
  python.PyErr_Clear();
  return count < 0 ? 0 : static_cast<uint32_t>(count);
}

// tell(root, path, type, weight's sizes, parameters, bytes of one of the weight's elements)
PyObject* Tell(PyObject*, PyObject* const* arguments, PySize count) {
  const std::lock_guard<std::mutex> lock(recording_mutex);
  if (count == 6 && wanted_recorder != nullptr) {
    record::Record record{};
    record.kind = record::Kind::kModule;
    record.module.root = static_cast<uint32_t>(python.PyLong_AsLong(arguments[0]));
    record.module.path = wanted_recorder->Name(TextOf(arguments[1]));
    record.module.type = wanted_recorder->Name(TextOf(arguments[2]));
    record.module.rank = SizesOf(arguments[3], record.module.shape, std::size(record.module.shape));
    record.module.parameters = static_cast<uint64_t>(python.PyLong_AsLong(arguments[4]));
    record.module.element_bytes = static_cast<uint32_t>(python.PyLong_AsLong(arguments[5]));
    python.PyErr_Clear();
    wanted_recorder->Write(record);
  }
  return None();
}

// add(name, is_root): the module's number
PyObject* Add(PyObject*, PyObject* const* arguments, PySize count) {
  if (count != 2 || hooked == nullptr || hooked_count == kMaxHooked) {
    return python.PyLong_FromLong(-1);
  }
  const Text name = TextOf(arguments[0]);
  char* const copy = static_cast<char*>(std::malloc(name.size + 1));
  if (copy == nullptr) {
    return python.PyLong_FromLong(-1);
  }
  std::memcpy(copy, name.bytes, name.size);
  HookedModule& entry = hooked[hooked_count];
  entry.name = {copy, name.size, name.hash};
  entry.is_root = python.PyObject_IsTrue(arguments[1]) == 1;
  return python.PyLong_FromLong(hooked_count++);
}

// enter(number): True, and nothing done, where calls are open of which it is to be seen first whether they are over.
PyObject* Enter(PyObject*, PyObject* const* arguments, PySize count) {
  const LiveHook hook;
  ThreadState* const thread = hook.thread();
  const long module = thread == nullptr || count != 1 ? -1 : ModuleNumber(arguments[0]);
  if (module < 0) {
    return None();
  }
  const void* const outermost = OutermostCall(*thread);
  if (outermost != nullptr && (hooked[module].is_root || IsAdopted(outermost))) {
    return python.PyBool_FromLong(1);
  }
  Push(*thread, module);
  return None();
}

// leave(number): the same of a call's end.
PyObject* Leave(PyObject*, PyObject* const* arguments, PySize count) {
  const LiveHook hook;
  ThreadState* const thread = hook.thread();
  const long module = thread == nullptr || count != 1 ? -1 : ModuleNumber(arguments[0]);
  if (module < 0) {
    return None();
  }
  if (IsAdopted(OutermostCall(*thread))) {
    return python.PyBool_FromLong(1);
  }
  Pop(*thread, module);
  return None();
}

// enter_after(number, open calls around it)
PyObject* EnterAfter(PyObject*, PyObject* const* arguments, PySize count) {
  const LiveHook hook;
  ThreadState* const thread = hook.thread();
  const long module = thread == nullptr || count != 2 ? -1 : ModuleNumber(arguments[0]);
  if (module >= 0) {
    Settle(*thread, python.PyLong_AsLong(arguments[1]));
    Push(*thread, module);
  }
  return None();
}

// leave_after(number, open calls with it)
PyObject* LeaveAfter(PyObject*, PyObject* const* arguments, PySize count) {
  const LiveHook hook;
  ThreadState* const thread = hook.thread();
  const long module = thread == nullptr || count != 2 ? -1 : ModuleNumber(arguments[0]);
  if (module >= 0) {
    Settle(*thread, python.PyLong_AsLong(arguments[1]));
    Pop(*thread, module);
  }
  return None();
}

// adopt(number): the call began before it had hooks.
PyObject* AdoptHere(PyObject*, PyObject* const* arguments, PySize count) {
  const LiveHook hook;
  ThreadState* const thread = hook.thread();
  const long module = thread == nullptr || count != 1 ? -1 : ModuleNumber(arguments[0]);
  if (module >= 0) {
    Adopt(*thread, static_cast<uint32_t>(module));
  }
  return None();
}

// What a call that began before its hooks holds: it goes when the call returns. Of an earlier installation: nothing.
void OnEnding(PyObject* capsule) {
  const auto value = reinterpret_cast<uintptr_t>(python.PyCapsule_GetPointer(capsule, nullptr));
  const LiveHook hook;
  ThreadState* const thread = value / kMaxHooked == installations ? hook.thread() : nullptr;
  if (thread != nullptr) {
    Pop(*thread, static_cast<long>(value % kMaxHooked));
  }
}

// ending(number): an object that says when it goes that the call is over.
PyObject* Ending(PyObject*, PyObject* const* arguments, PySize count) {
  const long module = count != 1 ? -1 : ModuleNumber(arguments[0]);
  if (module < 0) {
    return None();
  }
  const uintptr_t value = installations * kMaxHooked + static_cast<uintptr_t>(module);
  return python.PyCapsule_New(reinterpret_cast<void*>(value), nullptr, OnEnding);
}

// plain(type, …): those of tensors whose sizes may be asked for.
PyObject* Plain(PyObject*, PyObject* const* arguments, PySize count) {
  for (PySize i = 0; i < static_cast<PySize>(std::size(plain_types)); ++i) {
    plain_types[i] = i < count ? arguments[i] : nullptr;
  }
  if (shape_name == nullptr) {
    shape_name = python.PyUnicode_InternFromString("shape");
  }
  return None();
}

bool IsPlainTensor(PyObject* value) {
  PyObject* const type = python.PyObject_Type(value);
  python.Py_DecRef(type);  // the value has one
  return std::find(std::begin(plain_types), std::end(plain_types), type) != std::end(plain_types);
}

void TellShape(ThreadState& thread, PyObject* tensor) {
  PyObject* const sizes = python.PyObject_GetAttr(tensor, shape_name);
  if (sizes == nullptr) {
    python.PyErr_Clear();
    return;
  }
  record::Record record{};
  record.kind = record::Kind::kCallShape;
  record.thread = thread.number;
  record.call_shape.owner = Recorder::CurrentOwner(thread);
  record.call_shape.rank = SizesOf(sizes, record.call_shape.shape, std::size(record.call_shape.shape));
  thread.recorder->Write(record);
  python.Py_DecRef(sizes);
}

// shape(values): the sizes of the first tensor among them are those of the call that was entered last. False: there is
// none, and one is wanted.
PyObject* Shape(PyObject*, PyObject* const* arguments, PySize count) {
  const LiveHook hook;
  ThreadState* const thread = hook.thread();
  const bool is_wanted = thread != nullptr && count == 1 && thread->depth > 0 && thread->excess == 0 &&
                         thread->open[thread->depth - 1].is_recorded;
  const PySize size = is_wanted ? python.PyTuple_Size(arguments[0]) : 0;
  for (PySize i = 0; i < size; ++i) {
    if (PyObject* const value = python.PyTuple_GetItem(arguments[0], i); IsPlainTensor(value)) {
      TellShape(*thread, value);
      return python.PyBool_FromLong(1);
    }
  }
  python.PyErr_Clear();
  return python.PyBool_FromLong(is_wanted ? 0 : 1);
}

// under_way(((thread, number, …), …)): the calls that threads are inside of, outermost first.
PyObject* UnderWay(PyObject*, PyObject* const* arguments, PySize count) {
  const std::lock_guard<std::mutex> lock(recording_mutex);
  int threads = 0;
  const PySize size = count == 1 ? python.PyTuple_Size(arguments[0]) : 0;
  for (PySize i = 0; i < size && threads < kMaxThreadsUnderWay; ++i) {
    PyObject* const calls = python.PyTuple_GetItem(arguments[0], i);
    CallsUnderWay& entry = under_way[threads];
    entry.thread = python.PyLong_AsUnsignedLong(python.PyTuple_GetItem(calls, 0));
    entry.count = 0;
    for (PySize k = 1; k < python.PyTuple_Size(calls) && entry.count < record::kMaxPathDepth; ++k) {
      if (const long module = ModuleNumber(python.PyTuple_GetItem(calls, k)); module >= 0) {
        entry.modules[entry.count++] = static_cast<uint32_t>(module);
      }
    }
    threads += entry.count > 0 ? 1 : 0;
  }
  python.PyErr_Clear();
  under_way_count.store(threads, std::memory_order_relaxed);
  return None();
}

// live(calls under way): from now on hooks record.
PyObject* Live(PyObject* self, PyObject* const* arguments, PySize count) {
  PyObject* const none = UnderWay(self, arguments, count);
  {
    const std::lock_guard<std::mutex> lock(recording_mutex);
    if (wanted_recorder == nullptr) {
      return none;
    }
    wanted_recorder->set_thread_listener(TakeOverCallsUnderWay);
    live_recorder.store(wanted_recorder, std::memory_order_release);
  }
  start_recording();
  return none;
}

PyMethodDef functions[] = {
    {"tell", Tell, kFastCall, nullptr},
    {"add", Add, kFastCall, nullptr},
    {"enter", Enter, kFastCall, nullptr},
    {"leave", Leave, kFastCall, nullptr},
    {"enter_after", EnterAfter, kFastCall, nullptr},
    {"leave_after", LeaveAfter, kFastCall, nullptr},
    {"adopt", AdoptHere, kFastCall, nullptr},
    {"ending", Ending, kFastCall, nullptr},
    {"plain", Plain, kFastCall, nullptr},
    {"shape", Shape, kFastCall, nullptr},
    {"under_way", UnderWay, kFastCall, nullptr},
    {"live", Live, kFastCall, nullptr},
};

// --- Under the GIL, on a thread of its own. A thread that the interpreter ends is unwound through these: no object
// with a destructor may be alive in them, and none is noexcept.

PyObject* name_space = nullptr;  // of hooks.py; null: not installed

// Takes a reference over.
bool Set(PyObject* dictionary, const char* name, PyObject* value) {
  const bool is_set = value != nullptr && python.PyDict_SetItemString(dictionary, name, value) == 0;
  if (value != nullptr) {
    python.Py_DecRef(value);
  }
  return is_set;
}

// A function of hooks.py without arguments. False: it raised.
bool Call(const char* name) {
  PyObject* const function = python.PyDict_GetItemString(name_space, name);
  PyObject* const result = function == nullptr ? nullptr : python.PyObject_CallObject(function, nullptr);
  if (result == nullptr) {
    python.PyErr_Clear();
    return false;
  }
  python.Py_DecRef(result);
  return true;
}

// New reference or null, without an error.
PyObject* Attribute(PyObject* object, const char* name) {
  PyObject* const value = object == nullptr ? nullptr : python.PyObject_GetAttrString(object, name);
  if (value == nullptr) {
    python.PyErr_Clear();
  }
  return value;
}

bool IsTrueAndDrop(PyObject* object) {
  const bool is_true = object != nullptr && python.PyObject_IsTrue(object) == 1;
  if (object != nullptr) {
    python.Py_DecRef(object);
  }
  return is_true;
}

bool IsImported(const char* module) {
  PyObject* const found = python.PyDict_GetItemString(python.PyImport_GetModuleDict(), module);
  PyObject* const spec = found == nullptr ? nullptr : Attribute(found, "__spec__");
  if (spec == nullptr) {
    return false;
  }
  const bool is_under_way = IsTrueAndDrop(Attribute(spec, "_initializing"));
  python.Py_DecRef(spec);
  return !is_under_way;
}

// The file name that hooks.py is compiled under: behind that of torch.nn.modules.module, as if it were a directory.
PyObject* CompileHooks() {
  PyObject* const file =
      Attribute(python.PyDict_GetItemString(python.PyImport_GetModuleDict(), "torch.nn.modules.module"), "__file__");
  if (file == nullptr) {
    return nullptr;
  }
  char name[4096];
  const Text text = TextOf(file);
  const size_t size = std::min<size_t>(text.size, sizeof(name) - 32);
  std::memcpy(name, text.bytes, size);
  std::strcpy(name + size, "/dsocr");
  python.Py_DecRef(file);
  return python.Py_CompileString(kHooksPy, name, kFileInput);
}

void TakeOut() {
  if (name_space != nullptr) {
    Call("remove");
    python.Py_DecRef(name_space);  // not cleared: hooks of calls under way still use it. It is garbage after the last
    name_space = nullptr;
  }
  const std::lock_guard<std::mutex> lock(recording_mutex);
  under_way_count.store(0, std::memory_order_relaxed);
  for (long i = 0; i < hooked_count; ++i) {
    std::free(const_cast<char*>(hooked[i].name.bytes));
  }
  if (hooked != nullptr) {
    munmap(hooked, kMaxHooked * sizeof(HookedModule));
  }
  hooked = nullptr;
  hooked_count = 0;
}

bool RunHooks() {
  void* const memory = mmap(nullptr, kMaxHooked * sizeof(HookedModule), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return false;
  }
  hooked = static_cast<HookedModule*>(memory);
  ++installations;
  name_space = python.PyDict_New();
  PyObject* const builtins = python.PyEval_GetBuiltins();
  bool is_set = name_space != nullptr && builtins != nullptr &&
                python.PyDict_SetItemString(name_space, "__builtins__", builtins) == 0 &&
                Set(name_space, "stages_only", python.PyBool_FromLong(wanted_depth == record::Depth::kStages ? 1 : 0));
  for (PyMethodDef& function : functions) {
    is_set = is_set && Set(name_space, function.name, python.PyCFunction_NewEx(&function, nullptr, nullptr));
  }
  PyObject* const code = is_set ? CompileHooks() : nullptr;
  PyObject* const result = code == nullptr ? nullptr : python.PyEval_EvalCode(code, name_space, name_space);
  if (code != nullptr) {
    python.Py_DecRef(code);
  }
  if (result == nullptr) {
    python.PyErr_Clear();
    return false;
  }
  python.Py_DecRef(result);
  return Call("install");
}

enum class Task { kNone, kInstall, kPoll, kRemove };

pthread_mutex_t task_mutex = PTHREAD_MUTEX_INITIALIZER;  // never held while waiting for the GIL
Task task = Task::kNone;                                 // what is to be done next
uint64_t task_number = 0;                                // of that
bool is_task_thread_running = false;
std::atomic<uint64_t> done_number{0};
std::atomic<PythonState> state{PythonState::kAbsent};

PythonState Install(int* gil) {
  if (!IsImported("torch") || !IsImported("torch.nn.modules.module")) {
    return PythonState::kNotYet;
  }
  if (!RunHooks()) {
    TakeOut();
    return PythonState::kUnsupported;
  }
  // A thread that has just got the GIL keeps it for a switch interval: longer than the rest takes.
  python.PyGILState_Release(*gil);
  *gil = python.PyGILState_Ensure();
  if (!Call("go")) {
    TakeOut();
    return PythonState::kUnsupported;
  }
  return PythonState::kInstalled;
}

// --- The interpreter's end
//
// Who asks for the GIL while the interpreter ends may never come back, and who asks afterwards crashes. So there is a
// callback of Python's atexit, which runs before that: from then on nobody asks, and who has asked is waited for. It is
// set by a pending call, which needs no GIL to be asked for.

constexpr int kAskersWaitMs = 500;
// For the main thread to come by. One that does not is in a call of C, and is not ending the interpreter.
constexpr int kGuardWaitMs = 100;

enum class Guard { kNone, kOrdered, kSet };
std::atomic<Guard> guard{Guard::kNone};
std::atomic<bool> is_python_leaving{false};
std::atomic<int> askers{0};  // threads of ours that ask for the GIL or have it
std::atomic<pid_t> askers_pid{0};

PyObject* OnPythonExit(PyObject*, PyObject* const*, PySize) {
  is_python_leaving = true;
  void* const thread = python.PyEval_SaveThread();
  for (int waited_ms = 0; askers_pid == getpid() && askers > 0 && waited_ms < kAskersWaitMs; ++waited_ms) {
    poll(nullptr, 0, 1);
  }
  python.PyEval_RestoreThread(thread);
  return None();
}

PyMethodDef exit_function = {"dsocr_leave", OnPythonExit, kFastCall, nullptr};

// On Python's main thread, under the GIL.
int SetGuard(void*) {
  PyObject* const module = python.PyImport_ImportModule("atexit");
  PyObject* const add = Attribute(module, "register");
  PyObject* const function = add == nullptr ? nullptr : python.PyCFunction_NewEx(&exit_function, nullptr, nullptr);
  PyObject* const result = function == nullptr
                               ? nullptr
                               : python.PyObject_CallFunctionObjArgs(add, function, static_cast<PyObject*>(nullptr));
  for (PyObject* const object : {module, add, function, result}) {
    if (object != nullptr) {
      python.Py_DecRef(object);
    }
  }
  python.PyErr_Clear();
  guard = Guard::kSet;
  return 0;
}

// After the interpreter's end its functions may not be called at all.
bool MayTakeGil() { return !is_python_leaving && python.Py_IsInitialized() != 0 && python.is_finalizing() == 0; }

void AwaitGuard() {
  if (guard == Guard::kNone && MayTakeGil()) {
    guard = Guard::kOrdered;
    python.Py_AddPendingCall(SetGuard, nullptr);
  }
  for (int waited_ms = 0; guard == Guard::kOrdered && waited_ms < kGuardWaitMs; ++waited_ms) {
    poll(nullptr, 0, 1);
  }
}

// False: the interpreter ends.
bool TakeGil(int* gil) {
  ++askers;
  if (!MayTakeGil()) {
    --askers;
    return false;
  }
  *gil = python.PyGILState_Ensure();
  return true;
}

void GiveGil(int gil) {
  python.PyGILState_Release(gil);
  --askers;
}

// While no root is known, and a job that compiles allows no global hook: so much of its first call is lost.
constexpr int kRootPollMs = 5;

void* TaskThread(void*) {
  int gil = 0;
  if (!TakeGil(&gil)) {
    return nullptr;  // as a thread that the interpreter ended: nothing will be done any more
  }
  for (;;) {
    pthread_mutex_lock(&task_mutex);
    const Task next = task;
    const uint64_t number = task_number;
    task = Task::kNone;
    const bool is_waiting = next == Task::kNone && name_space != nullptr && hooked_count == 0;
    is_task_thread_running = next != Task::kNone || is_waiting;
    pthread_mutex_unlock(&task_mutex);
    if (is_waiting) {
      GiveGil(gil);
      poll(nullptr, 0, kRootPollMs);
      if (!TakeGil(&gil)) {
        return nullptr;
      }
      Call("poll");
      continue;
    }
    if (next == Task::kNone) {
      break;
    }
    if (next == Task::kInstall) {
      state.store(Install(&gil));
    } else if (next == Task::kPoll && name_space != nullptr) {
      Call("poll");
    } else if (next == Task::kRemove) {
      TakeOut();
    }
    done_number.store(number);
  }
  GiveGil(gil);
  return nullptr;
}

// --- The control thread

constexpr int kInstallWaitMs = 2000;

std::atomic<bool> is_anything_in{false};  // or may be

// The task's number, or 0: there is one already. A removal may take the place of another that has not begun.
uint64_t Request(Task wanted) {
  uint64_t number = 0;
  pthread_mutex_lock(&task_mutex);
  if (task == Task::kNone || wanted == Task::kRemove) {
    task = wanted;
    number = ++task_number;
    if (!is_task_thread_running && !(is_task_thread_running = StartThread("dsocr-python", TaskThread, nullptr))) {
      task = Task::kNone;
      number = 0;
    }
  }
  pthread_mutex_unlock(&task_mutex);
  return number;
}

bool WaitUntilDone(uint64_t number, int timeout_ms) {
  const int64_t deadline_ns = NowNs() + int64_t{timeout_ms} * 1'000'000;
  while (done_number.load() < number) {
    if (NowNs() >= deadline_ns) {
      return false;
    }
    poll(nullptr, 0, 1);
  }
  return true;
}

// False: it has begun.
bool Withdraw(uint64_t number) {
  pthread_mutex_lock(&task_mutex);
  const bool is_pending = task != Task::kNone && task_number == number;
  if (is_pending) {
    task = Task::kNone;
  }
  pthread_mutex_unlock(&task_mutex);
  return is_pending;
}

}  // namespace

PythonState InstallPythonHooks(Recorder* recorder, record::Depth depth, void (*start)() noexcept) noexcept {
  if (const PythonState found = FindPython(); found != PythonState::kInstalled) {
    return found;
  }
  if (askers_pid.exchange(getpid()) != getpid()) {
    askers = 0;  // a parent's
  }
  AwaitGuard();
  wanted_depth = depth;
  {
    const std::lock_guard<std::mutex> lock(recording_mutex);
    wanted_recorder = recorder;
  }
  start_recording = start;
  const uint64_t number = Request(Task::kInstall);
  if (number == 0) {
    return PythonState::kNotYet;
  }
  is_anything_in = true;
  while (!WaitUntilDone(number, kInstallWaitMs)) {
    if (Withdraw(number)) {
      return PythonState::kNotYet;
    }
  }
  return state.load();
}

void PollPythonHooks() noexcept {
  if (is_anything_in) {
    Request(Task::kPoll);
  }
}

bool RemovePythonHooks(int timeout_ms) noexcept {
  if (!is_anything_in) {
    return true;
  }
  {
    const std::lock_guard<std::mutex> lock(recording_mutex);
    wanted_recorder = nullptr;
    if (Recorder* const recorder = live_recorder.exchange(nullptr)) {
      recorder->set_thread_listener(nullptr);
    }
  }
  is_anything_in = false;
  if (is_python_leaving) {
    return false;
  }
  const uint64_t number = Request(Task::kRemove);
  return number != 0 && WaitUntilDone(number, timeout_ms);
}

}  // namespace dsocr::agent
