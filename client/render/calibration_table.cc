#include "client/render/calibration_table.h"

#include <algorithm>
#include <map>

#include "client/render/units.h"
#include "fmt/format.h"
#include "proto/document.h"

namespace dsocr::client {
namespace {

Cell Rows(int64_t count) { return Cell(HumanCount(count), fmt::format("{}", count)); }
Cell Percent(double share, Style style = Style::kPlain) {
  return Cell(HumanShare(share), document::FormatDouble(share), style);
}
Cell SignedPercent(double share) { return Cell(HumanShareChange(share), document::FormatDouble(share)); }
Cell Discarded(const v1::DeviceCalibration& calibration) {
  return calibration.has_discarded_share() ? Percent(calibration.discarded_share()) : Cell("-", "");
}
Cell PercentOf(const v1::BaselineScore* score) { return score == nullptr ? Cell("-", "") : Percent(score->mape()); }

Style StyleOf(const v1::OperatorScore& score) {
  const v1::OperatorBaselines& baselines = score.baselines();
  const auto undercuts = [&](bool is_there, const v1::BaselineScore& baseline) {
    return is_there && baseline.mape() < score.mape();
  };
  return undercuts(baselines.has_roofline(), baselines.roofline()) ||
                 undercuts(baselines.has_floor_0_8(), baselines.floor_0_8()) ||
                 undercuts(baselines.has_nearest(), baselines.nearest())
             ? Style::kPoor
             : Style::kGood;
}

// Documents sort their keys, and a class comes before its kinds: gemm, gemm_skinny.
template <typename Score, typename Map>
std::map<std::string, Score> Sorted(const Map& map) {
  return {map.begin(), map.end()};
}

}  // namespace

Table HeldOutTable(const v1::CalibrationSummary& summary) {
  Table table;
  table.columns = {{"HELD OUT", "class"}, {"ROWS", "n", true}, {"MAPE", "mape", true}, {"MEDIAN", "median_ape", true}};
  for (const auto& [name, score] : Sorted<v1::HeldOutScore>(summary.held_out())) {
    table.rows.push_back({Cell(name), Rows(score.n()), Percent(score.mape()), Percent(score.median_ape())});
  }
  return table;
}

std::string FitText(const v1::CalibrationSummary& summary, bool has_color) {
  const std::string drawn = summary.has_points() ? fmt::format(", drawn with seed {},", summary.seed()) : std::string();
  const std::string line =
      fmt::format("laws of {} ({}) fitted to {} of {} rows{} of '{}'\nrows sha256 {}\n", summary.device(),
                  summary.profile(), HumanCount(summary.rows()), HumanCount(summary.table_rows()), drawn,
                  summary.table_device(), summary.rows_sha256());
  return summary.held_out().empty() ? line : line + "\n" + TableText(HeldOutTable(summary), has_color);
}

Table ScoreTable(const v1::EvalCalibrationResponse& response) {
  Table table;
  table.columns = {{"CLASS", "class"},
                   {"ROWS", "n", true},
                   {"MAPE", "mape", true},
                   {"MEDIAN", "median_ape", true},
                   {"P90", "p90_ape", true},
                   {"WAPE", "wape", true},
                   {"BIAS", "bias", true},
                   {"IN 90 %", "coverage_90", true},
                   {"WIDTH", "width_90", true},
                   {"ROOFLINE", "roofline_mape", true},
                   {"3US+/0.8", "floor_0_8_mape", true},
                   {"NEAREST", "nearest_mape", true}};
  for (const auto& [name, score] : Sorted<v1::OperatorScore>(response.classes())) {
    const v1::OperatorBaselines& baselines = score.baselines();
    table.rows.push_back({Cell(name), Rows(score.n()), Percent(score.mape(), StyleOf(score)),
                          Percent(score.median_ape()), Percent(score.p90_ape()), Percent(score.wape()),
                          SignedPercent(score.bias()), Percent(score.coverage_90()), Percent(score.width_90()),
                          PercentOf(baselines.has_roofline() ? &baselines.roofline() : nullptr),
                          PercentOf(baselines.has_floor_0_8() ? &baselines.floor_0_8() : nullptr),
                          PercentOf(baselines.has_nearest() ? &baselines.nearest() : nullptr)});
  }
  return table;
}

std::string EvalText(const v1::EvalCalibrationResponse& response, bool has_color) {
  const std::string transfer =
      response.is_transfer() ? fmt::format(", transferred to {}", response.device()) : std::string();
  const std::string line =
      fmt::format("laws of {} from {} rows{}, judged by {} of {} rows; {} were seen\n", response.calibration_device(),
                  HumanCount(response.calibration_rows()), transfer, HumanCount(response.scored_rows()),
                  HumanCount(response.scored_rows() + response.seen_rows()), HumanCount(response.seen_rows()));
  return response.classes().empty() ? line : line + "\n" + TableText(ScoreTable(response), has_color);
}

Table DeviceCalibrationTable(const v1::DeviceCalibration& calibration) {
  Table table;
  table.columns = {{"CALIBRATION", "calibration_id"},
                   {"DEVICE", "device"},
                   {"DTYPE", "dtype"},
                   {"DRIVER", "driver"},
                   {"VERSION", "tool_version"},
                   {"LIBTORCH", "torch_version"},
                   {"POINTS", "points", true},
                   {"DISCARDED", "discarded_share", true}};
  table.rows = {{Cell(calibration.calibration_id()), Cell(calibration.device()), Cell(calibration.dtype()),
                 Cell(calibration.driver()), Cell(calibration.tool_version()), Cell(calibration.torch_version()),
                 Rows(calibration.points()), Discarded(calibration)}};
  return table;
}

std::string DeviceCalibrationText(const v1::DeviceCalibration& calibration, bool has_color) {
  Table categories;
  categories.columns = {
      {"CATEGORY", "category_id"}, {"POINTS", "points", true}, {"MAPE", "mape", true}, {"MEDIAN", "median_ape", true}};
  for (const v1::CategoryFit& fit : calibration.categories()) {
    const bool is_judged = fit.has_held_out();
    categories.rows.push_back({Cell(fit.category_id()), Rows(fit.points()),
                               is_judged ? Percent(fit.held_out().mape()) : Cell("-", ""),
                               is_judged ? Percent(fit.held_out().median_ape()) : Cell("-", "")});
  }
  const std::string text = TableText(DeviceCalibrationTable(calibration), has_color);
  return categories.rows.empty() ? text : text + "\n" + TableText(categories, has_color);
}

}  // namespace dsocr::client
