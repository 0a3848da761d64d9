#include "cupti/agent/cpython.h"

#include <dlfcn.h>
#include <link.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <type_traits>

namespace dsocr::agent {

Python python;

namespace {

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

bool IsTrueAndDrop(PyObject* object) {
  const bool is_true = object != nullptr && python.PyObject_IsTrue(object) == 1;
  if (object != nullptr) {
    python.Py_DecRef(object);
  }
  return is_true;
}

// --- The interpreter's end
//
// A callback of Python's atexit runs before it: from then on nobody asks for the GIL, and who has asked is waited for.
// It is set by a pending call, which needs no GIL to be asked for.

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

}  // namespace

Interpreter FindPython() {
  void* const library = dlsym(RTLD_DEFAULT, "Py_IsInitialized") != nullptr ? RTLD_DEFAULT : LocalLibpython();
  if (library != RTLD_DEFAULT && library == nullptr) {
    return Interpreter::kAbsent;
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
    return Interpreter::kUnsupported;
  }
  return python.Py_IsInitialized() != 0 ? Interpreter::kRunning : Interpreter::kNotYet;
}

void AwaitExitGuard() {
  if (askers_pid.exchange(getpid()) != getpid()) {
    askers = 0;  // a parent's
  }
  if (guard == Guard::kNone && MayTakeGil()) {
    guard = Guard::kOrdered;
    python.Py_AddPendingCall(SetGuard, nullptr);
  }
  for (int waited_ms = 0; guard == Guard::kOrdered && waited_ms < kGuardWaitMs; ++waited_ms) {
    poll(nullptr, 0, 1);
  }
}

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

bool IsPythonLeaving() { return is_python_leaving; }

PyObject* None() {
  python.Py_IncRef(python.none);
  return python.none;
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

uint32_t SizesOf(PyObject* tuple, uint32_t* sizes, PySize capacity) {
  const PySize count = python.PyTuple_Size(tuple);
  for (PySize i = 0; i < count && i < capacity; ++i) {
    const long size = python.PyLong_AsLong(python.PyTuple_GetItem(tuple, i));
    sizes[i] = size < 0 ? 0 : static_cast<uint32_t>(std::min(size, long{UINT32_MAX}));
  }
  python.PyErr_Clear();
  return count < 0 ? 0 : static_cast<uint32_t>(count);
}

PyObject* Attribute(PyObject* object, const char* name) {
  PyObject* const value = object == nullptr ? nullptr : python.PyObject_GetAttrString(object, name);
  if (value == nullptr) {
    python.PyErr_Clear();
  }
  return value;
}

bool SetItem(PyObject* dictionary, const char* name, PyObject* value) {
  const bool is_set = value != nullptr && python.PyDict_SetItemString(dictionary, name, value) == 0;
  if (value != nullptr) {
    python.Py_DecRef(value);
  }
  return is_set;
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

}  // namespace dsocr::agent
