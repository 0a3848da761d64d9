// What the daemon asks dsocr-runner without having it execute the model: the size of a page, the static analyzer's
// traces, and the model's TorchInfo artifacts. Each is a process of its own that ends with its answer.
#ifndef DSOCR_DAEMON_RUN_INQUIRY_H_
#define DSOCR_DAEMON_RUN_INQUIRY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/catalog/operator_snapshot.h"
#include "daemon/run/plan.h"
#include "daemon/run/stop_source.h"
#include "dsocr/v1/analytic.pb.h"
#include "nlohmann/json_fwd.hpp"

namespace dsocr::run {

// What a request reads besides its plan.
struct PageSource {
  std::optional<std::string> image_path;  // absolute; absent: a synthetic page of the workload's size
  std::optional<std::string> prompt;      // read by the model's own tokenizer; absent: synthetic ids
};

// The `workload` of the runner's requests (docs/runner-protocol.md).
nlohmann::ordered_json WorkloadJson(const analytic::Workload& workload);

// The page becomes the image's, and the prompt's tokens are counted by the model's tokenizer. `request`: the one that
// the plan was resolved from. Does nothing without an image.
absl::Status ApplyImage(const std::string& runner, const PageSource& source,
                        const v1::DeepSeekOCRAnalyticRequest& request, const StopSource& stop, Plan* plan);

// The document of `dsocr-runner analyze`, as AnalyzeStatic takes it; its size is bounded, its content is not looked at.
// `context`: absent: seq_len. FAILED_PRECONDITION for a model that the runner does not have.
absl::StatusOr<std::string> TraceModel(const std::string& runner, const Plan& plan, const PageSource& source,
                                       std::optional<int64_t> context, const StopSource& stop);

// The artifacts `names` of `dsocr-runner torchinfo`. Errors as TraceModel.
absl::StatusOr<catalog::ArtifactTexts> MakeTorchInfo(const std::string& runner, const Plan& plan,
                                                     const std::vector<std::string>& names, const StopSource& stop);

}  // namespace dsocr::run

#endif  // DSOCR_DAEMON_RUN_INQUIRY_H_
