#include "analytic/what_if/sweep.h"

#include <charconv>
#include <cmath>
#include <optional>

#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::analytic {
namespace {

constexpr std::string_view kForm = "give KEY=FIRST:LAST:STEP as in seq_len=512:4096:512";

std::optional<double> ParseReal(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(value) ? std::optional(value)
                                                                                          : std::nullopt;
}

// The text up to the separator, which is taken off; all of it where there is none.
std::string_view TakeUntil(char separator, std::string_view* text) {
  const size_t at = text->find(separator);
  const std::string_view taken = text->substr(0, at);
  text->remove_prefix(at == std::string_view::npos ? text->size() : at + 1);
  return taken;
}

}  // namespace

absl::StatusOr<Sweep> ParseSweep(std::string_view text) {
  const auto refuse = [text](std::string_view why, std::string_view next) {
    return absl::InvalidArgumentError(fmt::format("sweep '{}': {}; {}", text, why, next));
  };
  if (text.find('=') == std::string_view::npos) {
    return refuse("no '=' in it", kForm);
  }
  std::string_view rest = text;
  Sweep sweep;
  DSOCR_ASSIGN_OR_RETURN(sweep.knob, FindKnob(TakeUntil('=', &rest)));
  const Knob& knob = Knobs()[static_cast<size_t>(sweep.knob)];
  if (knob.kind == KnobKind::kName) {
    return refuse(fmt::format("{} has no order", knob.key), "name one value a run");
  }
  if (knob.kind == KnobKind::kSize) {
    return refuse(fmt::format("{} has two sides", knob.key), "sweep page_width and page_height");
  }
  const std::optional<double> first = ParseReal(TakeUntil(':', &rest));
  const std::optional<double> last = ParseReal(TakeUntil(':', &rest));
  const std::optional<double> step = ParseReal(rest);
  if (!first || !last || !step) {
    return refuse("not three numbers", kForm);
  }
  if (*step == 0 || (*last - *first) / *step < 0) {
    return refuse(fmt::format("a step of {} does not lead from {} to {}", *step, *first, *last), kForm);
  }
  // A last value that rounding puts a hair beyond the end is still the end.
  constexpr double kRounding = 1e-9;
  const double steps = std::floor((*last - *first) / *step * (1 + kRounding) + kRounding);
  if (!(steps < static_cast<double>(kMaxScenarios))) {
    return refuse(fmt::format("over {} values", kMaxScenarios), "give a larger step");
  }
  sweep.first = *first;
  sweep.step = *step;
  sweep.count = static_cast<int64_t>(steps) + 1;
  return sweep;
}

absl::StatusOr<SweepGrid> SweepGrid::Make(const Scenario& base, std::vector<Sweep> sweeps) {
  int64_t count = 1;
  for (size_t i = 0; i < sweeps.size(); ++i) {
    const std::string_view key = Knobs()[static_cast<size_t>(sweeps[i].knob)].key;
    for (size_t j = 0; j < i; ++j) {
      if (sweeps[j].knob == sweeps[i].knob) {
        return absl::InvalidArgumentError(fmt::format("sweep of {}: given twice; give each knob one sweep", key));
      }
    }
    if (sweeps[i].count < 1 || sweeps[i].count > kMaxScenarios / count) {
      return absl::InvalidArgumentError(
          fmt::format("sweep of {}: over {} scenarios in all; give larger steps", key, kMaxScenarios));
    }
    count *= sweeps[i].count;
    Scenario ends = base;
    DSOCR_RETURN_IF_ERROR(SetKnob(sweeps[i].knob, sweeps[i].At(0), &ends));
    DSOCR_RETURN_IF_ERROR(SetKnob(sweeps[i].knob, sweeps[i].At(sweeps[i].count - 1), &ends));
  }
  return SweepGrid(base, std::move(sweeps), count);
}

absl::StatusOr<Scenario> SweepGrid::At(int64_t i) const {
  Scenario scenario = base_;
  for (size_t sweep = sweeps_.size(); sweep-- > 0;) {
    DSOCR_RETURN_IF_ERROR(SetKnob(sweeps_[sweep].knob, sweeps_[sweep].At(i % sweeps_[sweep].count), &scenario));
    i /= sweeps_[sweep].count;
  }
  return scenario;
}

}  // namespace dsocr::analytic
