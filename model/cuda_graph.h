// CUDA graphs through LibTorch, whose at::cuda::CUDAGraph keeps a graph's memory apart from that of other work.
//
// It is in libtorch_cuda.so, which this program loads rather than links, and its header wants headers of the CUDA
// toolkit that the wheels lack. So its members are looked up by their mangled names and called as what they are in the
// Itanium C++ ABI: functions whose first argument is the object. A mangled name spells the types of the parameters;
// what it does not spell (the order of members, the size of an object) is left to those functions alone, and the size
// is held to the header by a test.
//
// Not yet run on a GPU. Proved without one: the names are exported by the library, the arguments arrive in functions
// that a compiler made of the same declarations, and an object fits.
#ifndef DSOCR_MODEL_CUDA_GRAPH_H_
#define DSOCR_MODEL_CUDA_GRAPH_H_

#include <c10/core/Device.h>
#include <c10/core/Stream.h>

#include <cstddef>
#include <span>

#include "model/device_graph.h"

namespace dsocr::model {

// What is looked up: mangled names, all of them exported by libtorch_cuda.so of torch 2.11.
std::span<const char* const> CudaGraphSymbols();

// Room for an at::cuda::CUDAGraph: 104 bytes in torch 2.11.
inline constexpr size_t kCudaGraphBytes = 256;

// A maker of graphs that share one pool of memory: they hold as much as the largest of them, and a replay may overwrite
// what another returned. REQUIRES: OpenDevice("cuda:N"). Throws InputError where the loaded library lacks a symbol.
MakeDeviceGraph CudaGraphs();

// A stream that work can be captured on: the default one is not.
c10::Stream CaptureStream(c10::Device device);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_CUDA_GRAPH_H_
