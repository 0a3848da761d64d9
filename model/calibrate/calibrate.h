// `dsocr-runner calibrate`: what the model's operators cost on this very device (docs/runner-protocol.md).
#ifndef DSOCR_MODEL_CALIBRATE_CALIBRATE_H_
#define DSOCR_MODEL_CALIBRATE_CALIBRATE_H_

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <ostream>
#include <vector>

#include "model/calibrate/bench.h"
#include "model/device.h"

namespace dsocr::model {

// The points of the published model, in an order such that the first ones already cover every category.
Suite PublishedSuite(const Bench& bench);

// Prints the document of the protocol for PublishedSuite, measured within `budget_s` seconds. Returns the exit code 0.
// Memory: under 4 GB in bf16 (3.2 were seen), 8 GB in fp32, for the largest group. REQUIRES: `device` from OpenDevice,
// described by `info`; `dtype` is kFloat or kBFloat16.
int RunCalibrate(at::Device device, const DeviceInfo& info, at::ScalarType dtype, double budget_s, std::ostream& out);

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_CALIBRATE_CALIBRATE_H_
