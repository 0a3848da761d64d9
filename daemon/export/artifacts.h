// The artifacts of a run, on disk:
//
//   <root>/<run_id>/static_analysis/static_compute.{json,md}, static_compute_table.md, target_operators.json
//   <root>/<run_id>/static_analysis/torchinfo/: what an operator snapshot lacked
//   <root>/<run_id>/static_analysis/analytic_model/report.{json,yaml}, layers/summary.md, layers/<module>.md
//
// They are written beside, synced once and renamed: after a crash at any moment they are there whole or not at all.
#ifndef DSOCR_DAEMON_EXPORT_ARTIFACTS_H_
#define DSOCR_DAEMON_EXPORT_ARTIFACTS_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/export/layer_pages.h"
#include "dsocr/v1/analytic.pb.h"
#include "dsocr/v1/operators.pb.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::exporter {

enum class Existing { kRefuse, kReplace };

// What is written besides the report goes with null, or empty. Borrowed.
struct Artifacts {
  const v1::AnalyticModelReport& report;
  const v1::AnalyzeResponse* analysis = nullptr;
  const v1::TargetOperatorList* operators = nullptr;
  const Origin* origin = nullptr;                     // as LayerPages
  std::map<std::string, std::string> torchinfo = {};  // by file name
};

// Of <root>/<run_id>/static_analysis the parts analytic_model, which `dsocrctl run` prints as artifacts_dir, and
// torchinfo. `root`: absolute.
std::string ArtifactsDir(const std::string& root, const std::string& run_id);
std::string TorchInfoDir(const std::string& root, const std::string& run_id);

// Whether a run `run_id` could be written under `root`, before any work is spent on it; writes nothing. Errors:
// INVALID_ARGUMENT (a root that is not absolute or no directory; a run id that is not 1 to 100 letters, digits, '.',
// '_', '-', or starts with '.'), ALREADY_EXISTS (such a directory is there), PERMISSION_DENIED.
absl::Status CheckNewRun(const std::string& root, const std::string& run_id);

// Returns ArtifactsDir(root, run_id). What else lies in <root>/<run_id>, such as trace/, is left alone. With kReplace a
// present static_analysis/ is exchanged in one step; with kRefuse it is ALREADY_EXISTS. On error nothing of this call
// remains. Errors besides: as CheckNewRun; RESOURCE_EXHAUSTED for a full disk. Concurrent calls are safe; of two for
// one run with kRefuse, one gets ALREADY_EXISTS.
absl::StatusOr<std::string> WriteArtifacts(const std::string& root, const std::string& run_id,
                                           const Artifacts& artifacts, Existing existing = Existing::kRefuse);

}  // namespace dsocr::exporter

#endif  // DSOCR_DAEMON_EXPORT_ARTIFACTS_H_
