#include "daemon/run/run_manager.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/daemon/report/sample_join.h"
#include "tests/scratch_directory.h"

namespace dsocr::run {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// Stands for the agents: every session ends with the measurement that was put in.
class FakeCollector : public collect::Collector {
 public:
  absl::StatusOr<std::unique_ptr<collect::Session>> Expect(collect::SessionOptions options) override {
    overhead_budget = options.overhead_budget;
    return std::make_unique<FakeSession>(this);
  }
  collect::RecordTotals Totals() override { return {}; }
  bool agent_comes = true;
  double overhead_budget = -1;  // of the last session
  attribution::Result measurement;

 private:
  class FakeSession : public collect::Session {
   public:
    explicit FakeSession(const FakeCollector* collector) : collector_(collector) {}
    std::map<std::string, std::string> Environment(bool preload) const override {
      return {{"DSOCR_TEST_PRELOAD", preload ? "1" : "0"}};
    }
    absl::Status Adopt(UniqueFd, int64_t, absl::Time) override { return absl::OkStatus(); }
    void SetPaused(bool) override {}
    void Detach() override {}
    collect::Progress Look() override { return {}; }
    std::vector<attribution::LiveModule> Live() override { return {}; }
    collect::SessionResult Finish(absl::Time) override {
      collect::SessionResult result;
      result.agent_came = collector_->agent_comes;
      result.attribution = collector_->measurement;
      return result;
    }

   private:
    const FakeCollector* const collector_;
  };
};

class RunManagerTest : public ::testing::Test {
 protected:
  RunManagerTest() : log_("/dev/null") {
    ::signal(SIGPIPE, SIG_IGN);  // as dsocrd does
    EXPECT_TRUE(log_.Reopen().ok());
    config::Config config;
    config.artifacts_dir = directory_ / "artifacts";
    config.runner_path = DSOCR_FAKE_RUNNER;
    config.runner_silence = absl::Seconds(30);
    config_ = std::make_unique<config::Current>(config);
    store_ = *store::Store::Open("sqlite:" + (directory_ / "db").string());
    planner_ = std::make_unique<Planner>(store_.get(), config_.get(), &machine_);
    collector_.measurement =
        report::MeasurementOf(*analytic::Predict(analytic::ModelSpec{}, *analytic::FindWorkload("dsocr-tiny-v1"),
                                                 *analytic::FindDevice("cpu")),
                              1000);
    StartManager();
  }
  ~RunManagerTest() override {
    runs_.reset();
    ::unsetenv("FAKE_RUNNER");
  }

  void StartManager() {
    runs_ = std::make_unique<RunManager>(ModelRunTools{.planner = planner_.get(),
                                                       .store = store_.get(),
                                                       .config = config_.get(),
                                                       .collector = &collector_,
                                                       .log = &log_},
                                         &activity_);
    EXPECT_TRUE(runs_->Recover().ok());
  }
  static v1::StartRunRequest TinyRun(const std::string& run_id = "") {
    v1::StartRunRequest request;
    request.mutable_model()->mutable_request()->set_workload_profile_id("dsocr-tiny-v1");
    request.mutable_model()->mutable_request()->set_run_id(run_id);
    request.mutable_model()->mutable_request()->set_calibration("none");
    request.mutable_model()->set_warmup(1);
    return request;
  }
  std::string Start(const v1::StartRunRequest& request) {
    const absl::StatusOr<v1::StartRunResponse> response = runs_->Start(request, Caller::kSameUser);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->run_id() : "";
  }
  // The states that a watcher sees, without repeats; the last event's run is `*end`.
  std::vector<v1::RunState> Follow(const std::string& run_id, v1::Run* end) {
    std::vector<v1::RunState> states;
    const absl::Status watched = runs_->Watch(
        run_id, [] { return false; },
        [&](const v1::RunEvent& event) {
          if (states.empty() || states.back() != event.run().state()) {
            states.push_back(event.run().state());
          }
          *end = event.run();
          return true;
        });
    EXPECT_TRUE(watched.ok()) << watched;
    return states;
  }
  v1::Run End(const std::string& run_id) {
    v1::Run end;
    Follow(run_id, &end);
    return end;
  }
  static json StaticCompute(const v1::Run& run) {
    std::ifstream file(std::filesystem::path(run.artifacts_dir()).parent_path() / "static_compute.json");
    return json::parse(file);
  }
  static void BehaveAs(const std::string& mode) { ::setenv("FAKE_RUNNER", mode.c_str(), 1); }

  const ScratchDirectory directory_;
  ops::Log log_;
  ops::Activity activity_;
  const calibrate::Machine machine_{.cpu_name = "Test CPU", .cpu_cores = 2};
  std::unique_ptr<config::Current> config_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Planner> planner_;
  FakeCollector collector_;
  std::unique_ptr<RunManager> runs_;
};

TEST_F(RunManagerTest, GoodRunPassesItsStatesAndJoinsItsReport) {
  v1::Run end;
  const std::string id = Start(TinyRun());
  const std::vector<v1::RunState> states = Follow(id, &end);
  EXPECT_EQ(end.error(), "");
  EXPECT_THAT(states, ::testing::ElementsAre(v1::RUN_STATE_QUEUED, v1::RUN_STATE_PREDICTING, v1::RUN_STATE_LOADING,
                                             v1::RUN_STATE_WARMUP, v1::RUN_STATE_MEASURING, v1::RUN_STATE_JOINING,
                                             v1::RUN_STATE_DONE));
  const absl::StatusOr<v1::AnalyticModelReport> report = store_->GetReport(id);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->has_measured_total_time_ms());
  EXPECT_EQ(report->profile_run_id(), id);
  EXPECT_EQ(report->provenance().device().name(), "Fake CPU");
  EXPECT_TRUE(std::filesystem::exists(end.artifacts_dir() + "/report.json"));
}

TEST_F(RunManagerTest, KilledRunnerFailsItsRunAndTheNextOneWorks) {
  BehaveAs("sigkill");
  const std::string killed = Start(TinyRun());
  const v1::Run end = End(killed);
  EXPECT_EQ(end.state(), v1::RUN_STATE_FAILED);
  EXPECT_THAT(end.error(), HasSubstr("killed by signal 9 (SIGKILL)"));
  EXPECT_EQ(end.error_code(), static_cast<int>(absl::StatusCode::kInternal));
  const absl::StatusOr<v1::AnalyticModelReport> report = store_->GetReport(killed);
  ASSERT_TRUE(report.ok()) << "the prediction was stored before the run";
  EXPECT_GT(report->predicted_total_time_ms(), 0);
  EXPECT_FALSE(report->has_measured_total_time_ms());

  BehaveAs("");
  EXPECT_EQ(End(Start(TinyRun())).state(), v1::RUN_STATE_DONE);
}

TEST_F(RunManagerTest, RunWithoutAgentIsFailed) {
  collector_.agent_comes = false;
  EXPECT_THAT(End(Start(TinyRun())).error(), HasSubstr("agent"));
}

TEST_F(RunManagerTest, ErrorCodeOfTheRunnerIsKept) {
  BehaveAs("error");
  const v1::Run end = End(Start(TinyRun()));
  EXPECT_EQ(end.error_code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(end.error(), "model '/m': tensor 'a' is short; fetch it anew");
}

TEST_F(RunManagerTest, FirstRunOfADeviceCalibratesItOnce) {
  v1::StartRunRequest request = TinyRun();
  request.mutable_model()->mutable_request()->clear_calibration();
  v1::Run end;
  EXPECT_THAT(Follow(Start(request), &end), ::testing::Contains(v1::RUN_STATE_CALIBRATING));
  EXPECT_TRUE(store_->GetReport(end.report_id())->provenance().has_calibration_id());
  EXPECT_THAT(Follow(Start(request), &end), ::testing::Not(::testing::Contains(v1::RUN_STATE_CALIBRATING)));
}

TEST_F(RunManagerTest, ImageDecidesThePage) {
  v1::StartRunRequest request = TinyRun();
  request.mutable_model()->set_image_path((directory_ / "page.png").string());
  const v1::Run end = End(Start(request));
  EXPECT_EQ(end.error(), "");
  EXPECT_EQ(store_->GetReport(end.report_id())->workload().page_width(), 300);
}

TEST_F(RunManagerTest, StaticComputeHoldsWhatTheRunnerTraced) {
  const v1::Run end = End(Start(TinyRun()));
  EXPECT_EQ(end.error(), "");
  const json stages = StaticCompute(end)["stages"];
  EXPECT_EQ(stages["projector"]["flops_isolated"], 10);
  EXPECT_EQ(stages["sam"]["source"], "analytical");
  EXPECT_THAT(stages["sam"]["notes"].dump(), HasSubstr("extracted: not traced: the fake traces nothing"));
}

TEST_F(RunManagerTest, RunWhoseTraceDiesGoesOnAndSaysWhy) {
  BehaveAs("untraced");
  const v1::Run end = End(Start(TinyRun()));
  EXPECT_EQ(end.error(), "");
  EXPECT_EQ(end.state(), v1::RUN_STATE_DONE);
  EXPECT_THAT(StaticCompute(end)["notes"].dump(),
              HasSubstr("not traced: dsocr-runner was killed by signal 6 (SIGABRT)"));
}

TEST_F(RunManagerTest, TraceIsOfTheRequestThatRuns) {
  const std::string seen = (directory_ / "trace.json").string();
  ::setenv("FAKE_RUNNER_TRACE", seen.c_str(), 1);
  v1::StartRunRequest request = TinyRun();
  request.mutable_model()->set_image_path((directory_ / "page.png").string());
  EXPECT_EQ(End(Start(request)).error(), "");
  ::unsetenv("FAKE_RUNNER_TRACE");
  std::ifstream file(seen);
  const json traced = json::parse(file);
  EXPECT_EQ(traced["image_path"], (directory_ / "page.png").string());
  EXPECT_EQ(traced["workload"]["page_width"], 300);
  EXPECT_EQ(traced["context"], traced["workload"]["seq_len"]);
}

TEST_F(RunManagerTest, TakenRunIdIsRefused) {
  End(Start(TinyRun("mine")));
  EXPECT_EQ(runs_->Start(TinyRun("mine"), Caller::kSameUser).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(RunManagerTest, CancelEndsARunThatGoesOn) {
  BehaveAs("silent");
  const std::string id = Start(TinyRun());
  absl::Status cancelled;
  v1::Run end;
  EXPECT_TRUE(runs_
                  ->Watch(
                      id, [] { return false; },
                      [&](const v1::RunEvent& event) {
                        if (event.run().state() == v1::RUN_STATE_LOADING) {
                          cancelled = runs_->Cancel(id).status();
                        }
                        end = event.run();
                        return true;
                      })
                  .ok());
  EXPECT_TRUE(cancelled.ok()) << cancelled;
  EXPECT_EQ(end.state(), v1::RUN_STATE_CANCELLED);
}

TEST_F(RunManagerTest, CancelledRunThatWaitsNeverBegins) {
  BehaveAs("silent");
  const std::string running = Start(TinyRun());
  const std::string waiting = Start(TinyRun());
  EXPECT_EQ(runs_->Cancel(waiting)->state(), v1::RUN_STATE_CANCELLED);
  EXPECT_FALSE(store_->GetReport(waiting).ok());
  EXPECT_TRUE(runs_->Cancel(running).ok());
}

TEST_F(RunManagerTest, StopEndsWhatGoesOnAndRecordsIt) {
  BehaveAs("silent");
  const std::string id = Start(TinyRun());
  runs_->Stop();
  EXPECT_EQ(store_->GetRun(id)->state(), v1::RUN_STATE_CANCELLED);
  EXPECT_EQ(runs_->Start(TinyRun(), Caller::kSameUser).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(RunManagerTest, WhatIsDoneAloneWaitsForTheRunThatGoesOn) {
  BehaveAs("silent");
  const std::string id = Start(TinyRun());
  bool is_begun = false;
  const auto work = [&](const StopSource&) {
    is_begun = true;
    return absl::OkStatus();
  };
  EXPECT_TRUE(runs_
                  ->Watch(
                      id, [] { return false; },
                      [&](const v1::RunEvent& event) {
                        if (event.run().state() == v1::RUN_STATE_LOADING) {
                          int looks = 0;
                          EXPECT_EQ(runs_->DoAlone([&] { return ++looks > 2; }, work).code(),
                                    absl::StatusCode::kCancelled);
                          EXPECT_FALSE(is_begun);
                          EXPECT_TRUE(runs_->Cancel(id).ok());
                        }
                        return true;
                      })
                  .ok());
  EXPECT_TRUE(runs_->DoAlone([] { return false; }, work).ok());
  EXPECT_TRUE(is_begun);
}

TEST_F(RunManagerTest, RunsWaitForWhatIsDoneAlone) {
  std::string id;
  EXPECT_TRUE(runs_
                  ->DoAlone([] { return false; },
                            [&](const StopSource&) {
                              id = Start(TinyRun());
                              EXPECT_EQ(runs_->CountActive(), 2);
                              EXPECT_EQ(runs_->Get(id)->state(), v1::RUN_STATE_QUEUED);
                              return absl::OkStatus();
                            })
                  .ok());
  EXPECT_EQ(End(id).state(), v1::RUN_STATE_DONE);
}

TEST_F(RunManagerTest, StopAndACallerThatGoesEndWhatIsDoneAlone) {
  const auto until_stopped = [](const StopSource& stop) {
    pollfd descriptor = {.fd = stop.fd(), .events = POLLIN, .revents = 0};
    while (::poll(&descriptor, 1, /*timeout=*/-1) < 0) {
    }
    return absl::CancelledError("stopped");
  };
  EXPECT_EQ(runs_->DoAlone([looks = 0]() mutable { return ++looks > 2; }, until_stopped).message(), "stopped");
  std::thread stopper;
  EXPECT_EQ(runs_
                ->DoAlone([] { return false; },
                          [&](const StopSource& stop) {
                            stopper = std::thread([&] { runs_->Stop(); });
                            return until_stopped(stop);
                          })
                .message(),
            "stopped");
  stopper.join();
  EXPECT_EQ(runs_->DoAlone([] { return false; }, until_stopped).code(), absl::StatusCode::kUnavailable);
}

TEST_F(RunManagerTest, RunsThatACrashCutOffAreFoundAtStart) {
  v1::Run run;
  run.set_run_id("cut");
  run.set_report_id("cut");
  run.set_state(v1::RUN_STATE_MEASURING);
  ASSERT_TRUE(store_->PutRun(run).ok());
  StartManager();
  EXPECT_EQ(runs_->Get("cut")->state(), v1::RUN_STATE_FAILED);
  EXPECT_THAT(runs_->Get("cut")->error(), HasSubstr("dsocrd ended while it was going on"));
}

TEST_F(RunManagerTest, EarlierMeasurementIsJoinedWithoutExecuting) {
  const std::string measured = Start(TinyRun());
  ASSERT_EQ(End(measured).state(), v1::RUN_STATE_DONE);
  BehaveAs("sigkill");  // would fail if it ran
  v1::StartRunRequest request = TinyRun();
  request.mutable_model()->mutable_request()->set_profile_run_id(measured);
  const v1::Run end = End(Start(request));
  EXPECT_EQ(end.error(), "");
  const absl::StatusOr<v1::AnalyticModelReport> report = store_->GetReport(end.report_id());
  EXPECT_EQ(report->profile_run_id(), measured);
  EXPECT_EQ(report->measured_total_time_ms(), store_->GetReport(measured)->measured_total_time_ms());
}

TEST_F(RunManagerTest, MeasurementOfAnotherWorkloadIsRefused) {
  const std::string measured = Start(TinyRun());
  ASSERT_EQ(End(measured).state(), v1::RUN_STATE_DONE);
  v1::StartRunRequest request = TinyRun();
  request.mutable_model()->mutable_request()->set_workload_profile_id("dsocr-small-v1");
  request.mutable_model()->mutable_request()->set_profile_run_id(measured);
  EXPECT_EQ(End(Start(request)).error_code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
}

TEST_F(RunManagerTest, ImpossibleRequestsNameTheField) {
  v1::StartRunRequest bad_repeats = TinyRun();
  bad_repeats.mutable_model()->set_repeats(-1);
  v1::StartRunRequest bad_prompt = TinyRun();
  bad_prompt.mutable_model()->set_prompt("read this");
  v1::StartRunRequest catalogue_device = TinyRun();
  catalogue_device.mutable_model()->mutable_request()->set_device("h200-sxm");
  v1::StartRunRequest graphs = TinyRun();
  graphs.mutable_model()->mutable_request()->set_cuda_graphs(true);
  v1::StartRunRequest bad_budget = TinyRun();
  bad_budget.mutable_model()->set_overhead_budget(0.75);
  v1::StartRunRequest bad_launch_budget;
  bad_launch_budget.mutable_launch()->add_command("true");
  bad_launch_budget.mutable_launch()->set_overhead_budget(-0.25);
  const std::pair<v1::StartRunRequest, std::string> cases[] = {{bad_repeats, "repeats -1"},
                                                               {bad_budget, "overhead_budget 0.75"},
                                                               {bad_launch_budget, "overhead_budget -0.25"},
                                                               {graphs, "cuda_graphs: device 'cpu' has none"},
                                                               {bad_prompt, "prompt"},
                                                               {catalogue_device, "h200-sxm"},
                                                               {v1::StartRunRequest(), "run"}};
  for (const auto& [request, field] : cases) {
    const absl::Status status = runs_->Start(request, Caller::kSameUser).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field;
    EXPECT_THAT(std::string(status.message()), HasSubstr(field));
  }
}

TEST_F(RunManagerTest, OverheadBudgetReachesTheSessionAndTheReport) {
  collector_.measurement.sampling = {.requests_seen = 10, .requests_recorded = 2};
  v1::StartRunRequest request = TinyRun();
  request.mutable_model()->set_overhead_budget(0.02);
  const v1::Run end = End(Start(request));
  EXPECT_EQ(end.error(), "");
  EXPECT_EQ(collector_.overhead_budget, 0.02);
  EXPECT_EQ(store_->GetReport(end.report_id())->attribution().sampling().budget_share(), 0.02);

  v1::StartRunRequest launch;
  launch.mutable_launch()->add_command("true");
  launch.mutable_launch()->set_overhead_budget(0.01);
  v1::FinishLaunchRequest finish;
  finish.set_run_id(runs_->Start(launch, Caller::kSameUser)->run_id());
  EXPECT_EQ(collector_.overhead_budget, 0.01);
  const absl::StatusOr<v1::Run> run = runs_->FinishLaunch(finish, absl::Now() + absl::Seconds(5));
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(store_->GetReport(run->report_id())->attribution().sampling().budget_share(), 0.01);
}

TEST_F(RunManagerTest, LaunchGivesTheEnvironmentAndBuildsAReportOfPaths) {
  v1::StartRunRequest request;
  request.mutable_launch()->add_command("python3");
  const absl::StatusOr<v1::StartRunResponse> started = runs_->Start(request, Caller::kSameUser);
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_EQ(started->environment().at("DSOCR_TEST_PRELOAD"), "1");
  v1::FinishLaunchRequest finish;
  finish.set_run_id(started->run_id());
  const absl::StatusOr<v1::Run> run = runs_->FinishLaunch(finish, absl::Now() + absl::Seconds(5));
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->error(), "");
  EXPECT_FALSE(store_->GetReport(run->report_id())->has_model());
  EXPECT_EQ(runs_->FinishLaunch(finish, absl::Now()).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace dsocr::run
