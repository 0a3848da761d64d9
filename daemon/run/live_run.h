// A live job under observation: the way in, the window, the report.
#ifndef DSOCR_DAEMON_RUN_LIVE_RUN_H_
#define DSOCR_DAEMON_RUN_LIVE_RUN_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "cupti/record/message.h"
#include "daemon/attach/module_map.h"
#include "daemon/attach/target.h"
#include "daemon/collect/collector.h"
#include "daemon/run/model_run.h"
#include "daemon/run/stop_source.h"
#include "dsocr/v1/profile.pb.h"

namespace dsocr::run {

// Of a request. Empty is none. INVALID_ARGUMENT, naming the line, for what is no module map.
absl::StatusOr<std::optional<attach::ModuleMap>> ParseModuleMap(const std::string& text);

// INVALID_ARGUMENT, naming the field, for what no attach can do.
absl::Status CheckAttach(const v1::AttachRequest& request);

record::Depth DepthOf(v1::Depth depth);  // unspecified: stages

// How each way into each process that `request` means is judged; touches none of them. NOT_FOUND: no such process.
absl::StatusOr<v1::ExplainAttachResponse> ExplainAttach(const v1::AttachRequest& request);

v1::ListProcessesResponse ListProcesses(const v1::ListProcessesRequest& request);

// What was recorded of a job, and how.
struct JobRecording {
  attribution::Result measured;
  std::string trace_path;  // its records, for what is known only at the end: whether the model is; empty: none
  std::optional<attach::ModuleMap> module_map;
  v1::Route route = v1::ROUTE_UNSPECIFIED;
  double overhead_budget = 0.0;
  absl::Time started;
  std::vector<std::string> notes;
};

// Builds the report of a job that is not our runner, with its prediction where the model is recognised, writes its
// artifacts and stores it; sets run->artifacts_dir.
absl::Status PublishJob(const ModelRunTools& tools, JobRecording recording, const std::string& artifacts_root,
                        v1::Run* run);

// Tells how the job is doing, once a second.
using TellLive = std::function<void(std::string message, std::vector<v1::LiveModule> modules)>;

// One thread at a time.
class LiveRun {
 public:
  // Looks at the processes that `request` means and touches none. INVALID_ARGUMENT as CheckAttach; NOT_FOUND: no such
  // process; PERMISSION_DENIED: rights are missing; FAILED_PRECONDITION: every other refusal.
  static absl::StatusOr<std::unique_ptr<LiveRun>> Look(const ModelRunTools& tools, const v1::AttachRequest& request);

  // Finds a way into them, in the order agent, inject, kineto, and begins to record. `response`: its route, pids and
  // notes are filled in. Errors as Look's. REQUIRES: called once, before Follow.
  absl::Status Begin(const std::string& trace_dir, v1::AttachResponse* response);

  // Until it is stopped, the window is over or the job ends; then the job is left alone and its report is published.
  // `run`: first_record_ms and artifacts_dir are filled in.
  absl::Status Follow(const std::string& artifacts_root, const StopSource& stop, v1::Run* run, const TellLive& tell);

 private:
  LiveRun(const ModelRunTools& tools, const v1::AttachRequest& request, std::optional<attach::ModuleMap> module_map)
      : tools_(tools), request_(request), module_map_(std::move(module_map)) {}
  absl::Status Enter(attach::Target& target);
  absl::Status FollowTrace(const std::string& artifacts_root, const StopSource& stop, v1::Run* run,
                           const TellLive& tell);
  absl::Status WaitForEnd(const StopSource& stop, v1::Run* run, const TellLive& tell);

  const ModelRunTools tools_;
  const v1::AttachRequest request_;
  const std::optional<attach::ModuleMap> module_map_;
  const absl::Time asked_ = absl::Now();
  v1::Route route_ = v1::ROUTE_UNSPECIFIED;
  std::vector<attach::Target> targets_;  // until Begin
  std::unique_ptr<collect::Session> session_;
  attach::Target traced_;  // on the kineto route
  std::vector<int64_t> pids_;
  std::vector<std::string> notes_;
  collect::Progress seen_;  // when the window ended
};

}  // namespace dsocr::run

#endif  // DSOCR_DAEMON_RUN_LIVE_RUN_H_
