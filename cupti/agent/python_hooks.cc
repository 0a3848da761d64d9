#include "cupti/agent/python_hooks.h"

#include <poll.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "cupti/agent/clock.h"
#include "cupti/agent/cpython.h"
#include "cupti/agent/hooked_calls.h"
#include "cupti/agent/thread.h"

namespace dsocr::agent {

extern const char kHooksPy[];

namespace {

// Of one installation.
record::Depth wanted_depth;
void (*start_recording)() noexcept = nullptr;

// Types of which a value is a tensor and nothing else: compared with, never looked into.
PyObject* plain_types[2] = {};
PyObject* shape_name = nullptr;

// --- What hooks.py calls. Under the GIL; every argument is as hooks.py says, and is checked all the same.

// Of a module that `add` gave; -1: no number, or none of that.
long ModuleNumber(PyObject* object) {
  const long number = python.PyLong_AsLong(object);
  if (number < 0 || number >= HookedModuleCount()) {
    python.PyErr_Clear();
    return -1;
  }
  return number;
}

// tell(root, path, type, weight's sizes, parameters, bytes of one of the weight's elements)
PyObject* Tell(PyObject*, PyObject* const* arguments, PySize count) {
  const HookRecording recording;
  if (Recorder* const recorder = recording.recorder(); count == 6 && recorder != nullptr) {
    record::Record record{};
    record.kind = record::Kind::kModule;
    record.module.root = static_cast<uint32_t>(python.PyLong_AsLong(arguments[0]));
    record.module.path = recorder->Name(TextOf(arguments[1]));
    record.module.type = recorder->Name(TextOf(arguments[2]));
    record.module.rank = SizesOf(arguments[3], record.module.shape, std::size(record.module.shape));
    record.module.parameters = static_cast<uint64_t>(python.PyLong_AsLong(arguments[4]));
    record.module.element_bytes = static_cast<uint32_t>(python.PyLong_AsLong(arguments[5]));
    python.PyErr_Clear();
    recorder->Write(record);
  }
  return None();
}

// add(name, is_root): the module's number
PyObject* Add(PyObject*, PyObject* const* arguments, PySize count) {
  return python.PyLong_FromLong(
      count != 2 ? -1 : AddHookedModule(TextOf(arguments[0]), python.PyObject_IsTrue(arguments[1]) == 1));
}

// enter(number): True, and nothing done, where calls are open of which it is to be seen first whether they are over.
PyObject* Enter(PyObject*, PyObject* const* arguments, PySize count) {
  const LiveHook hook;
  ThreadState* const thread = hook.thread();
  const long module = thread == nullptr || count != 1 ? -1 : ModuleNumber(arguments[0]);
  if (module < 0) {
    return None();
  }
  if (IsInDoubtBeforeEnter(*thread, module)) {
    return python.PyBool_FromLong(1);
  }
  EnterCall(*thread, module);
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
  if (IsInDoubtBeforeLeave(*thread)) {
    return python.PyBool_FromLong(1);
  }
  LeaveCall(*thread, module);
  return None();
}

// enter_after(number, open calls around it)
PyObject* EnterAfter(PyObject*, PyObject* const* arguments, PySize count) {
  const LiveHook hook;
  ThreadState* const thread = hook.thread();
  const long module = thread == nullptr || count != 2 ? -1 : ModuleNumber(arguments[0]);
  if (module >= 0) {
    SettleCalls(*thread, python.PyLong_AsLong(arguments[1]));
    EnterCall(*thread, module);
  }
  return None();
}

// leave_after(number, open calls with it)
PyObject* LeaveAfter(PyObject*, PyObject* const* arguments, PySize count) {
  const LiveHook hook;
  ThreadState* const thread = hook.thread();
  const long module = thread == nullptr || count != 2 ? -1 : ModuleNumber(arguments[0]);
  if (module >= 0) {
    SettleCalls(*thread, python.PyLong_AsLong(arguments[1]));
    LeaveCall(*thread, module);
  }
  return None();
}

// adopt(number): the call began before it had hooks.
PyObject* AdoptHere(PyObject*, PyObject* const* arguments, PySize count) {
  const LiveHook hook;
  ThreadState* const thread = hook.thread();
  const long module = thread == nullptr || count != 1 ? -1 : ModuleNumber(arguments[0]);
  if (module >= 0) {
    AdoptCall(*thread, module);
  }
  return None();
}

// What a call that began before its hooks holds: it goes when the call returns. Of an earlier installation: nothing.
void OnEnding(PyObject* capsule) {
  const auto value = reinterpret_cast<uintptr_t>(python.PyCapsule_GetPointer(capsule, nullptr));
  const LiveHook hook;
  ThreadState* const thread = value / kMaxHooked == HookInstallation() ? hook.thread() : nullptr;
  if (thread != nullptr) {
    LeaveCall(*thread, static_cast<long>(value % kMaxHooked));
  }
}

// ending(number): an object that says when it goes that the call is over.
PyObject* Ending(PyObject*, PyObject* const* arguments, PySize count) {
  const long module = count != 1 ? -1 : ModuleNumber(arguments[0]);
  if (module < 0) {
    return None();
  }
  const uintptr_t value = HookInstallation() * kMaxHooked + static_cast<uintptr_t>(module);
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
  CallsUnderWayEdit edit;
  const PySize size = count == 1 ? python.PyTuple_Size(arguments[0]) : 0;
  for (PySize i = 0; i < size; ++i) {
    PyObject* const calls = python.PyTuple_GetItem(arguments[0], i);
    const unsigned long thread = python.PyLong_AsUnsignedLong(python.PyTuple_GetItem(calls, 0));
    for (PySize k = 1; k < python.PyTuple_Size(calls); ++k) {
      if (const long module = ModuleNumber(python.PyTuple_GetItem(calls, k)); module >= 0) {
        edit.Add(thread, module);
      }
    }
  }
  python.PyErr_Clear();
  return None();
}

// live(calls under way): from now on hooks record.
PyObject* Live(PyObject* self, PyObject* const* arguments, PySize count) {
  PyObject* const none = UnderWay(self, arguments, count);
  if (GoLive()) {
    start_recording();
  }
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
  CloseHookedModules();
}

bool RunHooks() {
  if (!OpenHookedModules()) {
    return false;
  }
  name_space = python.PyDict_New();
  PyObject* const builtins = python.PyEval_GetBuiltins();
  bool is_set =
      name_space != nullptr && builtins != nullptr &&
      python.PyDict_SetItemString(name_space, "__builtins__", builtins) == 0 &&
      SetItem(name_space, "stages_only", python.PyBool_FromLong(wanted_depth == record::Depth::kStages ? 1 : 0));
  for (PyMethodDef& function : functions) {
    is_set = is_set && SetItem(name_space, function.name, python.PyCFunction_NewEx(&function, nullptr, nullptr));
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
    const bool is_waiting = next == Task::kNone && name_space != nullptr && HookedModuleCount() == 0;
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
  switch (FindPython()) {
    case Interpreter::kAbsent:
      return PythonState::kAbsent;
    case Interpreter::kUnsupported:
      return PythonState::kUnsupported;
    case Interpreter::kNotYet:
      return PythonState::kNotYet;
    case Interpreter::kRunning:
      break;
  }
  AwaitExitGuard();
  wanted_depth = depth;
  BeginHookRecording(recorder);
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
  EndHookRecording();
  is_anything_in = false;
  if (IsPythonLeaving()) {
    return false;
  }
  const uint64_t number = Request(Task::kRemove);
  return number != 0 && WaitUntilDone(number, timeout_ms);
}

}  // namespace dsocr::agent
