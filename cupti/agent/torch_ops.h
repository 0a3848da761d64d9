// Operations on a CPU: PyTorch's operator callbacks, one record for each outermost operator call of a thread.
//
// torch_ops.cc is the one file of the agent that sees an ATen header (ATen/record_function.h). It links nothing of
// torch: the functions are looked up in the libtorch_cpu.so that the process has loaded, and used only if that
// library's version is the header's (major and minor), because the callback is a C++ struct passed by value.
//
// Threads: Install, Remove, TellShapes, Enable and Measure on one thread at a time; the callbacks run wherever
// operators run.
#ifndef DSOCR_CUPTI_AGENT_TORCH_OPS_H_
#define DSOCR_CUPTI_AGENT_TORCH_OPS_H_

#include "cupti/agent/recorder.h"

namespace dsocr::agent {

enum class TorchState {
  kAbsent,       // the process has no libtorch_cpu.so (yet)
  kUnsupported,  // it has one of another version, or one that lacks a function
  kInstalled,
};

// Idempotent. Never loads a library.
TorchState InstallTorchCallbacks() noexcept;

// After it, no new operator call is recorded; calls in progress end quietly.
void RemoveTorchCallbacks() noexcept;

// Whether operators tell what they were called with (record::OperatorShape), from now on and with later installations.
// torch then boxes the arguments of every call, deeper ones too. At first: no.
void TellShapes(bool wanted) noexcept;

// Off: the callbacks stay registered and cost nothing.
void EnableTorchCallbacks(bool enabled) noexcept;

// Measures on this thread what the callbacks cost, torch's own machinery included, into operation_record_ps and
// nested_call_ps. REQUIRES: installed, and SetThreadRecorder was called with a private recorder whose ring has room for
// `calls` records.
void MeasureTorchCallbacks(int calls, record::Statistics* statistics) noexcept;

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_TORCH_OPS_H_
