#include "analytic/law/law.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "analytic/law/fit.h"
#include "analytic/law/physics.h"
#include "analytic/law/work.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

bool IsPositive(const OperatorSize& size) {
  if (const auto* gemm = std::get_if<GemmSize>(&size)) {
    return std::min({gemm->m, gemm->n, gemm->k}) > 0;
  }
  if (const auto* a = std::get_if<AttentionSize>(&size)) {
    return std::min({a->batch, a->seq_q, a->seq_kv, a->heads, a->kv_heads, a->head_dim}) > 0;
  }
  if (const auto* work = std::get_if<WorkSize>(&size)) {
    return std::min({work->flops, work->vector_flops, work->bytes, work->launches, work->contiguous}) >= 0;
  }
  const auto& moe = std::get<MoeSize>(size);
  return std::min({moe.tokens, moe.hidden, moe.intermediate, moe.topk, moe.experts}) > 0;
}

// Empty: nothing.
std::string WhatIsWrongWith(const Sample& sample, const Device& profile) {
  if (!IsPositive(sample.size)) {
    return "a size that is not positive";
  }
  const auto* moe = std::get_if<MoeSize>(&sample.size);
  if (moe != nullptr && moe->topk > moe->experts) {
    return fmt::format("topk {} of {} experts", moe->topk, moe->experts);
  }
  if (moe != nullptr && !IsRouting(moe->routing)) {
    return fmt::format("no routing '{}': 'balanced', or 'power_law_1.2' with any exponent", moe->routing);
  }
  if (!(sample.time_ns > 0) || !std::isfinite(sample.time_ns)) {
    return fmt::format("time {} ns: not a positive time", sample.time_ns);
  }
  // The catalogue's CPU stands for a class of machines, which differ by far more.
  constexpr double kNoDeviceIsFaster = 1.3;
  const double flops_per_ns = WorkOf(sample.size, sample.precision).flops / sample.time_ns;
  const double share = flops_per_ns / LawRatesOf(profile, sample.precision).flops;
  if (profile.kind == DeviceKind::kCuda && share > kNoDeviceIsFaster) {
    return fmt::format("{:.1f} times the peak of {}: a wrong unit, size or device", share, profile.name);
  }
  return "";
}

}  // namespace

LawClass LawClassOf(const OperatorSize& size) {
  if (const auto* gemm = std::get_if<GemmSize>(&size)) {
    return gemm->m <= 16 ? LawClass::kSkinnyGemm : LawClass::kGemm;
  }
  if (const auto* attention = std::get_if<AttentionSize>(&size)) {
    if (!attention->is_causal) {
      return LawClass::kEncoderAttention;
    }
    return attention->seq_q == 1 && attention->seq_kv > 1 ? LawClass::kDecodeAttention : LawClass::kPrefillAttention;
  }
  const auto* work = std::get_if<WorkSize>(&size);
  return work != nullptr ? WorkClass(work->category) : LawClass::kMoe;
}

LawClass WorkClass(CategoryId category) {
  return static_cast<LawClass>(static_cast<int>(LawClass::kWork) + static_cast<int>(category));
}

std::string_view LawClassName(LawClass law_class) {
  constexpr std::array<std::string_view, kTableLawClassCount> kNames = {
      "gemm", "skinny_gemm", "encoder_attention", "prefill_attention", "decode_attention", "moe"};
  return law_class < LawClass::kWork
             ? kNames[static_cast<size_t>(law_class)]
             : CategoryName(static_cast<CategoryId>(static_cast<int>(law_class) - static_cast<int>(LawClass::kWork)));
}

std::string DescribeSize(const OperatorSize& size) {
  if (const auto* gemm = std::get_if<GemmSize>(&size)) {
    return fmt::format("gemm m={} n={} k={}", gemm->m, gemm->n, gemm->k);
  }
  if (const auto* a = std::get_if<AttentionSize>(&size)) {
    return fmt::format("attention batch={} queries={} keys={} heads={} head_dim={}{}", a->batch, a->seq_q, a->seq_kv,
                       a->heads, a->head_dim, a->is_causal ? " causal" : "");
  }
  if (const auto* moe = std::get_if<MoeSize>(&size)) {
    return fmt::format("moe tokens={} hidden={} intermediate={} experts={}/{}", moe->tokens, moe->hidden,
                       moe->intermediate, moe->topk, moe->experts);
  }
  const auto& work = std::get<WorkSize>(size);
  return fmt::format("{} {:.3g} MFLOP, {:.3g} MB{}", CategoryName(work.category),
                     (work.flops + work.vector_flops) / 1e6, work.bytes / 1e6,
                     work.contiguous > 0 ? fmt::format(", {} contiguous", work.contiguous) : "");
}

std::string_view ProvenanceName(Provenance provenance) {
  constexpr std::array<std::string_view, 5> kNames = {"exact", "interpolated", "extrapolated", "transferred",
                                                      "datasheet"};
  return kNames[static_cast<size_t>(provenance)];
}

absl::StatusOr<LawModel> FitLaws(const Device& profile, std::vector<Sample> samples) {
  for (size_t i = 0; i < samples.size(); ++i) {
    if (const std::string why = WhatIsWrongWith(samples[i], profile); !why.empty()) {
      return absl::InvalidArgumentError(fmt::format("samples[{}]: {}", i, why));
    }
  }
  std::sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) {
    return std::tie(a.size, a.precision, a.time_ns) < std::tie(b.size, b.precision, b.time_ns);
  });
  LawModel model = {.device = profile, .samples = {}, .fits = {}};
  for (size_t first = 0, end = 0; first < samples.size(); first = end) {
    for (end = first + 1; end < samples.size() && samples[end].size == samples[first].size &&
                          samples[end].precision == samples[first].precision;) {
      ++end;
    }
    const size_t half = (end - first) / 2;
    Sample median = samples[first + half];
    if ((end - first) % 2 == 0) {
      median.time_ns = (median.time_ns + samples[first + half - 1].time_ns) / 2;
    }
    model.samples.push_back(std::move(median));
  }
  std::map<std::pair<LawClass, Precision>, std::vector<int>> rows;
  for (size_t i = 0; i < model.samples.size(); ++i) {
    const Sample& sample = model.samples[i];
    rows[{FamilyOf(LawClassOf(sample.size)), sample.precision}].push_back(static_cast<int>(i));
  }
  for (const auto& [key, of_law] : rows) {
    model.fits.push_back(FitLaw(profile, PriorOf(key.first, profile), model.samples, of_law));
  }
  return model;
}

Device EstimateDevice(std::string name, const std::vector<Sample>& samples) {
  // What the best row of a table reaches of its device's peak: 0.84 to 0.89 of the arithmetic, 0.8 to 0.9 of the
  // memory.
  constexpr double kBestCompute = 0.87, kBestMemory = 0.85;
  constexpr double kTensorOverVector = 16;
  // More than any L2 holds: weights that are used again after so much come from memory.
  constexpr double kColdBytes = 256e6;
  Device device;
  device.name = std::move(name);
  device.source = fmt::format("estimated from {} measured operators", samples.size());
  double any_bytes_per_s = 0;
  device.min_kernel_ns = samples.empty() ? 0 : samples.front().time_ns;
  for (const Sample& sample : samples) {
    const LawWork work = WorkOf(sample.size, sample.precision);
    const double bytes_per_s = 1e9 * work.bytes / sample.time_ns;
    device.matrix_bf16_flops_per_s = std::max(device.matrix_bf16_flops_per_s, 1e9 * work.flops / sample.time_ns);
    device.min_kernel_ns = std::min(device.min_kernel_ns, sample.time_ns);
    any_bytes_per_s = std::max(any_bytes_per_s, bytes_per_s);
    if (std::max(work.bytes, work.reuse_bytes) > kColdBytes) {
      device.memory_bytes_per_s = std::max(device.memory_bytes_per_s, bytes_per_s);
    }
  }
  device.matrix_bf16_flops_per_s /= kBestCompute;
  device.memory_bytes_per_s =
      (device.memory_bytes_per_s > 0 ? device.memory_bytes_per_s : any_bytes_per_s) / kBestMemory;
  device.vector_flops_per_s = device.matrix_bf16_flops_per_s / kTensorOverVector;
  device.matrix_fp32_flops_per_s = device.vector_flops_per_s;
  device.matrix_tf32_flops_per_s = device.matrix_bf16_flops_per_s / 2;
  return device;
}

}  // namespace dsocr::analytic
