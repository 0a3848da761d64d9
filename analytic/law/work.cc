#include "analytic/law/work.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/numbers.h"

namespace dsocr::analytic {
namespace {

constexpr std::string_view kBalanced = "balanced";
constexpr std::string_view kPowerLaw = "power_law_";

// The exponent of the loads; 0 for even ones.
std::optional<double> ExponentOf(std::string_view routing) {
  if (routing == kBalanced) {
    return 0;
  }
  double exponent = 0;
  if (routing.substr(0, kPowerLaw.size()) != kPowerLaw ||
      !absl::SimpleAtod(absl::string_view(routing.data() + kPowerLaw.size(), routing.size() - kPowerLaw.size()),
                        &exponent) ||
      !(exponent > 0) || !std::isfinite(exponent)) {
    return std::nullopt;
  }
  return exponent;
}

double Real(int64_t value) { return static_cast<double>(value); }

LawWork Work(const GemmSize& size, Precision precision) {
  // Measured tables rotate six copies of the weights, so that a call finds in the cache what six of them leave there.
  constexpr double kWeightCopies = 6;
  const double weights = Real(MatrixBytes(precision, size.n * size.k));
  const double rows = Real(ElementBytes(precision)) * Real(size.m) * Real(size.n + size.k);
  return {.flops = 2 * Real(size.m) * Real(size.n) * Real(size.k),
          .bytes = weights + rows,
          .weight_bytes = weights,
          .reuse_bytes = kWeightCopies * weights + 2 * rows,
          .steps = Real(size.k)};
}

LawWork Work(const AttentionSize& size, Precision precision) {
  const double q = Real(size.seq_q), kv = Real(size.seq_kv);
  // A causal query sees the keys up to its own; of more queries than keys the first see none.
  const double seen = std::min(q, kv);
  const double pairs = size.is_causal ? seen * (kv - (seen - 1) / 2) : q * kv;
  const double elements =
      2 * Real(size.batch) * Real(size.head_dim) * (Real(size.heads) * q + Real(size.kv_heads) * kv);
  return {.flops = 4 * Real(size.batch) * Real(size.heads) * Real(size.head_dim) * pairs,
          .bytes = Real(ElementBytes(precision)) * elements,
          .steps = kv};
}

LawWork Work(const MoeSize& size, Precision precision) {
  const double pairs = Real(size.tokens) * Real(size.topk);
  const double hidden = Real(size.hidden), intermediate = Real(size.intermediate);
  const double weights = DistinctExperts(size) * Real(MatrixBytes(precision, 3 * size.hidden * size.intermediate));
  const double rows =
      Real(ElementBytes(precision)) * (pairs * (2 * hidden + 3 * intermediate) + 2 * Real(size.tokens) * hidden);
  return {.flops = 6 * pairs * hidden * intermediate, .bytes = weights + rows, .weight_bytes = weights};
}

LawWork Work(const WorkSize& size, Precision) {
  return {.flops = size.flops,
          .vector_flops = size.vector_flops,
          .bytes = size.bytes,
          .launches = std::max(size.launches, 1.0)};
}

double Log2(int64_t value) { return std::log2(Real(value)); }

LawCoordinates Coordinates(const GemmSize& size) { return {Log2(size.m), Log2(size.n), Log2(size.k)}; }

LawCoordinates Coordinates(const AttentionSize& size) {
  return {Log2(size.batch * size.heads),          Log2(size.seq_q),    Log2(size.seq_kv) - Log2(size.seq_q),
          Log2(size.heads) - Log2(size.kv_heads), Log2(size.head_dim), Log2(size.batch)};
}

LawCoordinates Coordinates(const MoeSize& size) {
  const double distinct = std::log2(DistinctExperts(size));
  const double pairs = Log2(size.tokens) + Log2(size.topk);
  return {pairs - distinct,
          distinct + Log2(size.hidden) + Log2(size.intermediate),
          pairs,
          (Log2(size.hidden) - Log2(size.intermediate)) / 2,
          Log2(size.experts) / 2,
          ExponentOf(size.routing).value_or(0)};
}

// Fewer than a vector register holds are done one by one; from a cache line on their number does not matter.
double ContiguousCoordinate(double contiguous) {
  constexpr double kMany = 64;
  return std::log2(contiguous > 0 ? std::min(contiguous, kMany) : kMany);
}

LawCoordinates Coordinates(const WorkSize& size) {
  return {std::log2(size.flops + size.vector_flops + 1), std::log2(size.bytes + 1),
          std::log2(std::max(size.launches, 1.0)), ContiguousCoordinate(size.contiguous)};
}

std::array<int64_t, 7> Unit(const GemmSize& size) { return {size.n, size.k}; }
std::array<int64_t, 7> Unit(const AttentionSize& size) {
  return {size.batch, size.seq_q, size.seq_kv, size.heads, size.kv_heads, size.head_dim, size.is_causal ? 1 : 0};
}
std::array<int64_t, 7> Unit(const MoeSize& size) { return {size.hidden, size.intermediate, size.topk, size.experts}; }

std::array<int64_t, 7> Unit(const WorkSize& size) {
  return {static_cast<int64_t>(size.flops), static_cast<int64_t>(size.vector_flops), static_cast<int64_t>(size.bytes),
          static_cast<int64_t>(size.launches), static_cast<int64_t>(size.contiguous)};
}

}  // namespace

bool IsRouting(std::string_view routing) { return ExponentOf(routing).has_value(); }

double DistinctExperts(const MoeSize& size) {
  const double experts = Real(size.experts), topk = Real(size.topk), tokens = Real(size.tokens);
  const double exponent = ExponentOf(size.routing).value_or(0);
  if (exponent == 0) {
    return std::min(tokens * topk, experts);  // dealt out in turn
  }
  // Expert i has the share i^-a. Ranks are taken one by one up to 16, then in bunches of a tenth: five hundred experts
  // cost some fifty powers, and the sum is within 0.1 %.
  constexpr double kOneByOne = 16, kBunch = 0.1;
  const auto for_each_bunch = [experts, exponent](auto&& take) {
    for (double first = 1; first <= experts;) {
      const double count = std::min(first <= kOneByOne ? 1 : std::floor(first * kBunch), experts - first + 1);
      take(std::pow(first + (count - 1) / 2, -exponent), count);
      first += count;
    }
  };
  double sum = 0;
  for_each_bunch([&sum](double weight, double count) { sum += weight * count; });
  double distinct = 0;
  for_each_bunch([&](double weight, double count) {
    const double share = std::min(topk * weight / sum, 1.0);
    distinct += share < 1 ? -count * std::expm1(tokens * std::log1p(-share)) : count;
  });
  return distinct;
}

LawWork WorkOf(const OperatorSize& size, Precision precision) {
  return std::visit([precision](const auto& s) { return Work(s, precision); }, size);
}

LawCoordinates CoordinatesOf(const OperatorSize& size) {
  return std::visit([](const auto& s) { return Coordinates(s); }, size);
}

int CoordinateCount(LawClass family) {
  if (family == LawClass::kGemm || family == LawClass::kSkinnyGemm) {
    return 3;
  }
  return family >= LawClass::kWork ? 4 : 6;
}

LawCoordinates LengthsOf(LawClass family) {
  switch (family) {
    case LawClass::kGemm:
    case LawClass::kSkinnyGemm:
      return {1.5, 1, 1, 1, 1, 1};
    case LawClass::kMoe:
      return {2, 2, 2, 2, 2, 2};
    case LawClass::kEncoderAttention:
    case LawClass::kPrefillAttention:
    case LawClass::kDecodeAttention:
      return {1.5, 1.5, 1.5, 1.5, 1.5, 1.5};
    default:  // by work
      return {1.5, 1.5, 1.5, 0.5, 1, 1};
  }
}

std::array<int64_t, 7> HoldOutUnit(const OperatorSize& size) {
  return std::visit([](const auto& s) { return Unit(s); }, size);
}

}  // namespace dsocr::analytic
