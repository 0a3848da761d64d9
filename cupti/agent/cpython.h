// CPython: what its stable ABI says of itself, as far as the agent uses it. Nothing of it is linked and none of its
// headers is seen: its functions are looked up in the process.
#ifndef DSOCR_CUPTI_AGENT_CPYTHON_H_
#define DSOCR_CUPTI_AGENT_CPYTHON_H_

#include <cstddef>
#include <cstdint>

#include "cupti/agent/intern.h"

namespace dsocr::agent {

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

extern Python python;  // null until it was found

enum class Interpreter {
  kAbsent,       // no CPython in this process
  kUnsupported,  // it ends, or something that is needed is not there
  kNotYet,       // it has not begun
  kRunning,
};

// Looks for it, each time anew.
Interpreter FindPython();

// The interpreter's end: who asks for the GIL while it comes may never come back, and who asks afterwards crashes. So
// the agent asks through these alone.
//
// Waits 100 ms at most for the main thread, which then says in time that the end comes.
void AwaitExitGuard();
// False: the interpreter ends. Waits for as long as the GIL is not given.
bool TakeGil(int* gil);
void GiveGil(int gil);
bool IsPythonLeaving();

// --- Under the GIL. No error of Python's is left behind, but by SetItem.

PyObject* None();  // a new reference
// Empty: it is no text.
Text TextOf(PyObject* object);
// The first `capacity` sizes of a tuple; how many it has.
uint32_t SizesOf(PyObject* tuple, uint32_t* sizes, PySize capacity);
// New reference or null.
PyObject* Attribute(PyObject* object, const char* name);
// Takes a reference over. False: it is null, or Python refuses.
bool SetItem(PyObject* dictionary, const char* name, PyObject* value);
// Of sys.modules, and not while it is being imported.
bool IsImported(const char* module);

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_CPYTHON_H_
