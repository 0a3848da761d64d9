// The static analyzer's result: parameters, FLOPs and activations of the model's stages (sam, clip, projector, prefill
// and decode), by three ways and their merge. docs/static-analysis.md
//
// FLOPs count matmul and convolution alone, one multiply-add as two, in the convention of reference/flops_public.json
// (docs/cost-model.md): sam, clip, projector over all views; prefill is the decoder at S positions and lm_head at the
// last one; decode is one token. Deterministic; pure; safe from any thread.
#ifndef DSOCR_DAEMON_REPORT_STATIC_COMPUTE_H_
#define DSOCR_DAEMON_REPORT_STATIC_COMPUTE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "analytic/model_spec.h"
#include "analytic/workload.h"
#include "dsocr/v1/analytic.pb.h"

namespace dsocr::report {

// `context`: tokens already in the cache of the decode step; absent: workload.seq_len. `answer`: what `dsocr-runner
// analyze` printed for this model, workload and context, or why there is nothing; a stage that it does not give falls
// back to closed formulas, with the reason in its notes. INVALID_ARGUMENT for a context that is negative or beyond the
// model's positions, and for what Predict refuses.
absl::StatusOr<v1::AnalyzeResponse> AnalyzeStatic(const analytic::ModelSpec& model, const analytic::Workload& workload,
                                                  std::optional<int64_t> context, std::string_view tool_version,
                                                  const absl::StatusOr<std::string>& answer);

}  // namespace dsocr::report

#endif  // DSOCR_DAEMON_REPORT_STATIC_COMPUTE_H_
