// What the requests that were seen in a window must have cost: the sum of predictions, node by node.
//
// Every view, prefill and run of decode steps is predicted with its own sizes, so a window that holds a request k times
// is k times the prediction of that request; what a window cut off is not predicted. Memory is that of the most
// frequent request: it does not add up. Pure functions; safe from any thread.
#ifndef DSOCR_DAEMON_ATTACH_WINDOW_PREDICTION_H_
#define DSOCR_DAEMON_ATTACH_WINDOW_PREDICTION_H_

#include <cstdint>
#include <map>

#include "absl/status/statusor.h"
#include "analytic/device/device.h"
#include "analytic/model_spec.h"
#include "analytic/precision.h"
#include "analytic/prediction.h"
#include "analytic/workload.h"
#include "daemon/attach/translate.h"

namespace dsocr::attach {

// How the job computes.
struct Execution {
  analytic::Precision precision = analytic::Precision::kBf16;
  bool cuda_graphs = false;  // decode steps are replays
};

struct WindowPrediction {
  analytic::ModelSpec model;  // cuts pages as the job was seen to
  // The most frequent request of which the prefill was seen. How its crops lay on the page is not seen: the most nearly
  // square grid, upright.
  analytic::Workload workload;
  analytic::Prediction prediction;  // of the window
};

// A request of usual size, for what does not depend on it.
analytic::Workload UsualWorkload(const analytic::ModelSpec& model, const Execution& execution);

// INVALID_ARGUMENT for a model that CheckModel refuses, and for CUDA graphs on a device that has none. A decode step
// whose prefill was not seen is taken for one of the most frequent request's.
absl::StatusOr<WindowPrediction> PredictWindow(const analytic::ModelSpec& model,
                                               const std::map<ObservedRequest, int64_t>& requests,
                                               const Execution& execution, const analytic::Device& device);

}  // namespace dsocr::attach

#endif  // DSOCR_DAEMON_ATTACH_WINDOW_PREDICTION_H_
