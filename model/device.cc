#include "model/device.h"

#include <dlfcn.h>
#include <sched.h>
#include <sys/resource.h>

#include <array>
#include <charconv>
#include <fstream>
#include <optional>

namespace dsocr::model {
namespace {

constexpr char kTodo[] = "use --device cpu";

// The few functions of the CUDA driver that say what device there is (cuda.h, CUDA 13.0); the library is there only
// where a driver is.
class CudaDriver {
 public:
  static const CudaDriver* Get() {
    static const CudaDriver driver;
    return driver.is_ready_ ? &driver : nullptr;
  }

  int DeviceCount() const {
    int count = 0;
    return count_(&count) == kSuccess ? count : 0;
  }

  DeviceInfo Describe(int index) const {
    DeviceInfo info;
    info.kind = "cuda";
    int device = 0, version = 0, multiprocessors = 0;
    std::array<char, 256> name = {};
    if (get_(&device, index) == kSuccess && name_(name.data(), name.size() - 1, device) == kSuccess)
      info.name = name.data();
    if (version_(&version) == kSuccess) {
      info.driver = std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
    }
    if (attribute_(&multiprocessors, kMultiprocessorCount, device) == kSuccess) info.cores = multiprocessors;
    return info;
  }

 private:
  static constexpr int kSuccess = 0;
  static constexpr int kMultiprocessorCount = 16;  // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT

  CudaDriver() {
    void* library = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    int (*init)(unsigned) = nullptr;
    is_ready_ = Find(library, "cuInit", init) && Find(library, "cuDeviceGetCount", count_) &&
                Find(library, "cuDeviceGet", get_) && Find(library, "cuDeviceGetName", name_) &&
                Find(library, "cuDriverGetVersion", version_) && Find(library, "cuDeviceGetAttribute", attribute_) &&
                init(0) == kSuccess;
  }

  template <typename Function>
  static bool Find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    return function != nullptr;
  }

  bool is_ready_ = false;
  int (*count_)(int*) = nullptr;
  int (*get_)(int*, int) = nullptr;
  int (*name_)(char*, int, int) = nullptr;
  int (*version_)(int*) = nullptr;
  int (*attribute_)(int*, int, int) = nullptr;
};

std::optional<int> CudaIndex(const std::string& name) {
  constexpr std::string_view kPrefix = "cuda:";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int index = -1;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, index);
  if (error != std::errc() || stop != end || index < 0 || index > 127) return std::nullopt;
  return index;
}

std::string CpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown CPU";
}

}  // namespace

at::Device OpenDevice(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  const std::string what = "device '" + name + "'";
  const std::optional<int> index = CudaIndex(name);
  if (!index) throw InputError(ErrorCode::kInvalidArgument, what, "neither cpu nor cuda:N", kTodo);
  const CudaDriver* driver = CudaDriver::Get();
  if (driver == nullptr) {
    throw DeviceError(ErrorCode::kNotFound, what, "no NVIDIA driver answers on this machine", kTodo);
  }
  if (*index >= driver->DeviceCount()) {
    throw DeviceError(ErrorCode::kNotFound, what,
                      "this machine has " + std::to_string(driver->DeviceCount()) + " CUDA devices", kTodo);
  }
  if (::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    throw DeviceError(ErrorCode::kFailedPrecondition, what,
                      std::string("the CUDA backend of LibTorch does not load: ") + ::dlerror(),
                      "install the full set of LibTorch wheels ('make build' on a machine with the driver does)");
  }
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(*index));
}

DeviceInfo DescribeDevice(at::Device device) {
  if (device.is_cuda()) return CudaDriver::Get()->Describe(device.index());
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const bool is_known = ::sched_getaffinity(0, sizeof(allowed), &allowed) == 0;
  return {.name = CpuName(), .kind = "cpu", .driver = "", .cores = is_known ? CPU_COUNT(&allowed) : 1};
}

at::ScalarType ParseDtype(const std::string& name) {
  if (name == "fp32") return at::kFloat;
  if (name == "bf16") return at::kBFloat16;
  throw InputError(ErrorCode::kInvalidArgument, "dtype '" + name + "'", "not one that the runner executes",
                   "use fp32 or bf16");
}

int64_t PeakRssBytes() {
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;  // Linux counts in KiB
}

}  // namespace dsocr::model
