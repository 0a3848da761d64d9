// What a what-if changes, and the one list of its knobs: key, unit, parser and checks, for flags, sweeps and documents.
//
// docs/what-if.md has the model behind each knob. Values; safe from any thread.
#ifndef DSOCR_ANALYTIC_WHAT_IF_SCENARIO_H_
#define DSOCR_ANALYTIC_WHAT_IF_SCENARIO_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "analytic/device/device.h"
#include "analytic/precision.h"

namespace dsocr::analytic {

// Changes to a baseline; what is absent stays as it is there.
struct Scenario {
  std::optional<double> peak_tflops;           // of matrix products in the scenario's dtype, dense; 1e12 FLOP/s
  std::optional<double> memory_bandwidth_gbs;  // 1e9 bytes/s
  std::optional<double> batch_scale;           // times the baseline's batch; the product is a whole number
  const Device* device = nullptr;              // null: the baseline's; borrowed, e.g. from DeviceCatalogue()
  std::optional<int64_t> seq_len;              // tokens of the prompt, image tokens included
  std::optional<int64_t> page_width;           // pixels
  std::optional<int64_t> page_height;          // pixels
  std::optional<int64_t> base_size;            // pixels
  std::optional<int64_t> image_size;           // pixels
  std::optional<bool> crop_mode;
  std::optional<int64_t> max_new_tokens;
  std::optional<Precision> dtype;
  std::optional<bool> cuda_graphs;  // decode steps are replayed
  // Devices are data x tensor x expert. Absent: 1.
  std::optional<int64_t> data_parallel;
  std::optional<int64_t> tensor_parallel;
  std::optional<int64_t> expert_parallel;
  std::optional<double> link_gbs;  // between devices, each way; 1e9 bytes/s; absent: the device's own
};

// In the order of the documented list; an index into Knobs().
enum class KnobId : uint8_t {
  kPeakTflops,
  kMemoryBandwidthGbs,
  kBatchScale,
  kDeviceProfile,
  kSeqLen,
  kPage,
  kPageWidth,
  kPageHeight,
  kBaseSize,
  kImageSize,
  kCropMode,
  kMaxNewTokens,
  kDtype,
  kCudaGraphs,
  kDataParallel,
  kTensorParallel,
  kExpertParallel,
  kLinkGbs,
};

enum class KnobKind : uint8_t { kReal, kInteger, kSwitch, kName, kSize };

struct Knob {
  std::string_view key;  // as in documents; the flag is the same with dashes
  KnobKind kind;
  std::string_view help;  // with its unit
};

const std::vector<Knob>& Knobs();

// By key, dashes as good as underscores. INVALID_ARGUMENT suggests the nearest key.
absl::StatusOr<KnobId> FindKnob(std::string_view key);

// Sets one knob from text: "1.5", "1240x1754" (page), "l4" (device_profile), "fp8w" (dtype), "0" or "1" (switches).
// INVALID_ARGUMENT names the knob and the value; NOT_FOUND, with a suggestion, for a device that is not in the
// catalogue.
absl::Status SetKnob(KnobId knob, std::string_view value, Scenario* scenario);

// Sets a knob of kind kReal, kInteger or kSwitch. INVALID_ARGUMENT, naming the knob, for another kind, for a value that
// is not finite or not positive (a switch: 0 or 1), and for a fraction where whole numbers are wanted.
absl::Status SetKnob(KnobId knob, double value, Scenario* scenario);

using KnobValue = std::variant<int64_t, double, bool, std::string>;
struct Parameter {
  std::string_view key;
  KnobValue value;
};

// What the scenario changes, in the order of the list; a page whose both sides change is page_width and page_height.
std::vector<Parameter> ParametersOf(const Scenario& scenario);

}  // namespace dsocr::analytic

#endif  // DSOCR_ANALYTIC_WHAT_IF_SCENARIO_H_
