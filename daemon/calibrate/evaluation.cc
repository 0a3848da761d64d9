#include "daemon/calibrate/evaluation.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "daemon/calibrate/operator_table.h"
#include "fmt/format.h"

namespace dsocr::calibrate {
namespace {

using analytic::Estimate;
using analytic::LawModel;
using analytic::Sample;

constexpr size_t kRowsBetweenLooks = 64;  // at whether the caller has gone

// An error as a share of what was measured; 0 for a baseline that has no answer.
struct RowErrors {
  double measured_ns = 0;
  double signed_error = 0;
  double roofline = 0;
  double padded = 0;
  double nearest = 0;
};

struct Tally {
  std::vector<RowErrors> errors;
  double width_50 = 0;
  double width_90 = 0;
  int64_t within_50 = 0;
  int64_t within_90 = 0;
  bool has_nearest = true;  // in every row
};

double ShareOff(double predicted_ns, double measured_ns) { return (predicted_ns - measured_ns) / measured_ns; }

// Linear interpolation between the ranks of a sorted list.
double Quantile(const std::vector<double>& sorted, double share) {
  const double rank = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(rank);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (rank - std::floor(rank)) * (sorted[above] - sorted[below]);
}

std::string_view KindName(analytic::LawClass law_class) {
  switch (law_class) {
    case analytic::LawClass::kGemm:
      return "gemm_wide";
    case analytic::LawClass::kSkinnyGemm:
      return "gemm_skinny";
    case analytic::LawClass::kEncoderAttention:
      return "attention_encoder";
    case analytic::LawClass::kPrefillAttention:
      return "attention_prefill";
    case analytic::LawClass::kDecodeAttention:
      return "attention_decode";
    case analytic::LawClass::kMoe:
      return "moe";
    default:  // tables have no others
      return "";
  }
}

void Count(const Sample& row, const Estimate& estimate, const RowErrors& errors, bool has_nearest, Tally* tally) {
  tally->errors.push_back(errors);
  tally->width_50 += (estimate.high_50_ns - estimate.low_50_ns) / estimate.ns;
  tally->width_90 += (estimate.high_90_ns - estimate.low_90_ns) / estimate.ns;
  tally->within_50 += row.time_ns >= estimate.low_50_ns && row.time_ns <= estimate.high_50_ns;
  tally->within_90 += row.time_ns >= estimate.low_90_ns && row.time_ns <= estimate.high_90_ns;
  tally->has_nearest = tally->has_nearest && has_nearest;
}

v1::OperatorScore ScoreOf(const Tally& tally, bool has_datasheet) {
  std::vector<double> apes;
  double absolute_ns = 0, measured_ns = 0, bias = 0, ape = 0, roofline = 0, padded = 0, nearest = 0;
  for (const RowErrors& row : tally.errors) {
    apes.push_back(std::abs(row.signed_error));
    ape += apes.back();
    bias += row.signed_error;
    absolute_ns += apes.back() * row.measured_ns;
    measured_ns += row.measured_ns;
    roofline += row.roofline;
    padded += row.padded;
    nearest += row.nearest;
  }
  std::sort(apes.begin(), apes.end());
  const auto n = static_cast<double>(tally.errors.size());
  v1::OperatorScore score;
  score.set_n(static_cast<int64_t>(tally.errors.size()));
  score.set_mape(ape / n);
  score.set_median_ape(Quantile(apes, 0.5));
  score.set_p90_ape(Quantile(apes, 0.9));
  score.set_wape(absolute_ns / measured_ns);
  score.set_bias(bias / n);
  score.set_coverage_90(static_cast<double>(tally.within_90) / n);
  score.set_width_90(tally.width_90 / n);
  score.set_coverage_50(static_cast<double>(tally.within_50) / n);
  score.set_width_50(tally.width_50 / n);
  v1::OperatorBaselines* baselines = score.mutable_baselines();
  if (has_datasheet) {
    baselines->mutable_roofline()->set_mape(roofline / n);
    baselines->mutable_floor_0_8()->set_mape(padded / n);
  }
  if (tally.has_nearest) {
    baselines->mutable_nearest()->set_mape(nearest / n);
  }
  return score;
}

}  // namespace

bool HasSeen(const LawModel& model, const Sample& row) {
  const auto at = std::lower_bound(
      model.samples.begin(), model.samples.end(), row,
      [](const Sample& a, const Sample& b) { return std::tie(a.size, a.precision) < std::tie(b.size, b.precision); });
  return at != model.samples.end() && at->size == row.size && at->precision == row.precision;
}

absl::StatusOr<std::map<std::string, v1::OperatorScore>> ScoreRows(const LawModel& model,
                                                                   const std::vector<Sample>& rows,
                                                                   const Judges& judges) {
  std::map<std::string, Tally> tallies;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i % kRowsBetweenLooks == 0 && judges.is_cancelled()) {
      return absl::CancelledError("call: the caller has gone; call again");
    }
    const Sample& row = rows[i];
    const Estimate estimate = PredictOperator(model, *judges.target, row.size, row.precision);
    const double nearest_ns = NearestNs(model, row.size, row.precision);
    RowErrors errors{.measured_ns = row.time_ns, .signed_error = ShareOff(estimate.ns, row.time_ns)};
    errors.nearest = std::abs(ShareOff(nearest_ns, row.time_ns));
    if (judges.datasheet != nullptr) {
      errors.roofline = std::abs(ShareOff(RooflineNs(*judges.datasheet, row.size, row.precision), row.time_ns));
      errors.padded = std::abs(ShareOff(PaddedRooflineNs(*judges.datasheet, row.size, row.precision), row.time_ns));
    }
    for (const std::string_view name : std::set{OpName(OpOf(row.size)), KindName(LawClassOf(row.size))}) {
      Count(row, estimate, errors, nearest_ns > 0, &tallies[std::string(name)]);
    }
  }
  std::map<std::string, v1::OperatorScore> scores;
  for (const auto& [name, tally] : tallies) {
    scores.emplace(name, ScoreOf(tally, judges.datasheet != nullptr));
  }
  return scores;
}

std::map<std::string, v1::HeldOutScore> HeldOutScores(const LawModel& model) {
  std::map<std::string, v1::HeldOutScore> scores;
  for (const analytic::LawFit& fit : model.fits) {
    const std::string suffix =
        fit.precision == analytic::Precision::kBf16 ? "" : fmt::format(".{}", analytic::PrecisionName(fit.precision));
    const auto add = [&](analytic::LawClass law_class, size_t first) {
      if (fit.scores[first] > 0) {
        v1::HeldOutScore& score = scores[fmt::format("{}{}", KindName(law_class), suffix)];
        score.set_n(static_cast<int64_t>(fit.scores[first]));
        score.set_mape(fit.scores[first + 1]);
        score.set_median_ape(fit.scores[first + 2]);
      }
    };
    add(fit.law_class, 0);
    if (fit.law_class == analytic::LawClass::kGemm) {  // one fit for both
      add(analytic::LawClass::kSkinnyGemm, 3);
    }
  }
  return scores;
}

}  // namespace dsocr::calibrate
