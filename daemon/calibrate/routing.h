// The routing that a run recorded, as part of a calibration: which experts tokens picked, for predictions of the same
// weights (analytic/routing.h).
#ifndef DSOCR_DAEMON_CALIBRATE_ROUTING_H_
#define DSOCR_DAEMON_CALIBRATE_ROUTING_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analytic/model_spec.h"
#include "analytic/routing.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::calibrate {

struct RecordedRouting {
  std::shared_ptr<const analytic::Routing> routing;
  v1::Weights weights;  // that routed so
};

// INVALID_ARGUMENT: as analytic::StageRouting::Of.
absl::StatusOr<std::shared_ptr<const analytic::Routing>> MakeRouting(std::string source, int64_t experts_per_token,
                                                                     std::vector<analytic::LayerPicks> prefill,
                                                                     std::vector<analytic::LayerPicks> decode);

// The routing of a measured report; nullopt where it has none. INVALID_ARGUMENT for picks that no run can have: a
// report may be somebody's file. `model`: the report's.
absl::StatusOr<std::optional<RecordedRouting>> RoutingOf(const v1::AnalyticModelReport& report,
                                                         const analytic::ModelSpec& model);

// Gives `model` the routing if it is of its experts and of the request's weights: the same seed, revision or
// directory; a request that names no weights takes that of a model with real ones. What a report says of it; empty
// where there is none.
std::string UseRouting(const std::optional<RecordedRouting>& recorded, const v1::Weights& weights,
                       analytic::ModelSpec* model);

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_ROUTING_H_
