#include "daemon/run/run_manager.h"

#include <malloc.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "daemon/run/subprocess.h"
#include "daemon/store/new_id.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace dsocr::run {
namespace {

// A watcher that has gone is noticed within this; the call itself then ends.
constexpr absl::Duration kWatchTick = absl::Milliseconds(200);
constexpr absl::Duration kDrainLimit = absl::Seconds(10);  // of a launched command's records
constexpr size_t kMaxCommandBytes = 4096;                  // of Run.command; the rest of a longer one is cut

std::string Now() { return absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone()); }

absl::Status NoSuchRun(const std::string& run_id) {
  return absl::NotFoundError(
      fmt::format("no run '{}': not among those that go on; 'dsocrctl list' shows the reports", run_id));
}

absl::Status CancelledBeforeItBegan() {
  return absl::CancelledError("run: it was cancelled before it began; start it again when it is wanted");
}

v1::Run NewRun(const std::string& run_id, std::string command) {
  v1::Run run;
  run.set_run_id(run_id);
  run.set_report_id(run_id);
  run.set_state(v1::RUN_STATE_QUEUED);
  run.set_started_at(Now());
  command.resize(std::min(command.size(), kMaxCommandBytes));
  run.set_command(std::move(command));
  return run;
}

// What an attach that was refused leaves of the directory that it made.
void RemoveEmptyRun(const std::string& artifacts_root, const std::string& run_id) {
  std::error_code ignored;
  std::filesystem::remove(std::filesystem::path(artifacts_root) / run_id / "trace", ignored);
  std::filesystem::remove(std::filesystem::path(artifacts_root) / run_id, ignored);
}

v1::RunState FinalStateOf(const absl::Status& outcome) {
  if (outcome.ok()) {
    return v1::RUN_STATE_DONE;
  }
  return absl::IsCancelled(outcome) ? v1::RUN_STATE_CANCELLED : v1::RUN_STATE_FAILED;
}

}  // namespace

RunManager::RunManager(ModelRunTools tools, ops::Activity* activity)
    : tools_(tools), activity_(activity), worker_([this] { WorkLoop(); }) {}

RunManager::~RunManager() { Stop(); }

absl::Status RunManager::Recover() {
  DSOCR_ASSIGN_OR_RETURN(std::vector<v1::Run> interrupted, tools_.store->InterruptedRuns());
  for (v1::Run& run : interrupted) {
    run.set_state(v1::RUN_STATE_FAILED);
    run.set_error(fmt::format("run '{}': dsocrd ended while it was going on; start it again", run.run_id()));
    run.set_error_code(static_cast<int>(absl::StatusCode::kAborted));
    run.set_finished_at(Now());
    DSOCR_RETURN_IF_ERROR(tools_.store->PutRun(run));
    tools_.log->Warning("run {}: was interrupted when dsocrd last ended; marked as failed", run.run_id());
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::StartRunResponse> RunManager::Start(const v1::StartRunRequest& request, Caller caller) {
  switch (request.run_case()) {
    case v1::StartRunRequest::kModel:
      return StartModel(request.model(), caller);
    case v1::StartRunRequest::kLaunch:
      return StartLaunch(request.launch(), caller);
    default:
      return absl::InvalidArgumentError("run: neither model nor launch is given; give one of them");
  }
}

absl::StatusOr<v1::StartRunResponse> RunManager::StartModel(const v1::ModelRun& request, Caller caller) {
  auto job = std::make_unique<Job>();
  v1::DeepSeekOCRAnalyticRequest known = request.request();
  if (request.has_image_path()) {  // whether seq_len suffices is known with the image
    known.mutable_workload()->clear_seq_len();
  }
  DSOCR_ASSIGN_OR_RETURN(job->plan, tools_.planner->Resolve(known, caller));
  DSOCR_RETURN_IF_ERROR(CheckModelRun(request, job->plan));
  job->request = request;
  job->stop = std::make_shared<StopSource>();
  job->scope = std::make_unique<ops::Activity::Scope>(activity_);

  absl::MutexLock lock(&mutex_);
  if (is_closed_) {
    return absl::UnavailableError("dsocrd: it is shutting down; run again in a moment");
  }
  if (queue_.size() >= kMaxQueuedRuns) {
    return absl::ResourceExhaustedError(fmt::format("run: {} are waiting already; run again later", queue_.size()));
  }
  // Under the lock, so that of two equal run ids the second one finds the first.
  DSOCR_RETURN_IF_ERROR(tools_.planner->NameReport(request.request(), &job->plan));
  const std::string run_id = job->plan.input.report_id;
  job->run = NewRun(run_id, fmt::format("{} serve", tools_.config->Get()->runner_path));
  DSOCR_RETURN_IF_ERROR(tools_.store->PutRun(job->run));
  journal_.Publish(job->run, "waiting for its turn");
  active_.emplace(run_id, job->stop);
  queue_.push_back(std::move(job));

  v1::StartRunResponse response;
  response.set_run_id(run_id);
  response.set_report_id(run_id);
  return response;
}

absl::StatusOr<v1::StartRunResponse> RunManager::StartLaunch(const v1::LaunchRun& request, Caller caller) {
  if (request.command().empty()) {
    return absl::InvalidArgumentError("command: it is empty; give a program after '--'");
  }
  DSOCR_RETURN_IF_ERROR(CheckOverheadBudget(request.overhead_budget()));
  DSOCR_ASSIGN_OR_RETURN(std::optional<attach::ModuleMap> module_map, ParseModuleMap(request.module_map()));
  v1::DeepSeekOCRAnalyticRequest naming;
  naming.set_run_id(request.run_id());
  naming.set_artifacts_root(request.artifacts_root());
  DSOCR_ASSIGN_OR_RETURN(Plan plan, tools_.planner->Resolve(naming, caller));

  absl::MutexLock lock(&mutex_);
  if (is_closed_) {
    return absl::UnavailableError("dsocrd: it is shutting down; launch again in a moment");
  }
  if (launches_.size() >= kMaxLaunches) {
    return absl::ResourceExhaustedError(
        fmt::format("launch: {} commands are under it already; launch again later", launches_.size()));
  }
  DSOCR_RETURN_IF_ERROR(tools_.planner->NameReport(naming, &plan));
  const std::string run_id = plan.input.report_id;
  collect::SessionOptions options;
  options.overhead_budget = request.overhead_budget();
  options.depth = DepthOf(request.depth());
  DSOCR_ASSIGN_OR_RETURN(options.trace_dir, MakeTraceDir(plan.artifacts_root, run_id));
  DSOCR_ASSIGN_OR_RETURN(std::unique_ptr<collect::Session> session, tools_.collector->Expect(std::move(options)));
  v1::Run run = NewRun(run_id, fmt::format("{}", fmt::join(request.command(), " ")));
  run.set_state(v1::RUN_STATE_MEASURING);
  DSOCR_RETURN_IF_ERROR(tools_.store->PutRun(run));
  journal_.Publish(run, "waiting for the command to end");

  v1::StartRunResponse response;
  response.set_run_id(run_id);
  response.set_report_id(run_id);
  for (const auto& [name, value] : session->Environment(/*preload=*/true)) {
    (*response.mutable_environment())[name] = value;
  }
  active_.emplace(run_id, nullptr);
  launches_.emplace(run_id, Launch{.run = std::move(run),
                                   .artifacts_root = plan.artifacts_root,
                                   .overhead_budget = request.overhead_budget(),
                                   .module_map = std::move(module_map),
                                   .session = std::move(session),
                                   .scope = std::make_unique<ops::Activity::Scope>(activity_),
                                   .started = absl::Now()});
  return response;
}

absl::StatusOr<v1::Run> RunManager::FinishLaunch(const v1::FinishLaunchRequest& request, absl::Time deadline) {
  Launch launch;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = launches_.find(request.run_id());
    if (found == launches_.end()) {
      return NoSuchRun(request.run_id());
    }
    launch = std::move(found->second);
    launches_.erase(found);
  }
  Finish(&launch.run, BuildLaunchReport(&launch, request.wait_status(), deadline));
  return launch.run;
}

absl::Status RunManager::BuildLaunchReport(Launch* launch, int wait_status, absl::Time deadline) {
  launch->run.set_state(v1::RUN_STATE_JOINING);
  Record(launch->run, fmt::format("the command {}", DescribeWaitStatus(wait_status)));
  collect::SessionResult result = launch->session->Finish(std::min(deadline, absl::Now() + kDrainLimit));
  if (!result.trace_error.empty()) {
    tools_.log->Warning("run {}: its records are not kept: {}", launch->run.run_id(), result.trace_error);
  }
  if (!result.agent_came) {
    return absl::FailedPreconditionError(fmt::format(
        "launch of '{}': no agent came from it; is it a program that dynamic linking reaches?", launch->run.command()));
  }
  return PublishJob(tools_,
                    {.measured = std::move(result.attribution),
                     .trace_path = result.trace_path,
                     .module_map = std::move(launch->module_map),
                     .route = v1::ROUTE_LAUNCH,
                     .overhead_budget = launch->overhead_budget,
                     .started = launch->started},
                    launch->artifacts_root, &launch->run);
}

absl::StatusOr<v1::AttachResponse> RunManager::Attach(const v1::AttachRequest& request, Caller caller) {
  ReapAttached();
  DSOCR_ASSIGN_OR_RETURN(std::unique_ptr<LiveRun> live, LiveRun::Look(tools_, request));
  v1::DeepSeekOCRAnalyticRequest naming;
  naming.set_run_id(request.run_id());
  naming.set_artifacts_root(request.artifacts_root());
  DSOCR_ASSIGN_OR_RETURN(Plan plan, tools_.planner->Resolve(naming, caller));
  DSOCR_RETURN_IF_ERROR(tools_.planner->NameReport(naming, &plan));
  const std::string run_id = plan.input.report_id;
  auto stop = std::make_shared<StopSource>();
  {
    absl::MutexLock lock(&mutex_);
    if (is_closed_) {
      return absl::UnavailableError("dsocrd: it is shutting down; attach again in a moment");
    }
    for (const auto& [other_id, other] : attached_) {
      if (!other.is_over && std::count(other.pids.begin(), other.pids.end(), request.pid()) > 0) {
        return absl::FailedPreconditionError(
            fmt::format("attach to {}: run '{}' records it already; end that with 'dsocrctl detach {}'", request.pid(),
                        other_id, request.pid()));
      }
    }
    if (attached_.size() >= kMaxAttached) {
      return absl::ResourceExhaustedError(
          fmt::format("attach: {} jobs are being recorded already; detach one first", attached_.size()));
    }
    attached_[run_id] = {.pids = {request.pid()}, .stop = stop};
  }
  v1::AttachResponse response;
  const absl::StatusOr<std::string> trace_dir = MakeTraceDir(plan.artifacts_root, run_id);
  const absl::Status begun = trace_dir.ok() ? live->Begin(*trace_dir, &response) : trace_dir.status();
  absl::MutexLock lock(&mutex_);
  Attached& attached = attached_[run_id];
  if (!begun.ok() || is_closed_) {
    attached_.erase(run_id);
    RemoveEmptyRun(plan.artifacts_root, run_id);
    return begun.ok() ? absl::UnavailableError("dsocrd: it is shutting down; attach again in a moment") : begun;
  }
  response.set_run_id(run_id);
  response.set_report_id(run_id);
  v1::Run run = NewRun(run_id, fmt::format("attach {}", request.pid()));
  run.set_state(v1::RUN_STATE_MEASURING);
  if (absl::Status stored = tools_.store->PutRun(run); !stored.ok()) {
    attached_.erase(run_id);
    return stored;
  }
  journal_.Publish(run, fmt::format("attached to {}", fmt::join(response.pids(), ", ")));
  active_.emplace(run_id, stop);
  attached.pids.assign(response.pids().begin(), response.pids().end());
  attached.thread = std::thread([this, live = std::move(live), run, root = plan.artifacts_root, stop]() mutable {
    FollowLive(std::move(live), std::move(run), root, std::move(stop));
  });
  return response;
}

void RunManager::FollowLive(std::unique_ptr<LiveRun> live, v1::Run run, const std::string& artifacts_root,
                            std::shared_ptr<StopSource> stop) {
  const ops::Activity::Scope scope(activity_);  // a job that is recorded keeps the daemon
  const absl::Status outcome =
      live->Follow(artifacts_root, *stop, &run, [&](std::string message, std::vector<v1::LiveModule> modules) {
        journal_.Publish(run, std::move(message), std::nullopt, std::move(modules));
      });
  live.reset();
  {
    absl::MutexLock lock(&mutex_);
    attached_[run.run_id()].is_over = true;
  }
  Finish(&run, outcome);
}

void RunManager::ReapAttached() {
  std::vector<std::thread> over;
  {
    absl::MutexLock lock(&mutex_);
    for (auto attached = attached_.begin(); attached != attached_.end();) {
      if (attached->second.is_over) {
        over.push_back(std::move(attached->second.thread));
        attached = attached_.erase(attached);
      } else {
        ++attached;
      }
    }
  }
  for (std::thread& thread : over) {
    thread.join();
  }
}

absl::StatusOr<v1::Run> RunManager::Detach(int64_t pid, absl::Time deadline) {
  std::string run_id;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, attached] : attached_) {
      if (!attached.is_over && std::count(attached.pids.begin(), attached.pids.end(), pid) > 0) {
        run_id = id;
        attached.stop->Stop();
      }
    }
  }
  if (run_id.empty()) {
    return absl::NotFoundError(
        fmt::format("detach {}: no such process is being recorded; 'dsocrctl ps' says which are", pid));
  }
  for (size_t next = 0;;) {
    const std::optional<Journal::News> news = journal_.Read(run_id, next, std::min(deadline, absl::Now() + kWatchTick));
    if (!news || news->has_ended || absl::Now() >= deadline) {
      return Get(run_id);
    }
    next += news->events.size();
  }
}

absl::StatusOr<v1::Run> RunManager::Get(const std::string& run_id) {
  if (std::optional<v1::Run> live = journal_.Find(run_id)) {
    return *std::move(live);
  }
  return tools_.store->GetRun(run_id);
}

absl::StatusOr<v1::ListRunsResponse> RunManager::List(const v1::ListRunsRequest& request) {
  return tools_.store->ListRuns(request);
}

absl::StatusOr<v1::Run> RunManager::Cancel(const std::string& run_id) {
  std::optional<Launch> launch;
  std::unique_ptr<Job> waiting;
  {
    absl::MutexLock lock(&mutex_);
    const auto in_queue =
        std::find_if(queue_.begin(), queue_.end(), [&](const auto& job) { return job->run.run_id() == run_id; });
    if (in_queue != queue_.end()) {
      waiting = std::move(*in_queue);
      queue_.erase(in_queue);
    }
    if (const auto found = active_.find(run_id); found != active_.end() && found->second != nullptr) {
      found->second->Stop();
    }
    if (const auto found = launches_.find(run_id); found != launches_.end()) {
      launch = std::move(found->second);
      launches_.erase(found);
    }
  }
  if (launch) {
    Finish(&launch->run,
           absl::CancelledError("launch: it was cancelled; its command goes on without the agent's connection"));
  }
  if (waiting) {
    Finish(&waiting->run, CancelledBeforeItBegan());
  }
  return Get(run_id);
}

bool RunManager::AwaitTurn(const std::function<bool()>& is_cancelled) {
  absl::MutexLock lock(&mutex_);
  const auto is_free = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !is_measuring_; };
  while (!is_cancelled()) {
    if (mutex_.AwaitWithTimeout(absl::Condition(&is_free), kWatchTick)) {
      is_measuring_ = true;
      return true;
    }
  }
  return false;
}

void RunManager::Yield() {
  absl::MutexLock lock(&mutex_);
  is_measuring_ = false;
}

absl::Status RunManager::DoAlone(const std::function<bool()>& is_cancelled,
                                 const std::function<absl::Status(const StopSource&)>& work) {
  const ops::Activity::Scope scope(activity_);
  const std::string id = store::NewId("alone");
  const auto stop = std::make_shared<StopSource>();
  {
    absl::MutexLock lock(&mutex_);
    if (is_closed_) {
      return absl::UnavailableError("dsocrd: it is shutting down; ask again in a moment");
    }
    active_.emplace(id, stop);
  }
  absl::Status outcome = absl::CancelledError("call: it was cancelled before its turn came; call again");
  if (AwaitTurn([&] { return stop->is_stopped() || is_cancelled(); })) {
    absl::Notification is_done;
    std::thread watcher([&] {
      while (!is_done.WaitForNotificationWithTimeout(kWatchTick)) {
        if (is_cancelled()) {
          stop->Stop();
        }
      }
    });
    outcome = work(*stop);
    is_done.Notify();
    watcher.join();
    Yield();
  }
  absl::MutexLock lock(&mutex_);
  active_.erase(id);
  return outcome;
}

absl::Status RunManager::Watch(const std::string& run_id, const std::function<bool()>& is_cancelled,
                               const std::function<bool(const v1::RunEvent&)>& write) {
  const absl::Status gone = absl::CancelledError("call: the caller has gone; call again");
  for (size_t next = 0;;) {
    const std::optional<Journal::News> news = journal_.Read(run_id, next, absl::Now() + kWatchTick);
    if (!news) {
      // Of an older run only the end is known.
      DSOCR_ASSIGN_OR_RETURN(const v1::Run run, tools_.store->GetRun(run_id));
      v1::RunEvent event;
      *event.mutable_run() = run;
      return write(event) ? absl::OkStatus() : gone;
    }
    for (const v1::RunEvent& event : news->events) {
      if (!write(event)) {
        return gone;
      }
    }
    next += news->events.size();
    if (news->has_ended) {
      return absl::OkStatus();
    }
    if (is_cancelled()) {
      return gone;
    }
  }
}

bool RunManager::IsActive(const std::string& run_id) {
  absl::MutexLock lock(&mutex_);
  return active_.contains(run_id);
}

int64_t RunManager::CountActive() {
  absl::MutexLock lock(&mutex_);
  return static_cast<int64_t>(active_.size());
}

void RunManager::Close() {
  absl::MutexLock lock(&mutex_);
  is_closed_ = true;
}

void RunManager::Stop() {
  std::map<std::string, Launch> launches;
  {
    absl::MutexLock lock(&mutex_);
    is_closed_ = true;
    is_stopping_ = true;
    for (const auto& [run_id, stop] : active_) {
      if (stop != nullptr) {
        stop->Stop();
      }
    }
    launches = std::exchange(launches_, {});
  }
  for (auto& [run_id, launch] : launches) {
    Finish(&launch.run, absl::CancelledError("dsocrd: it is shutting down; launch again"));
  }
  while (true) {  // their stop sources are told; each leaves its job and publishes what it has
    ReapAttached();
    absl::MutexLock lock(&mutex_);
    if (attached_.empty()) {
      break;
    }
    const auto any_over = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return attached_.empty() ||
             std::any_of(attached_.begin(), attached_.end(), [](const auto& entry) { return entry.second.is_over; });
    };
    mutex_.Await(absl::Condition(&any_over));
  }
  if (worker_.joinable()) {
    worker_.join();
  }
}

void RunManager::WorkLoop() {
  while (true) {
    std::unique_ptr<Job> job;
    {
      absl::MutexLock lock(&mutex_);
      const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return is_stopping_ || !queue_.empty(); };
      mutex_.Await(absl::Condition(&has_work));
      if (queue_.empty()) {
        return;
      }
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    Execute(job.get());
  }
}

void RunManager::Execute(Job* job) {
  tools_.log->Info("run {}: starts: {} on {}", job->run.run_id(), job->plan.input.workload.profile_id,
                   job->plan.target.info.name());
  const Tell tell = [&](v1::RunState state, std::string message, std::optional<double> progress) {
    const bool is_new_state = state != job->run.state();
    job->run.set_state(state);
    if (is_new_state) {
      Record(job->run, std::move(message), progress);
    } else {
      journal_.Publish(job->run, std::move(message), progress);
    }
  };
  const bool has_turn = AwaitTurn([job] { return job->stop->is_stopped(); });
  const absl::Status outcome = has_turn ? ExecuteModelRun(tools_, job->request, job->plan, *job->stop, &job->run, tell)
                                        : CancelledBeforeItBegan();
  if (has_turn) {
    Yield();
  }
  Finish(&job->run, outcome);
  ::malloc_trim(0);  // the records of a run pass through once; what they took goes back to the system
}

void RunManager::Record(const v1::Run& run, std::string message, std::optional<double> progress) {
  if (const absl::Status stored = tools_.store->PutRun(run); !stored.ok()) {
    tools_.log->Error("run {}: its state cannot be stored: {}", run.run_id(), std::string(stored.message()));
  }
  journal_.Publish(run, std::move(message), progress);
}

void RunManager::Finish(v1::Run* run, const absl::Status& outcome) {
  run->set_state(FinalStateOf(outcome));
  run->set_finished_at(Now());
  if (!outcome.ok()) {
    run->set_error(std::string(outcome.message()));
    run->set_error_code(static_cast<int>(outcome.code()));
  }
  {
    absl::MutexLock lock(&mutex_);
    active_.erase(run->run_id());
  }
  const std::string message = outcome.ok() ? "done" : std::string(outcome.message());
  tools_.log->Info("run {}: {}", run->run_id(), message);
  Record(*run, message);
}

}  // namespace dsocr::run
