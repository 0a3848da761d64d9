// A GPU that is not there, and the libcupti.so.13 that tells of it: what a job says to the driver.
//
// Behind these functions is one simulated device of streams, each with its own timeline on CLOCK_REALTIME, which is
// CUPTI's clock. A launch costs the job about 100 ns; the device does the work later, and the records of it go to
// whoever has registered with the cupti* functions of the same library. README.md says what is like real CUPTI and what
// is assumed.
//
// Linked, or found with dlsym. Safe from any thread. Handles live for ever, but those of graphs only until destroyed.
#ifndef DSOCR_TESTS_FAKE_FAKE_GPU_H_
#define DSOCR_TESTS_FAKE_FAKE_GPU_H_

#include <cstdint>

extern "C" {

using fake_gpu_stream_t = void*;    // a CUstream
using fake_gpu_function_t = void*;  // a CUfunction
using fake_gpu_graph_t = void*;     // a CUgraph
using fake_gpu_exec_t = void*;      // a CUgraphExec

// Which function of CUDA the job called. A runtime call contains a driver call of the same correlation id.
enum fake_gpu_api : int { FAKE_GPU_DRIVER, FAKE_GPU_DRIVER_EX, FAKE_GPU_RUNTIME };

enum fake_gpu_copy_kind : int { FAKE_GPU_HTOD, FAKE_GPU_DTOH, FAKE_GPU_DTOD };

// cuInit: calls InitializeInjection of the library that CUDA_INJECTION64_PATH names, once in a process.
void fake_gpu_init();

// The stream `id` of the context `context` (1, 2, …); made at the first call.
fake_gpu_stream_t fake_gpu_stream(uint32_t context, uint32_t id);
fake_gpu_function_t fake_gpu_function(const char* name);

// Each returns what the CUDA call returned: 0, or an error that a fault asked for. The work begins when the stream has
// done all that it was asked for before. On a capturing stream a launch becomes a node and no work.
int fake_gpu_launch(fake_gpu_function_t function, int64_t duration_ns, fake_gpu_stream_t stream, fake_gpu_api api);
int fake_gpu_copy(fake_gpu_copy_kind kind, uint64_t bytes, int64_t duration_ns, fake_gpu_stream_t stream,
                  fake_gpu_api api);
int fake_gpu_set(uint64_t bytes, int64_t duration_ns, fake_gpu_stream_t stream);

// cuStreamSynchronize: returns when the stream has done its work.
void fake_gpu_synchronize(fake_gpu_stream_t stream);

// The address. The first is 0x7f0000000000.
uint64_t fake_gpu_allocate(uint64_t bytes);
void fake_gpu_free(uint64_t address);

// CUPTI says that it was busy itself for so long, just now.
void fake_gpu_overhead(int64_t duration_ns);

// REQUIRES: one capture at a time on a stream.
void fake_gpu_begin_capture(fake_gpu_stream_t stream);
fake_gpu_graph_t fake_gpu_end_capture(fake_gpu_stream_t stream);
fake_gpu_exec_t fake_gpu_instantiate(fake_gpu_graph_t graph);
int fake_gpu_graph_launch(fake_gpu_exec_t exec, fake_gpu_stream_t stream);
// The nodes of `exec` do what those of `graph` do. REQUIRES: as many nodes.
void fake_gpu_update(fake_gpu_exec_t exec, fake_gpu_graph_t graph);
void fake_gpu_destroy_graph(fake_gpu_graph_t graph);
void fake_gpu_destroy_exec(fake_gpu_exec_t exec);
// The id of the next graph or executable graph: drivers use ids again.
void fake_gpu_set_next_graph_id(uint32_t id);

// Arms a fault, or sets the version; README.md lists them. Null, or what is wrong with the text. The environment
// variable FAKE_CUPTI_FAULTS holds such lines too, separated by ';', for a process that says nothing itself.
const char* fake_gpu_fault(const char* text);

// Completes the buffer that CUPTI is filling, once it holds the records of all work that is done.
void fake_gpu_deliver();

// Returns when a flush is in progress. For a job that ends in the middle of one.
void fake_gpu_wait_for_flush();

// How many kinds of activity record are enabled now; how many API records alone are is not counted.
int fake_gpu_enabled_kinds();
}

#endif  // DSOCR_TESTS_FAKE_FAKE_GPU_H_
