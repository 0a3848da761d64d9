// The part of a Markdown report that says how the recording itself went.
#ifndef DSOCR_DAEMON_EXPORT_CAPTURE_SECTION_H_
#define DSOCR_DAEMON_EXPORT_CAPTURE_SECTION_H_

#include <string>

#include "dsocr/v1/report.pb.h"

namespace dsocr::exporter {

// Ledger by stream, graphs, sampling, the agent's cost, incidents, as far as they are there. Empty for a CPU run.
std::string CaptureSection(const v1::Attribution& attribution);

}  // namespace dsocr::exporter

#endif  // DSOCR_DAEMON_EXPORT_CAPTURE_SECTION_H_
