// A stand-in for the part of libtorch_cuda.so that model/cuda_graph.h calls: writes down each call and its arguments.
#ifndef DSOCR_TESTS_FAKE_FAKE_TORCH_CUDA_H_
#define DSOCR_TESTS_FAKE_FAKE_TORCH_CUDA_H_

#include <string>
#include <vector>

// In order, such as "capture_begin({0, 7}, 1)". The caller may add to it and clear it.
std::vector<std::string>& FakeTorchCudaCalls();

#endif  // DSOCR_TESTS_FAKE_FAKE_TORCH_CUDA_H_
