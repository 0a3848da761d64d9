// What went wrong in recording, in words.
#ifndef DSOCR_DAEMON_REPORT_INCIDENT_H_
#define DSOCR_DAEMON_REPORT_INCIDENT_H_

#include <string_view>

#include "cupti/attribution/attribution.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::report {

// "subscriber_refused", as docs/gpu-capture.md lists them; "unknown" for a code of a newer agent.
std::string_view IncidentWord(record::IncidentCode code);

// The name in it came from the profiled process and is made harmless.
v1::Incident IncidentOf(const attribution::Incident& incident);

}  // namespace dsocr::report

#endif  // DSOCR_DAEMON_REPORT_INCIDENT_H_
