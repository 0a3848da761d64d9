// The measured half of any report, whether its model is known or not: nanoseconds of an attribution to the figures of
// the contract.
#ifndef DSOCR_DAEMON_REPORT_MEASURED_H_
#define DSOCR_DAEMON_REPORT_MEASURED_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "cupti/attribution/attribution.h"
#include "daemon/report/report.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::report {

// Whether the parts are the whole, to the nanosecond: self times add up to the attributed time, the categories of a
// module to its time. FAILED_PRECONDITION if nothing was measured; INTERNAL names the figures that disagree, or a
// category or module that is listed twice or unknown.
absl::Status CheckSums(const attribution::Result& measured);

// The figures that need no prediction; module_id, bound and operator_breakdown are left to the caller.
v1::ModuleMeasurement FiguresOf(const attribution::ModuleSum& sum);

v1::Attribution AttributionOf(const attribution::Result& measured, const Recording& recording);

// What limits a module that waits longer than it works: on a GPU the device idles, on a CPU the host does other things.
v1::Bound GapBound(bool on_gpu);

// `text`, from a foreign process, as a message and a document can hold it: valid UTF-8, at most `longest` bytes, no
// control characters.
std::string Sanitized(std::string_view text, size_t longest);

// Says in the notes what a reader of the figures must know: dropped or invalid records, ranges that name no module,
// what CaptureNotes says.
void AddMeasurementNotes(const attribution::Result& measured, v1::AnalyticModelReport* report);

}  // namespace dsocr::report

#endif  // DSOCR_DAEMON_REPORT_MEASURED_H_
