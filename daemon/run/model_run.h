// One execution of DeepSeek-OCR in dsocr-runner, from the plan to the joined report.
#ifndef DSOCR_DAEMON_RUN_MODEL_RUN_H_
#define DSOCR_DAEMON_RUN_MODEL_RUN_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/collect/collector.h"
#include "daemon/config/current.h"
#include "daemon/ops/log.h"
#include "daemon/run/plan.h"
#include "daemon/run/stop_source.h"
#include "daemon/store/store.h"
#include "dsocr/v1/profile.pb.h"

namespace dsocr::run {

// Tells where the run is; the state goes into Run.state.
using Tell = std::function<void(v1::RunState state, std::string message, std::optional<double> progress)>;

// What a model run needs of the daemon; all borrowed.
struct ModelRunTools {
  Planner* planner = nullptr;
  store::Store* store = nullptr;
  const config::Current* config = nullptr;
  collect::Collector* collector = nullptr;
  ops::Log* log = nullptr;
};

// INVALID_ARGUMENT unless `share` is 0, for no limit, or at most half of the job's time.
absl::Status CheckOverheadBudget(double share);

// INVALID_ARGUMENT, naming the field, for what no run can do.
absl::Status CheckModelRun(const v1::ModelRun& request, const Plan& plan);

// Calibrates if need be, predicts and stores, executes, joins and stores again. `run`: report_id and run_id set;
// artifacts_dir is filled in. On error the report, if it got so far, keeps its prediction.
absl::Status ExecuteModelRun(const ModelRunTools& tools, const v1::ModelRun& request, Plan plan, const StopSource& stop,
                             v1::Run* run, const Tell& tell);

}  // namespace dsocr::run

#endif  // DSOCR_DAEMON_RUN_MODEL_RUN_H_
