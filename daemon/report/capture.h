// What a report says of the recording itself: the ledger, CUDA graphs, sampling, the agent's cost, incidents.
#ifndef DSOCR_DAEMON_REPORT_CAPTURE_H_
#define DSOCR_DAEMON_REPORT_CAPTURE_H_

#include <string>
#include <vector>

#include "cupti/attribution/attribution.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::report {

// Fills ledger, graphs, sampling, agent, the GPU's times and memory, and incidents; what a run has not stays null.
void AddCapture(const attribution::Result& measured, double overhead_budget, v1::Attribution* attribution);

// One short sentence for each thing that changes how the figures are to be read; also where the ledger does not close.
std::vector<std::string> CaptureNotes(const attribution::Result& measured);

}  // namespace dsocr::report

#endif  // DSOCR_DAEMON_REPORT_CAPTURE_H_
