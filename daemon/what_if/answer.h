// AnalyticService.WhatIf once the report is at hand.
#ifndef DSOCR_DAEMON_WHAT_IF_ANSWER_H_
#define DSOCR_DAEMON_WHAT_IF_ANSWER_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "daemon/store/store.h"
#include "dsocr/v1/report.pb.h"
#include "dsocr/v1/what_if.pb.h"

namespace dsocr::what_if {

// Scenarios of one answer. The asker holds all of it: some 10 KB a scenario with its modules, 0.2 KB without.
inline constexpr int64_t kMaxWithModules = 10'000;
inline constexpr int64_t kMaxTotalsOnly = 100'000;

// Hands the answer to `send`, part by part, each under 1 MiB. `send` returns false once nobody listens.
//
// Every value is checked before the first part. INVALID_ARGUMENT, naming the knob, for one that does not exist or
// cannot take its value, for more scenarios than the limits, and for a tornado over sweeps; NOT_FOUND for a device that
// is not in the catalogue; BaselineOf's errors; CANCELLED. A scenario of a sweep that the model cannot take ends the
// answer with INVALID_ARGUMENT. Thread-safe.
absl::Status Answer(const v1::AnalyticModelReport& report, const v1::WhatIfRequest& request, store::Store* store,
                    const std::function<bool(const v1::WhatIfResponse&)>& send);

}  // namespace dsocr::what_if

#endif  // DSOCR_DAEMON_WHAT_IF_ANSWER_H_
