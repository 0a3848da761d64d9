#include "daemon/calibrate/evaluation.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "base/status.h"
#include "daemon/calibrate/operator_table.h"

namespace dsocr::calibrate {
namespace {

using analytic::Estimate;
using analytic::LawModel;
using analytic::Sample;

constexpr size_t kRowsBetweenLooks = 64;      // at whether the caller has gone
constexpr size_t kParts = 10;                 // that are held out in turn
constexpr size_t kMostRowsOfAllParts = 1000;  // above, fitting ten times takes longer than it is worth

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

std::vector<std::string> ClassesOf(const analytic::OperatorSize& size) {
  std::vector<std::string> classes = {std::string(OpName(OpOf(size)))};
  switch (analytic::LawClassOf(size)) {
    case analytic::LawClass::kSkinnyGemm:
      classes.emplace_back("gemm_skinny");
      break;
    case analytic::LawClass::kEncoderAttention:
      classes.emplace_back("attention_encoder");
      break;
    case analytic::LawClass::kPrefillAttention:
      classes.emplace_back("attention_prefill");
      break;
    case analytic::LawClass::kDecodeAttention:
      classes.emplace_back("attention_decode");
      break;
    case analytic::LawClass::kGemm:
    case analytic::LawClass::kMoe:
      break;
  }
  return classes;
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
    for (const std::string& name : ClassesOf(row.size)) {
      Count(row, estimate, errors, nearest_ns > 0, &tallies[name]);
    }
  }
  std::map<std::string, v1::OperatorScore> scores;
  for (const auto& [name, tally] : tallies) {
    scores.emplace(name, ScoreOf(tally, judges.datasheet != nullptr));
  }
  return scores;
}

absl::StatusOr<std::map<std::string, HeldOut>> ScoreHeldOut(const analytic::Device& device,
                                                            const std::vector<Sample>& samples,
                                                            const std::function<bool()>& is_cancelled) {
  std::map<std::string, Tally> tallies;
  const size_t parts = std::min(kParts, samples.size());
  const size_t turns = samples.size() <= kMostRowsOfAllParts ? parts : 1;
  for (size_t turn = 0; parts > 1 && turn < turns; ++turn) {
    std::vector<Sample> fitted;
    std::vector<Sample> held_out;
    for (size_t i = 0; i < samples.size(); ++i) {
      (i % parts == turn ? held_out : fitted).push_back(samples[i]);
    }
    DSOCR_ASSIGN_OR_RETURN(const LawModel model, analytic::FitLaws(device, std::move(fitted)));
    for (size_t i = 0; i < held_out.size(); ++i) {
      if (i % kRowsBetweenLooks == 0 && is_cancelled()) {
        return absl::CancelledError("call: the caller has gone; call again");
      }
      const Sample& row = held_out[i];
      const Estimate estimate = PredictOperator(model, device, row.size, row.precision);
      const RowErrors errors{.measured_ns = row.time_ns, .signed_error = ShareOff(estimate.ns, row.time_ns)};
      for (const std::string& name : ClassesOf(row.size)) {
        Count(row, estimate, errors, /*has_nearest=*/false, &tallies[name]);
      }
    }
  }
  std::map<std::string, HeldOut> scores;
  for (const auto& [name, tally] : tallies) {
    const v1::OperatorScore score = ScoreOf(tally, /*has_datasheet=*/false);
    scores[name] = {score.n(), score.mape(), score.median_ape(), score.coverage_90()};
  }
  return scores;
}

}  // namespace dsocr::calibrate
