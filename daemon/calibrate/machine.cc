#include "daemon/calibrate/machine.h"

#include <sched.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "base/status.h"
#include "base/suggest.h"
#include "fmt/format.h"

namespace dsocr::calibrate {
namespace {

// The value behind "key : value" of the first such line; empty if there is none.
std::string FieldOf(const std::string& path, std::string_view key) {
  std::ifstream stream(path);
  for (std::string line; std::getline(stream, line);) {
    if (const size_t colon = line.find(':'); line.starts_with(key) && colon != std::string::npos) {
      const size_t start = line.find_first_not_of(" \t", colon + 1);
      const size_t end = line.find_last_not_of(" \t");
      return start == std::string::npos ? "" : line.substr(start, end + 1 - start);
    }
  }
  return "";
}

int UsableCores() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof(set), &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

// "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep …" -> "580.95.05"
std::string DriverVersion(const std::string& version_line) {
  for (size_t begin = 0; begin < version_line.size();) {
    const size_t end = std::min(version_line.find(' ', begin), version_line.size());
    const std::string word = version_line.substr(begin, end - begin);
    const bool is_version =
        word.find('.') != std::string::npos &&
        std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::isdigit(c) || c == '.'; });
    if (is_version) {
      return word;
    }
    begin = end + 1;
  }
  return "";
}

std::vector<std::string> GpuNames(const std::string& proc, const std::string& dev) {
  std::error_code error;
  std::vector<std::string> directories;  // PCI addresses: their order is that of the device numbers
  for (std::filesystem::directory_iterator it(proc + "/driver/nvidia/gpus", error), end; !error && it != end;
       it.increment(error)) {
    directories.push_back(it->path().string());
  }
  std::sort(directories.begin(), directories.end());
  std::vector<std::string> names;
  for (const std::string& directory : directories) {
    const std::string information = directory + "/information";
    // A container may see the driver's list and not the device itself.
    if (std::filesystem::exists(fmt::format("{}/nvidia{}", dev, FieldOf(information, "Device Minor")), error)) {
      names.push_back(FieldOf(information, "Model"));
    }
  }
  return names;
}

// The driver's names of the GPUs that the catalogue has figures for. Variants (PCIe, NVL, …) differ in memory and
// clock: they are not these.
struct GpuName {
  std::string_view driver;
  std::string_view catalogue;
};
constexpr GpuName kGpuNames[] = {
    {"NVIDIA H200", "h200-sxm"},
    {"NVIDIA H100 80GB HBM3", "h100-sxm"},
    {"NVIDIA A100-SXM4-80GB", "a100-sxm-80gb"},
    {"NVIDIA L4", "l4"},
    {"NVIDIA GeForce RTX 4090", "rtx-4090"},
    {"NVIDIA GeForce RTX 5090", "rtx-5090"},
    {"NVIDIA H100 PCIe", "h100-pcie"},
    {"NVIDIA A100-SXM4-40GB", "a100-sxm-40gb"},
    {"NVIDIA L40S", "l40s"},
    {"NVIDIA B200", "b200"},
    {"Tesla T4", "t4"},
};

std::optional<analytic::Device> CatalogueEntryOf(std::string_view gpu) {
  for (const GpuName& name : kGpuNames) {
    if (absl::StatusOr<analytic::Device> device = analytic::FindDevice(name.catalogue);
        name.driver == gpu && device.ok()) {
      return *std::move(device);
    }
  }
  return std::nullopt;
}

absl::StatusOr<Target> CpuTarget(const Machine& machine) {
  DSOCR_ASSIGN_OR_RETURN(const analytic::Device device, analytic::FindDevice("cpu"));
  Target target{.figures = device, .info = {}, .runner_device = "cpu"};
  target.info.set_name(machine.cpu_name);
  target.info.set_kind("cpu");
  target.info.set_cores(machine.cpu_cores);
  return target;
}

absl::StatusOr<Target> GpuTarget(std::string_view name, const Machine& machine) {
  uint32_t index = 0;
  const std::string_view digits = name.substr(std::string_view("cuda:").size());
  if (!absl::SimpleAtoi(absl::string_view(digits.data(), digits.size()), &index)) {
    return absl::InvalidArgumentError(
        fmt::format("device '{}': expected cuda:N; 'dsocrctl devices' lists what there is", name));
  }
  if (index >= machine.gpus.size()) {
    const std::string why = machine.gpus.empty() ? "no GPU on this machine"
                                                 : fmt::format("this machine has {} GPU(s)", machine.gpus.size());
    return absl::NotFoundError(fmt::format("no device '{}': {}; 'dsocrctl devices' lists what there is", name, why));
  }
  const std::string& gpu = machine.gpus[index];
  const std::optional<analytic::Device> figures = CatalogueEntryOf(gpu);
  if (!figures) {
    return absl::FailedPreconditionError(fmt::format(
        "device '{}': no figures for a '{}'; name a near one of 'dsocrctl devices' with --device", name, gpu));
  }
  Target target{.figures = *figures, .info = {}, .runner_device = fmt::format("cuda:{}", index)};
  target.info.set_name(gpu);
  target.info.set_kind("cuda");
  target.info.set_driver(machine.gpu_driver);
  return target;
}

absl::StatusOr<Target> CatalogueTarget(std::string_view name) {
  std::vector<std::string> known{"auto", "cpu", "cuda:0"};
  for (const analytic::Device& device : analytic::DeviceCatalogue()) {
    if (device.name == name) {
      Target target{.figures = device, .info = {}, .runner_device = ""};
      target.info.set_name(device.name);
      target.info.set_kind(device.kind == analytic::DeviceKind::kCpu ? "cpu" : "cuda");
      return target;
    }
    known.push_back(device.name);
  }
  return absl::NotFoundError(fmt::format("no device '{}': not in the catalogue{}", name,
                                         DidYouMean(name, known, "'dsocrctl devices' lists what there is")));
}

}  // namespace

Machine Machine::Probe(const std::string& root) {
  const std::string proc = (std::filesystem::path(root) / "proc").string();
  Machine machine;
  machine.cpu_name = FieldOf(proc + "/cpuinfo", "model name");
  if (machine.cpu_name.empty()) {
    machine.cpu_name = "cpu";
  }
  machine.cpu_cores = UsableCores();
  machine.gpus = GpuNames(proc, (std::filesystem::path(root) / "dev").string());
  machine.gpu_driver = DriverVersion(FieldOf(proc + "/driver/nvidia/version", "NVRM version"));
  return machine;
}

absl::StatusOr<Target> ResolveDevice(std::string_view name, const Machine& machine) {
  if (name.empty() || name == "auto") {
    name = machine.gpus.empty() ? "cpu" : "cuda:0";
  }
  if (name == "cpu") {
    return CpuTarget(machine);
  }
  return name.starts_with("cuda:") ? GpuTarget(name, machine) : CatalogueTarget(name);
}

absl::StatusOr<analytic::Device> DatasheetOf(const v1::DeviceInfo& info) {
  if (std::optional<analytic::Device> figures = CatalogueEntryOf(info.name())) {
    return *std::move(figures);
  }
  return analytic::FindDevice(info.kind() == "cpu" ? "cpu" : info.name());
}

}  // namespace dsocr::calibrate
