#include "daemon/calibrate/routing.h"

#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/status.h"
#include "fmt/format.h"

namespace dsocr::calibrate {
namespace {

bool AreSameWeights(const v1::Weights& a, const v1::Weights& b) {
  if (a.has_random_seed() || b.has_random_seed()) {
    return a.has_random_seed() && b.has_random_seed() && a.random_seed() == b.random_seed();
  }
  return a.has_revision() && b.has_revision() ? a.revision() == b.revision() : a.path() == b.path();
}

bool IsFor(const v1::Weights& recorded, const v1::Weights& asked) {
  const bool is_named = asked.has_random_seed() || asked.has_path() || asked.has_revision();
  return is_named ? AreSameWeights(recorded, asked) : !recorded.has_random_seed();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const analytic::Routing>> MakeRouting(std::string source, int64_t experts_per_token,
                                                                     std::vector<analytic::LayerPicks> prefill,
                                                                     std::vector<analytic::LayerPicks> decode) {
  analytic::Routing routing = {
      .source = std::move(source), .experts_per_token = experts_per_token, .prefill = {}, .decode = {}};
  DSOCR_ASSIGN_OR_RETURN(routing.prefill, analytic::StageRouting::Of(std::move(prefill), experts_per_token));
  DSOCR_ASSIGN_OR_RETURN(routing.decode, analytic::StageRouting::Of(std::move(decode), experts_per_token));
  return std::make_shared<const analytic::Routing>(std::move(routing));
}

absl::StatusOr<std::optional<RecordedRouting>> RoutingOf(const v1::AnalyticModelReport& report,
                                                         const analytic::ModelSpec& model) {
  std::vector<analytic::LayerPicks> prefill;
  std::vector<analytic::LayerPicks> decode;
  for (const v1::ModuleMeasurement& measurement : report.module_measurements()) {
    std::vector<analytic::LayerPicks>& layers = measurement.module_id().starts_with("decode/") ? decode : prefill;
    for (const v1::ExpertPicks& picks : measurement.expert_picks()) {
      layers.push_back({picks.layer(), {picks.picks().begin(), picks.picks().end()}});
    }
  }
  if (prefill.empty()) {
    return std::nullopt;
  }
  absl::StatusOr<std::shared_ptr<const analytic::Routing>> routing =
      MakeRouting("run " + report.report_id(), model.decoder.experts_per_token, std::move(prefill), std::move(decode));
  if (!routing.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("report '{}': {}", report.report_id(), std::string(routing.status().message())));
  }
  return RecordedRouting{.routing = *std::move(routing), .weights = report.provenance().weights()};
}

std::string UseRouting(const std::optional<RecordedRouting>& recorded, const v1::Weights& weights,
                       analytic::ModelSpec* model) {
  model->decoder.routing = nullptr;
  if (!recorded) {
    return "";
  }
  const std::string& source = recorded->routing->source;
  if (!recorded->routing->Fits(model->decoder)) {
    return fmt::format("the routing of {} is not used: it is of other experts", source);
  }
  if (!IsFor(recorded->weights, weights)) {
    return fmt::format("the routing of {} is not used: it is of other weights", source);
  }
  model->decoder.routing = recorded->routing;
  return fmt::format("routed experts by the routing of {}", source);
}

}  // namespace dsocr::calibrate
