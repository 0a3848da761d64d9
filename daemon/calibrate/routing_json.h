// A recorded routing as it stands in a calibration's document, below `routing` (docs/calibration.md).
#ifndef DSOCR_DAEMON_CALIBRATE_ROUTING_JSON_H_
#define DSOCR_DAEMON_CALIBRATE_ROUTING_JSON_H_

#include "absl/status/statusor.h"
#include "daemon/calibrate/routing.h"
#include "nlohmann/json.hpp"

namespace dsocr::calibrate {

nlohmann::ordered_json RoutingJson(const RecordedRouting& recorded);

// INVALID_ARGUMENT, naming key or layer, for what is no routing.
absl::StatusOr<RecordedRouting> ParseRouting(const nlohmann::json& json);

}  // namespace dsocr::calibrate

#endif  // DSOCR_DAEMON_CALIBRATE_ROUTING_JSON_H_
