#include "daemon/calibrate/machine.h"

#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/scratch_directory.h"

namespace dsocr::calibrate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class MachineTest : public ::testing::Test {
 protected:
  void AddGpu(const std::string& pci, const std::string& name, int minor) {
    root_.Write("proc/driver/nvidia/gpus/" + pci + "/information",
                "Model: \t\t " + name + "\nIRQ:   \t 12\nDevice Minor: \t " + std::to_string(minor) + "\n");
    root_.Write("dev/nvidia" + std::to_string(minor), "");
  }

  const ScratchDirectory root_;
};

TEST_F(MachineTest, ReadsCpuGpusAndDriver) {
  root_.Write("proc/cpuinfo",
              "processor\t: 0\nmodel name\t: AMD EPYC 9B14\nprocessor\t: 1\nmodel name\t: AMD EPYC 9B14\n");
  root_.Write("proc/driver/nvidia/version",
              "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23 10:11:16 UTC 2025\n");
  AddGpu("0000:01:00.0", "NVIDIA H200", 0);
  AddGpu("0000:02:00.0", "NVIDIA GeForce RTX 4090", 1);
  const Machine machine = Machine::Probe(root_.path());
  EXPECT_EQ(machine.cpu_name, "AMD EPYC 9B14");
  EXPECT_GE(machine.cpu_cores, 1);
  EXPECT_THAT(machine.gpus, ElementsAre("NVIDIA H200", "NVIDIA GeForce RTX 4090"));
  EXPECT_EQ(machine.gpu_driver, "580.95.05");
}

TEST_F(MachineTest, GpuWithoutItsDeviceFileIsNotThere) {
  AddGpu("0000:01:00.0", "NVIDIA H200", 0);
  std::filesystem::remove(root_ / "dev/nvidia0");
  EXPECT_TRUE(Machine::Probe(root_.path()).gpus.empty());
}

TEST_F(MachineTest, BareMachineHasACpuAlone) {
  const Machine machine = Machine::Probe(root_.path());
  EXPECT_EQ(machine.cpu_name, "cpu");
  EXPECT_TRUE(machine.gpus.empty());
}

TEST(ResolveDeviceTest, AutoTakesTheFirstGpuElseTheCpu) {
  EXPECT_EQ(ResolveDevice("auto", {.cpu_name = "x"})->runner_device, "cpu");
  EXPECT_EQ(ResolveDevice("", {.gpus = {"NVIDIA H200"}})->runner_device, "cuda:0");
}

TEST(ResolveDeviceTest, GpuFiguresComeFromTheCatalogueByName) {
  const Machine machine{.gpus = {"NVIDIA GeForce RTX 4090", "NVIDIA L4", "Tesla K80"}};
  EXPECT_EQ(ResolveDevice("cuda:0", machine)->figures.name, "rtx-4090");
  EXPECT_EQ(ResolveDevice("cuda:1", machine)->figures.name, "l4");
  EXPECT_EQ(ResolveDevice("cuda:2", machine).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(ResolveDeviceTest, GpuThatIsNotThereIsNotFound) {
  const absl::StatusOr<Target> target = ResolveDevice("cuda:0", {});
  EXPECT_EQ(target.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(target.status().message()), HasSubstr("no GPU on this machine"));
}

TEST(ResolveDeviceTest, MalformedIndexIsInvalid) {
  for (const char* name : {"cuda:", "cuda:x", "cuda:-1", "cuda:99999999999"}) {
    EXPECT_EQ(ResolveDevice(name, {}).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST(ResolveDeviceTest, UnknownNameSuggestsTheNearest) {
  EXPECT_THAT(std::string(ResolveDevice("cpi", {}).status().message()), HasSubstr("did you mean 'cpu'?"));
}

TEST(ResolveDeviceTest, CatalogueDeviceCannotRunHere) { EXPECT_EQ(ResolveDevice("h200-sxm", {})->runner_device, ""); }

}  // namespace
}  // namespace dsocr::calibrate
