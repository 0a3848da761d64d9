#include <utility>

#include "analytic/device/device.h"
#include "base/suggest.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

constexpr double kTera = 1e12;
constexpr double kGiga = 1e9;
constexpr double kMega = 1e6;

// An eager PyTorch operator from C++: dispatch, library heuristics and driver launch. Public eager traces show 4-6 us
// with the driver on a fast host; it is a property of the host, so one figure for all GPUs until a host is calibrated.
constexpr double kEagerLaunchNs = 5000;
// Where the host reads a value back, eager traces show some 5 us from the last kernel to its next call.
constexpr double kEagerSyncNs = 5000;

// The smallest kernel with its gap: floors of measured matrix product tables under graph replay, H100 2.52, H200 2.44,
// A100 2.46, L40S 1.65, B200 1.79, RTX PRO 6000 1.81 us. L4 and RTX 4090 are of the L40S's generation, the RTX 5090 of
// the PRO 6000's. No such table of a T4 is known to us: the slowest of the others.
constexpr double kH100KernelNs = 2520;
constexpr double kH200KernelNs = 2440;
constexpr double kA100KernelNs = 2460;
constexpr double kAdaKernelNs = 1650;
constexpr double kB200KernelNs = 1790;
constexpr double kBlackwellKernelNs = 1810;
constexpr double kT4KernelNs = 2520;

// Between GPUs of a node, each way, as the product's datasheet has it: half of the NVLink total, or PCIe x16. Latency
// of one step of a ring, small messages: NCCL's tuning table (src/graph/tuning.cc, hwLat, ring with the LL protocol).
struct Link {
  double gb_per_s;
  double step_ns;
};
constexpr Link kNvlink5 = {900, 470};
constexpr Link kNvlink4 = {450, 470};
constexpr Link kNvlink3 = {300, 470};
constexpr Link kPcie5 = {64, 1000};
constexpr Link kPcie4 = {32, 1000};
constexpr Link kPcie3 = {16, 1000};

// Compute capability, multiprocessors, bf16 FLOP that one does in a clock (dense, fp32 accumulation), the clock at
// which the peak is quoted, the boost clock, and the L2 cache. Multiprocessors, FLOP and clock multiply to the peak.
struct Silicon {
  int compute_capability;
  int sm_count;
  int flops_per_clock;
  double tensor_mhz;
  double boost_mhz;
  double l2_mib;
};

// One row of the catalogue of GPUs. Peaks are dense, in TFLOP/s; bf16 with fp32 accumulation. fp32 is the rate of the
// CUDA cores: PyTorch keeps TF32 off for matrix products unless it is asked.
struct GpuRow {
  const char* name;
  double bf16_tflops;
  double fp32_tflops;
  double tf32_tflops;
  double memory_gb_per_s;
  double memory_gb;
  const Link& link;
  double min_kernel_ns;
  Silicon silicon;
  const char* source;
};

constexpr GpuRow kGpus[] = {
    {"h200-sxm",
     989.4,
     66.9,
     494.7,
     4800,
     141,
     kNvlink4,
     kH200KernelNs,
     {90, 132, 4096, 1830, 1980, 50},
     "NVIDIA H200 Tensor Core GPU datasheet, 2024; dense"},
    {"h100-sxm",
     989.4,
     66.9,
     494.7,
     3350,
     80,
     kNvlink4,
     kH100KernelNs,
     {90, 132, 4096, 1830, 1980, 50},
     "NVIDIA H100 Tensor Core GPU datasheet, 2023; dense"},
    {"a100-sxm-80gb",
     312,
     19.5,
     156,
     2039,
     80,
     kNvlink3,
     kA100KernelNs,
     {80, 108, 2048, 1410, 1410, 40},
     "NVIDIA A100 Tensor Core GPU datasheet, 2021; dense"},
    {"l4",
     121,
     30.3,
     60,
     300,
     24,
     kPcie4,
     kAdaKernelNs,
     {89, 58, 1024, 2040, 2040, 48},
     "NVIDIA L4 Tensor Core GPU datasheet, 2023; dense, at boost clock"},
    {"rtx-4090",
     165.2,
     82.6,
     82.6,
     1008,
     24,
     kPcie4,
     kAdaKernelNs,
     {89, 128, 512, 2520, 2520, 72},
     "NVIDIA Ada GPU Architecture whitepaper, 2022; dense, fp32 accumulation"},
    {"rtx-5090",
     209.5,
     104.8,
     104.8,
     1792,
     32,
     kPcie5,
     kBlackwellKernelNs,
     {120, 170, 512, 2407, 2407, 96},
     "NVIDIA RTX Blackwell GPU Architecture whitepaper, 2025; dense, fp32 accumulation"},
};

// After the CPU, so that the devices before keep their places.
constexpr GpuRow kMoreGpus[] = {
    {"h100-pcie",
     756,
     51.2,
     378,
     2000,
     80,
     kPcie5,
     kH100KernelNs,
     {90, 114, 4096, 1620, 1755, 50},
     "NVIDIA H100 PCIe GPU product brief, 2022; dense"},
    {"a100-sxm-40gb",
     312,
     19.5,
     156,
     1555,
     40,
     kNvlink3,
     kA100KernelNs,
     {80, 108, 2048, 1410, 1410, 40},
     "NVIDIA A100 Tensor Core GPU datasheet, 2021; dense"},
    {"l40s",
     362.05,
     91.6,
     183,
     864,
     48,
     kPcie4,
     kAdaKernelNs,
     {89, 142, 1024, 2520, 2520, 96},
     "NVIDIA L40S GPU datasheet, 2023; dense"},
    {"b200",
     2250,
     80,
     1125,
     8000,
     180,
     kNvlink5,
     kB200KernelNs,
     {100, 148, 8192, 1860, 1965, 126},
     "NVIDIA HGX B200 datasheet, 2024; dense; clocks by arithmetic, L2 as reported by users: query it at run time"},
    {"t4",
     65,
     8.1,
     8.1,
     320,
     16,
     kPcie3,
     kT4KernelNs,
     {75, 40, 1024, 1590, 1590, 4},
     "NVIDIA T4 datasheet, 2019; the 16-bit figure is fp16's: it has neither bf16 nor TF32 units"},
};

Device Gpu(const GpuRow& row) {
  Device device;
  device.name = row.name;
  device.kind = DeviceKind::kCuda;
  device.matrix_bf16_flops_per_s = row.bf16_tflops * kTera;
  device.matrix_fp32_flops_per_s = row.fp32_tflops * kTera;
  device.matrix_tf32_flops_per_s = row.tf32_tflops * kTera;
  device.vector_flops_per_s = row.fp32_tflops * kTera;
  device.memory_bytes_per_s = row.memory_gb_per_s * kGiga;
  device.memory_bytes = static_cast<int64_t>(row.memory_gb * kGiga);
  device.link_bytes_per_s = row.link.gb_per_s * kGiga;
  device.link_latency_ns = row.link.step_ns;
  device.launch_ns = kEagerLaunchNs;
  device.sync_ns = kEagerSyncNs;
  device.min_kernel_ns = row.min_kernel_ns;
  device.compute_capability = row.silicon.compute_capability;
  device.sm_count = row.silicon.sm_count;
  device.matrix_flops_per_clock = row.silicon.flops_per_clock;
  device.tensor_clock_hz = row.silicon.tensor_mhz * kMega;
  device.boost_clock_hz = row.silicon.boost_mhz * kMega;
  device.l2_bytes = static_cast<int64_t>(row.silicon.l2_mib * 1024 * 1024);
  device.source = row.source;
  return device;
}

// Two cores of a Zen 4 class server (AVX512 with bf16 dot products) at 3.7 GHz: fp32 2 x 2 FMA units x 8 lanes x 2 FLOP
// x 3.7 GHz, bf16 twice that. Memory: what one stream of weights reached there (lm_head over one row, 21.5 GB/s in
// bf16, torch 2.11, two threads).
Device Cpu() {
  constexpr double kClockHz = 3.7e9;
  constexpr double kCores = 2;
  constexpr double kFp32FlopsPerClock = 32;
  Device device;
  device.name = "cpu";
  device.kind = DeviceKind::kCpu;
  device.matrix_fp32_flops_per_s = kCores * kFp32FlopsPerClock * kClockHz;
  device.matrix_bf16_flops_per_s = 2 * device.matrix_fp32_flops_per_s;
  device.matrix_tf32_flops_per_s = device.matrix_fp32_flops_per_s;  // no such format: fp32 it is
  device.vector_flops_per_s = device.matrix_fp32_flops_per_s / 2;   // no fused multiply-add
  device.memory_bytes_per_s = 21.5 * kGiga;
  device.memory_bytes = static_cast<int64_t>(24 * 1.073741824 * kGiga);  // 24 GiB
  // Between machines: 100 Gbit/s, a step of a ring as NCCL has it for networks.
  device.link_bytes_per_s = 12.5 * kGiga;
  device.link_latency_ns = 2700;
  // A small operator, dispatch and output allocation included: 0.3 us for an in-place add of four numbers, 1-5 us for
  // the operators of a decode step, whose threads must be woken.
  device.launch_ns = 2000;
  device.min_kernel_ns = 300;
  device.source = "generic: 2 cores of a Zen 4 class server at 3.7 GHz by arithmetic, memory bandwidth measured";
  return device;
}

}  // namespace

const std::vector<Device>& DeviceCatalogue() {
  static const auto& catalogue = *new std::vector<Device>([] {
    std::vector<Device> devices;
    for (const GpuRow& row : kGpus) {
      devices.push_back(Gpu(row));
    }
    devices.push_back(Cpu());
    for (const GpuRow& row : kMoreGpus) {
      devices.push_back(Gpu(row));
    }
    return devices;
  }());
  return catalogue;
}

absl::StatusOr<Device> FindDevice(std::string_view name) {
  std::vector<std::string> names;
  for (const Device& device : DeviceCatalogue()) {
    if (device.name == name) {
      return device;
    }
    names.push_back(device.name);
  }
  return absl::NotFoundError(fmt::format("no device '{}': not in the catalogue{}", name,
                                         DidYouMean(name, names, "'dsocrctl devices' lists them")));
}

}  // namespace dsocr::analytic
