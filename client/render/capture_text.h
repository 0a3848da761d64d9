// What a report says of its own recording on a GPU, in a few lines below the tables.
#ifndef DSOCR_CLIENT_RENDER_CAPTURE_TEXT_H_
#define DSOCR_CLIENT_RENDER_CAPTURE_TEXT_H_

#include <string>

#include "dsocr/v1/report.pb.h"

namespace dsocr::client {

// A line for each of ledger, graphs and sampling that is there, and one for each incident. Empty for a CPU run.
std::string CaptureText(const v1::Attribution& attribution);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_RENDER_CAPTURE_TEXT_H_
