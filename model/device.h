// Where the model runs, and in what precision.
#ifndef DSOCR_MODEL_DEVICE_H_
#define DSOCR_MODEL_DEVICE_H_

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>

#include "model/error.h"

namespace dsocr::model {

// There is no such device: exit code 3, where other unusable input is 2.
class DeviceError : public InputError {
 public:
  using InputError::InputError;
};

struct DeviceInfo {
  std::string name;    // "AMD EPYC 9R14", "NVIDIA H200"
  std::string kind;    // "cpu" or "cuda"
  std::string driver;  // CUDA version that the driver supports, "13.0"; empty on a CPU
  int64_t cores = 0;   // CPUs this process may use, or multiprocessors
};

// "cpu" or "cuda:N". For cuda:N the CUDA backend of LibTorch is loaded into the process on first use (dlopen: this
// program links the CPU libraries alone). Throws InputError for another spelling, DeviceError where there is no driver,
// no backend or no such device.
at::Device OpenDevice(const std::string& name);

// REQUIRES: a device that OpenDevice returned.
DeviceInfo DescribeDevice(at::Device device);

// "fp32" or "bf16". Throws InputError.
at::ScalarType ParseDtype(const std::string& name);

// Highest resident set of this process so far.
int64_t PeakRssBytes();

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_DEVICE_H_
