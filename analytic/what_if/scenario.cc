#include "analytic/what_if/scenario.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "base/status.h"
#include "base/suggest.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

constexpr Precision kPrecisions[] = {Precision::kFp32, Precision::kTf32, Precision::kBf16, Precision::kFp8w,
                                     Precision::kInt4w};
// Whole numbers in doubles beyond this are not exact.
constexpr double kMaxWhole = 9007199254740992.0;

const Knob& KnobOf(KnobId knob) { return Knobs()[static_cast<size_t>(knob)]; }

// The member of the scenario that a knob of one kind sets; null for knobs of other kinds.
std::optional<double>* RealOf(KnobId knob, Scenario* scenario) {
  switch (knob) {
    case KnobId::kPeakTflops:
      return &scenario->peak_tflops;
    case KnobId::kMemoryBandwidthGbs:
      return &scenario->memory_bandwidth_gbs;
    case KnobId::kBatchScale:
      return &scenario->batch_scale;
    case KnobId::kLinkGbs:
      return &scenario->link_gbs;
    default:
      return nullptr;
  }
}

std::optional<int64_t>* IntegerOf(KnobId knob, Scenario* scenario) {
  switch (knob) {
    case KnobId::kSeqLen:
      return &scenario->seq_len;
    case KnobId::kPageWidth:
      return &scenario->page_width;
    case KnobId::kPageHeight:
      return &scenario->page_height;
    case KnobId::kBaseSize:
      return &scenario->base_size;
    case KnobId::kImageSize:
      return &scenario->image_size;
    case KnobId::kMaxNewTokens:
      return &scenario->max_new_tokens;
    case KnobId::kDataParallel:
      return &scenario->data_parallel;
    case KnobId::kTensorParallel:
      return &scenario->tensor_parallel;
    case KnobId::kExpertParallel:
      return &scenario->expert_parallel;
    default:
      return nullptr;
  }
}

std::optional<bool>* SwitchOf(KnobId knob, Scenario* scenario) {
  switch (knob) {
    case KnobId::kCropMode:
      return &scenario->crop_mode;
    case KnobId::kCudaGraphs:
      return &scenario->cuda_graphs;
    default:
      return nullptr;
  }
}

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

absl::Status SetPage(std::string_view value, Scenario* scenario) {
  const size_t by = value.find('x');
  const auto width = ParseNumber<int64_t>(value.substr(0, by));
  const auto height = ParseNumber<int64_t>(by == std::string_view::npos ? "" : value.substr(by + 1));
  if (!width || !height || *width <= 0 || *height <= 0) {
    return absl::InvalidArgumentError(fmt::format("page '{}': not WIDTHxHEIGHT; give pixels as in 1240x1754", value));
  }
  scenario->page_width = width;
  scenario->page_height = height;
  return absl::OkStatus();
}

absl::Status SetDevice(std::string_view value, Scenario* scenario) {
  for (const Device& device : DeviceCatalogue()) {
    if (device.name == value) {
      scenario->device = &device;
      return absl::OkStatus();
    }
  }
  return FindDevice(value).status();
}

absl::Status SetDtype(std::string_view value, Scenario* scenario) {
  for (const Precision precision : kPrecisions) {
    if (PrecisionName(precision) == value) {
      scenario->dtype = precision;
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(
      fmt::format("dtype '{}': no such format; give fp32, tf32, bf16, fp8w or int4w", value));
}

}  // namespace

const std::vector<Knob>& Knobs() {
  static const auto& knobs = *new std::vector<Knob>{
      {"peak_tflops", KnobKind::kReal, "matrix peak in the scenario's dtype, dense, TFLOP/s"},
      {"memory_bandwidth_gbs", KnobKind::kReal, "memory bandwidth, GB/s (1e9 bytes)"},
      {"batch_scale", KnobKind::kReal, "requests at once, times the report's batch"},
      {"device_profile", KnobKind::kName, "another device of the catalogue"},
      {"seq_len", KnobKind::kInteger, "tokens of the prompt, image tokens included"},
      {"page", KnobKind::kSize, "size of the page, WIDTHxHEIGHT in pixels"},
      {"page_width", KnobKind::kInteger, "width of the page, pixels"},
      {"page_height", KnobKind::kInteger, "height of the page, pixels"},
      {"base_size", KnobKind::kInteger, "side of the global view, pixels"},
      {"image_size", KnobKind::kInteger, "side of a crop, or of the single view, pixels"},
      {"crop_mode", KnobKind::kSwitch, "whether a large page is cut into crops, 0 or 1"},
      {"max_new_tokens", KnobKind::kInteger, "tokens to generate"},
      {"dtype", KnobKind::kName, "fp32, tf32, bf16, fp8w or int4w (weights alone)"},
      {"cuda_graphs", KnobKind::kSwitch, "whether decode steps are replayed as CUDA graphs, 0 or 1"},
      {"data_parallel", KnobKind::kInteger, "devices that share the requests of a batch"},
      {"tensor_parallel", KnobKind::kInteger, "devices that share every matrix of the language model"},
      {"expert_parallel", KnobKind::kInteger, "devices that share the requests and the routed experts"},
      {"link_gbs", KnobKind::kReal, "bandwidth between devices, each way, GB/s (1e9 bytes)"},
  };
  return knobs;
}

absl::StatusOr<KnobId> FindKnob(std::string_view key) {
  std::string wanted(key);
  for (char& c : wanted) {
    c = c == '-' ? '_' : c;
  }
  std::vector<std::string> keys;
  for (size_t i = 0; i < Knobs().size(); ++i) {
    if (Knobs()[i].key == wanted) {
      return static_cast<KnobId>(i);
    }
    keys.emplace_back(Knobs()[i].key);
  }
  return absl::InvalidArgumentError(
      fmt::format("no knob '{}': not one that a what-if can turn{}", key,
                  DidYouMean(wanted, keys, fmt::format("there are {}", fmt::join(keys, ", ")))));
}

absl::Status SetKnob(KnobId knob, double value, Scenario* scenario) {
  const std::string_view key = KnobOf(knob).key;
  if (!std::isfinite(value)) {
    return absl::InvalidArgumentError(fmt::format("{} {}: not finite; give a number", key, value));
  }
  if (std::optional<bool>* is_on = SwitchOf(knob, scenario)) {
    if (value != 0 && value != 1) {
      return absl::InvalidArgumentError(fmt::format("{} {}: a switch; give 0 or 1", key, value));
    }
    *is_on = value == 1;
    return absl::OkStatus();
  }
  if (value <= 0) {
    return absl::InvalidArgumentError(fmt::format("{} {}: not positive; give a larger one", key, value));
  }
  if (std::optional<double>* real = RealOf(knob, scenario)) {
    *real = value;
    return absl::OkStatus();
  }
  std::optional<int64_t>* integer = IntegerOf(knob, scenario);
  if (integer == nullptr) {
    return absl::InvalidArgumentError(fmt::format("{}: has no order; give it a value of its own", key));
  }
  if (value != std::floor(value) || value > kMaxWhole) {
    return absl::InvalidArgumentError(fmt::format("{} {}: not a whole number; give one", key, value));
  }
  *integer = static_cast<int64_t>(value);
  return absl::OkStatus();
}

absl::Status SetKnob(KnobId knob, std::string_view value, Scenario* scenario) {
  switch (knob) {
    case KnobId::kPage:
      return SetPage(value, scenario);
    case KnobId::kDeviceProfile:
      return SetDevice(value, scenario);
    case KnobId::kDtype:
      return SetDtype(value, scenario);
    default:
      break;
  }
  const std::optional<double> number = ParseNumber<double>(value);
  if (!number) {
    return absl::InvalidArgumentError(fmt::format("{} '{}': not a number; give one", KnobOf(knob).key, value));
  }
  return SetKnob(knob, *number, scenario);
}

std::vector<Parameter> ParametersOf(const Scenario& scenario) {
  Scenario copy = scenario;  // the members are found through pointers to what they may set
  std::vector<Parameter> parameters;
  for (size_t i = 0; i < Knobs().size(); ++i) {
    const auto knob = static_cast<KnobId>(i);
    const std::string_view key = Knobs()[i].key;
    if (const std::optional<double>* real = RealOf(knob, &copy); real != nullptr && *real) {
      parameters.push_back({key, **real});
    } else if (const std::optional<int64_t>* integer = IntegerOf(knob, &copy); integer != nullptr && *integer) {
      parameters.push_back({key, **integer});
    } else if (const std::optional<bool>* is_on = SwitchOf(knob, &copy); is_on != nullptr && *is_on) {
      parameters.push_back({key, **is_on});
    } else if (knob == KnobId::kDtype && scenario.dtype) {
      parameters.push_back({key, std::string(PrecisionName(*scenario.dtype))});
    } else if (knob == KnobId::kDeviceProfile && scenario.device != nullptr) {
      parameters.push_back({key, scenario.device->name});
    }
  }
  return parameters;
}

}  // namespace dsocr::analytic
