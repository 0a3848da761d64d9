#include "analytic/law/law.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "analytic/law/work.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

using Coordinates = std::array<double, 6>;

Coordinates CoordinatesOf(const OperatorSize& size) {
  const auto log2 = [](int64_t value) { return std::log2(static_cast<double>(value)); };
  if (const auto* gemm = std::get_if<GemmSize>(&size)) {
    return {log2(gemm->m), log2(gemm->n), log2(gemm->k)};
  }
  if (const auto* attention = std::get_if<AttentionSize>(&size)) {
    return {log2(attention->batch), log2(attention->seq_q),    log2(attention->seq_kv),
            log2(attention->heads), log2(attention->kv_heads), log2(attention->head_dim)};
  }
  const auto& moe = std::get<MoeSize>(size);
  return {log2(moe.tokens), log2(moe.hidden),  log2(moe.intermediate),
          log2(moe.topk),   log2(moe.experts), DistinctExperts(moe) / static_cast<double>(moe.experts)};
}

double Distance(const OperatorSize& a, const OperatorSize& b) {
  const Coordinates x = CoordinatesOf(a), y = CoordinatesOf(b);
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum += (x[i] - y[i]) * (x[i] - y[i]);
  }
  return std::sqrt(sum);
}

// The closest sample of the class and precision, or -1.
std::pair<int, double> NearestOf(const LawModel& model, const OperatorSize& size, Precision precision) {
  std::pair<int, double> best = {-1, std::numeric_limits<double>::infinity()};
  for (size_t i = 0; i < model.samples.size(); ++i) {
    const Sample& sample = model.samples[i];
    if (sample.precision == precision && LawClassOf(sample.size) == LawClassOf(size)) {
      const double distance = Distance(sample.size, size);
      if (distance < best.second) {
        best = {static_cast<int>(i), distance};
      }
    }
  }
  return best;
}

bool IsPositive(const OperatorSize& size) {
  if (const auto* gemm = std::get_if<GemmSize>(&size)) {
    return std::min({gemm->m, gemm->n, gemm->k}) > 0;
  }
  if (const auto* a = std::get_if<AttentionSize>(&size)) {
    return std::min({a->batch, a->seq_q, a->seq_kv, a->heads, a->kv_heads, a->head_dim}) > 0;
  }
  const auto& moe = std::get<MoeSize>(size);
  return std::min({moe.tokens, moe.hidden, moe.intermediate, moe.topk, moe.experts}) > 0;
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
  return LawClass::kMoe;
}

std::string_view LawClassName(LawClass law_class) {
  constexpr std::array<std::string_view, kLawClassCount> kNames = {
      "gemm", "skinny_gemm", "encoder_attention", "prefill_attention", "decode_attention", "moe"};
  return kNames[static_cast<size_t>(law_class)];
}

std::string_view ProvenanceName(Provenance provenance) {
  constexpr std::array<std::string_view, 5> kNames = {"exact", "interpolated", "extrapolated", "transferred",
                                                      "datasheet"};
  return kNames[static_cast<size_t>(provenance)];
}

absl::StatusOr<LawModel> FitLaws(const Device& profile, std::vector<Sample> samples) {
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto* moe = std::get_if<MoeSize>(&samples[i].size);
    if (!IsPositive(samples[i].size)) {
      return absl::InvalidArgumentError(fmt::format("samples[{}]: a size that is not positive", i));
    }
    if (moe != nullptr && !ParsesAsRouting(moe->routing)) {
      return absl::InvalidArgumentError(
          fmt::format("samples[{}]: no routing '{}': 'balanced' or 'power_law_1.2'", i, moe->routing));
    }
    if (!(samples[i].time_ns > 0) || !std::isfinite(samples[i].time_ns)) {
      return absl::InvalidArgumentError(
          fmt::format("samples[{}]: time {} ns: not a positive time", i, samples[i].time_ns));
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
  return model;
}

Estimate PredictOperator(const LawModel& model, const Device& target, const OperatorSize& size, Precision precision) {
  const auto [nearest, distance] = NearestOf(model, size, precision);
  const double datasheet_ns = PaddedRooflineNs(target, size, precision);
  if (nearest < 0) {
    return {datasheet_ns,
            datasheet_ns / 1.3,
            datasheet_ns * 1.3,
            datasheet_ns / 2,
            datasheet_ns * 2,
            Bound::kMemory,
            Provenance::kDatasheet,
            -1,
            0};
  }
  const Sample& sample = model.samples[static_cast<size_t>(nearest)];
  const double ns = datasheet_ns * sample.time_ns / PaddedRooflineNs(model.device, sample.size, precision);
  const bool is_exact = distance == 0 && target.name == model.device.name;
  const double wide = is_exact ? 1 : std::exp2(0.2 + 0.1 * distance);
  const Provenance provenance = is_exact                           ? Provenance::kExact
                                : target.name != model.device.name ? Provenance::kTransferred
                                                                   : Provenance::kInterpolated;
  return {ns,        ns / std::sqrt(wide), ns * std::sqrt(wide), ns / wide,
          ns * wide, Bound::kMemory,       provenance,           nearest,
          distance};
}

Device EstimateDevice(std::string name, const std::vector<Sample>& samples) {
  Device device;
  device.name = std::move(name);
  device.source = fmt::format("estimated from {} measured operators", samples.size());
  for (const Sample& sample : samples) {
    const LawWork work = WorkOf(sample.size, sample.precision);
    device.matrix_bf16_flops_per_s = std::max(device.matrix_bf16_flops_per_s, 1e9 * work.flops / sample.time_ns);
    device.memory_bytes_per_s = std::max(device.memory_bytes_per_s, 1e9 * work.bytes / sample.time_ns);
  }
  device.matrix_tf32_flops_per_s = device.matrix_fp32_flops_per_s = device.matrix_bf16_flops_per_s / 2;
  device.vector_flops_per_s = device.matrix_bf16_flops_per_s / 16;
  return device;
}

double NearestNs(const LawModel& model, const OperatorSize& size, Precision precision) {
  const auto [nearest, distance] = NearestOf(model, size, precision);
  return nearest < 0 ? 0 : model.samples[static_cast<size_t>(nearest)].time_ns;
}

}  // namespace dsocr::analytic
