// Runs: executions under observation, from the request to the joined report.
//
// A model run goes QUEUED, (CALIBRATING,) PREDICTING, LOADING, WARMUP, MEASURING, JOINING, DONE; FAILED and CANCELLED
// are reached from anywhere. One model run executes at a time, so that runs do not disturb each other's figures; the
// others wait in order, and calibrations between them. Launches and attached jobs are not queued: they run outside the
// daemon. Every state is in the store before it is told, and a run's report has the run's id.
#ifndef DSOCR_DAEMON_RUN_RUN_MANAGER_H_
#define DSOCR_DAEMON_RUN_RUN_MANAGER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "daemon/attach/module_map.h"
#include "daemon/collect/collector.h"
#include "daemon/ops/activity.h"
#include "daemon/run/journal.h"
#include "daemon/run/live_run.h"
#include "daemon/run/model_run.h"
#include "daemon/run/plan.h"
#include "daemon/run/stop_source.h"
#include "dsocr/v1/profile.pb.h"

namespace dsocr::run {

// Thread-safe. Borrows what it is given.
class RunManager {
 public:
  // More waiting runs than anybody means to start; each holds a few kilobytes.
  static constexpr size_t kMaxQueuedRuns = 100;
  // Commands under launch at a time; each holds a ring of shared memory.
  static constexpr size_t kMaxLaunches = 32;
  // Likewise of attached jobs; each holds a thread, too.
  static constexpr size_t kMaxAttached = 32;

  RunManager(ModelRunTools tools, ops::Activity* activity);
  ~RunManager();  // Stop()

  // Marks the runs that an earlier daemon left unfinished as FAILED. REQUIRES: called once, before any other call.
  absl::Status Recover();

  // Errors are Planner::Resolve's for a model run; RESOURCE_EXHAUSTED when the queue is full, UNAVAILABLE after
  // Close().
  absl::StatusOr<v1::StartRunResponse> Start(const v1::StartRunRequest& request, Caller caller);
  absl::StatusOr<v1::Run> Get(const std::string& run_id);
  absl::StatusOr<v1::ListRunsResponse> List(const v1::ListRunsRequest& request);
  // Asks the run to end and returns it as it is now; a run that has ended stays as it is.
  absl::StatusOr<v1::Run> Cancel(const std::string& run_id);
  // Drains the records of a launched command, until `deadline` at the latest, and builds its report.
  absl::StatusOr<v1::Run> FinishLaunch(const v1::FinishLaunchRequest& request, absl::Time deadline);

  // Finds a way into a live job and records it from now on. Errors are LiveRun::Begin's; ALREADY_EXISTS: it is being
  // recorded.
  absl::StatusOr<v1::AttachResponse> Attach(const v1::AttachRequest& request, Caller caller);
  // Ends the recording of a process and returns its run once its report is built, or at `deadline`. NOT_FOUND: it is
  // not being recorded.
  absl::StatusOr<v1::Run> Detach(int64_t pid, absl::Time deadline);

  // Does `work` when its turn has come among model runs, none of which goes on meanwhile. `work` is stopped by the
  // source that it is given, once `is_cancelled` says so (asked several times a second) or at Stop(). CANCELLED: it was
  // not begun; UNAVAILABLE after Close().
  absl::Status DoAlone(const std::function<bool()>& is_cancelled,
                       const std::function<absl::Status(const StopSource&)>& work);

  // Calls `write` with every event from the first on, and returns OK after the final one; CANCELLED once `is_cancelled`
  // says so (asked several times a second) or `write` returns false.
  absl::Status Watch(const std::string& run_id, const std::function<bool()>& is_cancelled,
                     const std::function<bool(const v1::RunEvent&)>& write);

  bool IsActive(const std::string& run_id);  // not in a final state
  int64_t CountActive();
  std::map<v1::RunState, int64_t> CountFinished() { return journal_.CountFinished(); }  // since the start, by state

  // Starts nothing anew from now on; what is active goes on.
  void Close();
  // Close(), ends what is active, and returns when all of it is recorded. May be called again.
  void Stop();

 private:
  struct Job {
    v1::Run run;
    v1::ModelRun request;
    Plan plan;
    std::shared_ptr<StopSource> stop;
    std::unique_ptr<ops::Activity::Scope> scope;  // a waiting run keeps the daemon
  };
  struct Launch {
    v1::Run run;
    std::string artifacts_root;
    double overhead_budget = 0.0;
    std::optional<attach::ModuleMap> module_map;
    std::unique_ptr<collect::Session> session;
    std::unique_ptr<ops::Activity::Scope> scope;
    absl::Time started;
  };

  // A job that is recorded on a thread of its own.
  struct Attached {
    std::vector<int64_t> pids;
    std::shared_ptr<StopSource> stop;
    std::thread thread;
    bool is_over = false;
  };

  void FollowLive(std::unique_ptr<LiveRun> live, v1::Run run, const std::string& artifacts_root,
                  std::shared_ptr<StopSource> stop);
  // Joins the threads of jobs that are over.
  void ReapAttached() ABSL_LOCKS_EXCLUDED(mutex_);

  absl::StatusOr<v1::StartRunResponse> StartModel(const v1::ModelRun& request, Caller caller);
  absl::StatusOr<v1::StartRunResponse> StartLaunch(const v1::LaunchRun& request, Caller caller);
  void WorkLoop();
  // The machine is the caller's alone until Yield. False: it was cancelled before that.
  bool AwaitTurn(const std::function<bool()>& is_cancelled);
  void Yield();
  void Execute(Job* job);
  absl::Status BuildLaunchReport(Launch* launch, int wait_status, absl::Time deadline);
  // Into the store first, then the journal; a store that refuses is logged, and the run goes on.
  void Record(const v1::Run& run, std::string message, std::optional<double> progress = std::nullopt);
  // Records the final state. The run is not active any more.
  void Finish(v1::Run* run, const absl::Status& outcome);

  const ModelRunTools tools_;
  ops::Activity* const activity_;
  Journal journal_;

  absl::Mutex mutex_;
  std::deque<std::unique_ptr<Job>> queue_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<StopSource>> active_ ABSL_GUARDED_BY(mutex_);  // null for a launch
  std::map<std::string, Launch> launches_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Attached> attached_ ABSL_GUARDED_BY(mutex_);
  bool is_measuring_ ABSL_GUARDED_BY(mutex_) = false;  // a model run, or what DoAlone does
  bool is_closed_ ABSL_GUARDED_BY(mutex_) = false;     // nothing new
  bool is_stopping_ ABSL_GUARDED_BY(mutex_) = false;   // the worker ends once the queue is empty
  std::thread worker_;
};

}  // namespace dsocr::run

#endif  // DSOCR_DAEMON_RUN_RUN_MANAGER_H_
