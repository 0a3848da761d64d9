// The artifacts of a run, on disk:
//
//   <root>/<run_id>/static_analysis/static_compute.{json,md}, static_compute_table.md, target_operators.json
//   <root>/<run_id>/static_analysis/analytic_model/report.{json,yaml}, layers/summary.md, layers/<module>.md
//
// They are written beside, synced once and renamed: after a crash at any moment they are there whole or not at all.
#ifndef DSOCR_DAEMON_EXPORT_ARTIFACTS_H_
#define DSOCR_DAEMON_EXPORT_ARTIFACTS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/export/layer_pages.h"
#include "dsocr/v1/analytic.pb.h"
#include "dsocr/v1/operators.pb.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::exporter {

enum class Existing { kRefuse, kReplace };

// <root>/<run_id>/static_analysis/analytic_model: what `dsocrctl run` prints as artifacts_dir. `root`: absolute.
std::string ArtifactsDir(const std::string& root, const std::string& run_id);

// Whether a run `run_id` could be written under `root`, before any work is spent on it; writes nothing. Errors:
// INVALID_ARGUMENT (a root that is not absolute or no directory; a run id that is not 1 to 100 letters, digits, '.',
// '_', '-', or starts with '.'), ALREADY_EXISTS (such a directory is there), PERMISSION_DENIED.
absl::Status CheckNewRun(const std::string& root, const std::string& run_id);

// Returns ArtifactsDir(root, run_id). `analysis`: null leaves static_compute.* out; `operators`: the same for
// target_operators.json; `origin`: as LayerPages. What else
// lies in <root>/<run_id>, such as trace/, is left alone. With kReplace a present static_analysis/ is exchanged in one
// step; with kRefuse it is ALREADY_EXISTS. On error nothing of this call remains. Errors besides: as CheckNewRun;
// RESOURCE_EXHAUSTED for a full disk. Concurrent calls are safe; of two for one run with kRefuse, one gets
// ALREADY_EXISTS.
absl::StatusOr<std::string> WriteArtifacts(const std::string& root, const std::string& run_id,
                                           const v1::AnalyticModelReport& report, const v1::AnalyzeResponse* analysis,
                                           Existing existing = Existing::kRefuse, const Origin* origin = nullptr,
                                           const v1::TargetOperatorList* operators = nullptr);

}  // namespace dsocr::exporter

#endif  // DSOCR_DAEMON_EXPORT_ARTIFACTS_H_
