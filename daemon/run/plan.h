// From a request to a prediction: what is asked for, checked; the figures; the artifacts; the store.
#ifndef DSOCR_DAEMON_RUN_PLAN_H_
#define DSOCR_DAEMON_RUN_PLAN_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "analytic/prediction.h"
#include "daemon/calibrate/calibration.h"
#include "daemon/calibrate/machine.h"
#include "daemon/calibrate/routing.h"
#include "daemon/catalog/operator_snapshot.h"
#include "daemon/config/current.h"
#include "daemon/report/report.h"
#include "daemon/run/stop_source.h"
#include "daemon/run/torch_version.h"
#include "daemon/store/store.h"
#include "dsocr/v1/analytic.pb.h"

namespace dsocr::run {

// A request, understood.
struct Plan {
  report::ReportInput input;
  calibrate::Target target;
  std::optional<calibrate::RecordedRouting> routing;  // of the calibration
  std::optional<calibrate::ProbeTimes> probe;         // likewise
  std::string artifacts_root;                         // absolute
  // What `dsocr-runner analyze` printed, for static_compute.*; or why it was not asked, which they then say.
  absl::StatusOr<std::string> trace = absl::FailedPreconditionError("an analytic report starts no LibTorch process");
  catalog::ArtifactTexts torchinfo;  // made, because the operator snapshot lacks them; they go to the artifacts
};

// Who asks: only a caller on the unix socket chooses where artifacts go.
enum class Caller { kSameUser, kRemote };

struct PageSource;

// Thread-safe. Borrows what it is given.
class Planner {
 public:
  Planner(store::Store* store, const config::Current* config, const calibrate::Machine* machine)
      : store_(store), config_(config), machine_(machine) {}

  // What `request` asks for, checked; its id and place are still to be named. NOT_FOUND for an unknown model, workload
  // or device, INVALID_ARGUMENT naming the field for a value that cannot be.
  absl::StatusOr<Plan> Resolve(const v1::DeepSeekOCRAnalyticRequest& request, Caller caller) const;

  // Names the report: request.run_id, or a new id. Writes nothing. ALREADY_EXISTS for one that is taken,
  // PERMISSION_DENIED for artifacts that could not be written, INVALID_ARGUMENT for an id that is no file name.
  absl::Status NameReport(const v1::DeepSeekOCRAnalyticRequest& request, Plan* plan) const;

  // Reads the operators of request.operator_snapshot; what it lacks, dsocr-runner makes for the plan's workload.
  absl::Status LoadOperators(const v1::DeepSeekOCRAnalyticRequest& request, const StopSource& stop, Plan* plan) const;

  // What a calibration of the device must have been made for, to hold today.
  store::CalibrationKey CalibrationKeyOf(const calibrate::Target& target, analytic::Precision precision) const;

  // Replaces the device's datasheet figures and the model's even routing, where the calibration has one of its experts
  // and of the plan's weights. `request`: as DeepSeekOCRAnalyticRequest.calibration.
  absl::Status Calibrate(const std::string& request, Plan* plan) const;

  // The runner's traces for AnalyzeStatic, one process at a time; FAILED_PRECONDITION where analyzer.enabled is off.
  absl::StatusOr<std::string> Trace(const Plan& plan, const PageSource& source, std::optional<int64_t> context,
                                    const StopSource& stop) const;

  // Prediction, artifacts, store, in this order, so that a stored report always has had its artifacts.
  // `digest`: InputDigest; empty: never reused, because a measurement is to come.
  absl::StatusOr<v1::AnalyticModelReport> Publish(const Plan& plan, std::string_view digest) const;
  // The report again, artifacts and store, after a measurement was joined.
  absl::Status Republish(const Plan& plan, const v1::AnalyticModelReport& report) const;

  // AnalyticService.RunAnalytic: a report of an equal request is reused.
  absl::StatusOr<v1::DeepSeekOCRAnalyticAccepted> RunAnalytic(const v1::DeepSeekOCRAnalyticRequest& request,
                                                              Caller caller);

  // AnalyticService.Analyze.
  absl::StatusOr<v1::AnalyzeResponse> Analyze(const v1::AnalyzeRequest& request, Caller caller) const;

 private:
  // The id of a report of an equal request, its artifacts in place; nullopt if there is none.
  absl::StatusOr<std::optional<std::string>> Reuse(const Plan& plan) const;
  absl::Status WriteArtifacts(const Plan& plan, const v1::AnalyticModelReport& report, bool is_new) const;

  store::Store* const store_;
  const config::Current* const config_;
  const calibrate::Machine* const machine_;
  mutable TorchVersion torch_version_;
  mutable absl::Mutex trace_mutex_;
  absl::Mutex publish_mutex_;  // two requests with one run id: the second one sees the first
};

// <root>/<run_id>/static_analysis/analytic_model of a report.
std::string ArtifactsDirOf(const v1::AnalyticModelReport& report);

// Creates and names <root>/<run_id>/trace, where the raw records of a run are kept.
absl::StatusOr<std::string> MakeTraceDir(const std::string& artifacts_root, const std::string& run_id);

std::string ProfileOrDefault(const std::string& profile_id);

}  // namespace dsocr::run

#endif  // DSOCR_DAEMON_RUN_PLAN_H_
