#include "analytic/what_if/tornado.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/status.h"

namespace dsocr::analytic {
namespace {

// Everything that a tornado moves, with its value in the baseline as the scenario changes it.
struct Moved {
  KnobId knob;
  double value = 0;
};

std::vector<Moved> MovedBy(const Baseline& changed, const Baseline& baseline, const Scenario& scenario) {
  const Workload& workload = changed.workload;
  const auto real = [](int64_t value) { return static_cast<double>(value); };
  std::vector<Moved> moved = {
      {KnobId::kPeakTflops, changed.device.matrix_flops_per_s(workload.precision) / 1e12},
      {KnobId::kMemoryBandwidthGbs, changed.device.memory_bytes_per_s / 1e9},
      {KnobId::kBatchScale, real(workload.batch) / real(baseline.workload.batch)},
      {KnobId::kSeqLen, real(workload.seq_len)},
      {KnobId::kMaxNewTokens, real(workload.max_new_tokens)},
  };
  if (workload.crop_mode) {
    moved.push_back({KnobId::kPage, 1});
    moved.push_back({KnobId::kBaseSize, real(workload.base_size)});
  } else {
    moved.push_back({KnobId::kImageSize, real(workload.image_size)});
  }
  const std::pair<KnobId, int64_t> degrees[] = {{KnobId::kDataParallel, scenario.data_parallel.value_or(1)},
                                                {KnobId::kTensorParallel, scenario.tensor_parallel.value_or(1)},
                                                {KnobId::kExpertParallel, scenario.expert_parallel.value_or(1)}};
  bool is_parallel = false;
  for (const auto& [knob, degree] : degrees) {
    moved.push_back({knob, real(degree)});
    is_parallel |= degree > 1;
  }
  if (is_parallel) {
    moved.push_back({KnobId::kLinkGbs, scenario.link_gbs.value_or(changed.device.link_bytes_per_s / 1e9)});
  }
  return moved;
}

int64_t ToWholePatches(double pixels, int64_t patch) {
  return std::max<int64_t>(1, std::llround(std::ceil(pixels / static_cast<double>(patch)))) * patch;
}

// The scenario with one knob times `factor`, and the value it then has; nothing where the knob cannot go there.
std::optional<std::pair<Scenario, double>> Turn(const Moved& moved, double factor, const Baseline& changed,
                                                const Scenario& scenario) {
  Scenario turned = scenario;
  double value = moved.value * factor;
  switch (moved.knob) {
    case KnobId::kPage: {
      const Workload& workload = changed.workload;
      const auto side = [factor](int64_t pixels) {
        return std::max<int64_t>(1, std::llround(static_cast<double>(pixels) * factor));
      };
      turned.page_width = side(workload.page_width);
      turned.page_height = side(workload.page_height);
      return std::make_pair(turned, value);
    }
    case KnobId::kSeqLen:
      value = std::max(std::floor(value),
                       static_cast<double>(LayOutImage(changed.model, changed.workload).image_tokens() + 1));
      break;
    case KnobId::kBaseSize:
    case KnobId::kImageSize:
      value = static_cast<double>(ToWholePatches(value, changed.model.sam.patch_size));
      break;
    case KnobId::kMaxNewTokens:
      value = std::max(1.0, std::floor(value));
      break;
    default:
      break;
  }
  if (!SetKnob(moved.knob, value, &turned).ok()) {
    return std::nullopt;
  }
  return std::make_pair(turned, value);
}

}  // namespace

absl::StatusOr<std::vector<TornadoBar>> Tornado(WhatIf& what_if, const Scenario& scenario) {
  ScenarioPrice price;
  DSOCR_RETURN_IF_ERROR(what_if.Price(scenario, &price));
  const double total_ns = price.total_time_ns;
  DSOCR_ASSIGN_OR_RETURN(const Baseline changed, ChangedBaseline(what_if.baseline(), scenario));
  std::vector<TornadoBar> bars;
  for (const Moved& moved : MovedBy(changed, what_if.baseline(), scenario)) {
    TornadoBar bar = {.knob = moved.knob, .value = moved.value};
    double smallest = total_ns;
    double largest = total_ns;
    const auto end = [&](double factor) -> std::optional<TornadoEnd> {
      const auto turned = Turn(moved, factor, changed, scenario);
      if (!turned || !what_if.Price(turned->first, &price).ok()) {
        return std::nullopt;
      }
      smallest = std::min(smallest, price.total_time_ns);
      largest = std::max(largest, price.total_time_ns);
      return TornadoEnd{turned->second, price.total_time_ns};
    };
    bar.low = end(1 / kTornadoFactor);
    bar.high = end(kTornadoFactor);
    bar.swing_ns = largest - smallest;
    bars.push_back(bar);
  }
  std::stable_sort(bars.begin(), bars.end(),
                   [](const TornadoBar& a, const TornadoBar& b) { return a.swing_ns > b.swing_ns; });
  return bars;
}

}  // namespace dsocr::analytic
