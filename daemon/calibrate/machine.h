// What this machine has to run a model on, read from /proc: the daemon never loads a CUDA library.
#ifndef DSOCR_DAEMON_CALIBRATE_MACHINE_H_
#define DSOCR_DAEMON_CALIBRATE_MACHINE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/device/device.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::calibrate {

struct Machine {
  std::string cpu_name;           // "AMD EPYC 9B14"; "cpu" where /proc/cpuinfo has none
  int cpu_cores = 1;              // that this process may use
  std::vector<std::string> gpus;  // names by index: "NVIDIA H200"
  std::string gpu_driver;         // "580.95.05"; empty without one

  // `root`: "/" but in tests. Unreadable files mean that the thing is not there.
  static Machine Probe(const std::string& root = "/");
};

// A device to predict for, and what to say about it.
struct Target {
  analytic::Device figures;   // of the catalogue
  v1::DeviceInfo info;        // goes into provenance
  std::string runner_device;  // "cpu", "cuda:0"; empty: known from the catalogue alone, nothing can run on it here
};

// `name`: auto or empty (cuda:0 if there is one, else cpu), cpu, cuda:N, or a catalogue name. NOT_FOUND for a GPU that
// is not there and for an unknown name (with the nearest); FAILED_PRECONDITION for a GPU that the catalogue has no
// figures for.
absl::StatusOr<Target> ResolveDevice(std::string_view name, const Machine& machine);

// The catalogue's figures behind a report's provenance.device, on whichever machine it was made. NOT_FOUND as above.
absl::StatusOr<analytic::Device> DatasheetOf(const v1::DeviceInfo& info);

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_MACHINE_H_
