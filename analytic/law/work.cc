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

LawWork Work(const GemmSize& size, Precision precision) {
  const double m = static_cast<double>(size.m), n = static_cast<double>(size.n), k = static_cast<double>(size.k);
  const double weights = static_cast<double>(MatrixBytes(precision, size.n * size.k));
  return {2 * m * n * k, weights + static_cast<double>(ElementBytes(precision)) * m * (n + k), weights};
}

LawWork Work(const AttentionSize& size, Precision precision) {
  const double batch = static_cast<double>(size.batch), dim = static_cast<double>(size.head_dim);
  const double q = static_cast<double>(size.seq_q), kv = static_cast<double>(size.seq_kv);
  const double pairs = size.is_causal && size.seq_q > 1 ? q * (kv - (q - 1) / 2) : q * kv;
  const double rows = 2 * batch * dim * (static_cast<double>(size.heads) * q + static_cast<double>(size.kv_heads) * kv);
  return {4 * batch * static_cast<double>(size.heads) * dim * pairs,
          static_cast<double>(ElementBytes(precision)) * rows, 0};
}

LawWork Work(const MoeSize& size, Precision precision) {
  const double rows = static_cast<double>(size.tokens * size.topk);
  const double hidden = static_cast<double>(size.hidden), intermediate = static_cast<double>(size.intermediate);
  const double weights =
      DistinctExperts(size) * static_cast<double>(MatrixBytes(precision, 3 * size.hidden * size.intermediate));
  return {6 * rows * hidden * intermediate,
          weights + static_cast<double>(ElementBytes(precision)) * rows * (2 * hidden + 3 * intermediate), weights};
}

}  // namespace

bool ParsesAsRouting(std::string_view routing) { return ExponentOf(routing).has_value(); }

double DistinctExperts(const MoeSize& size) {
  const double experts = static_cast<double>(size.experts), topk = static_cast<double>(size.topk);
  const double tokens = static_cast<double>(size.tokens);
  const double exponent = ExponentOf(size.routing).value_or(0);
  if (exponent == 0) {
    return experts * (1 - std::pow(1 - std::min(topk / experts, 1.0), tokens));
  }
  double sum = 0;
  for (int64_t i = 1; i <= size.experts; ++i) {
    sum += std::pow(static_cast<double>(i), -exponent);
  }
  double distinct = 0;
  for (int64_t i = 1; i <= size.experts; ++i) {
    const double share = std::min(topk * std::pow(static_cast<double>(i), -exponent) / sum, 1.0);
    distinct += 1 - std::pow(1 - share, tokens);
  }
  return distinct;
}

LawWork WorkOf(const OperatorSize& size, Precision precision) {
  return std::visit([precision](const auto& s) { return Work(s, precision); }, size);
}

}  // namespace dsocr::analytic
