// Plays a script on the fake GPU (tests/fake/README.md) under the shipped agent and the collector, and compares what
// the report says with what the job says truly happened.
#ifndef DSOCR_TESTS_CUPTI_AGENT_GPU_JOB_TEST_H_
#define DSOCR_TESTS_CUPTI_AGENT_GPU_JOB_TEST_H_

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "daemon/collect/collector.h"
#include "tests/scratch_directory.h"

namespace dsocr {

using attribution::Incident;
using attribution::ModuleSum;
using attribution::StreamLedger;
using record::IncidentCode;

// A job that has ended, and what was recorded of it.
struct PlayedJob {
  int exit_code = -1;  // 128 + the signal that killed it
  std::string output;
  std::string talk;
  nlohmann::json truth;  // null: it did not say
  collect::SessionResult session;
  attribution::Result result;  // session.attribution

  const ModuleSum* Module(const std::string& id) const {
    const auto& modules = result.request.modules;
    const auto found =
        std::find_if(modules.begin(), modules.end(), [&id](const ModuleSum& module) { return module.module_id == id; });
    return found == modules.end() ? nullptr : &*found;
  }
  int64_t SelfNs(const std::string& id) const {
    const ModuleSum* const module = Module(id);
    return module == nullptr ? -1 : module->self_device_ns;
  }
  // Null: nothing is said of it.
  const Incident* Told(IncidentCode code) const {
    const auto& incidents = result.incidents;
    const auto found = std::find_if(incidents.begin(), incidents.end(),
                                    [code](const Incident& incident) { return incident.code == code; });
    return found == incidents.end() ? nullptr : &*found;
  }
  // The ledger's sum over streams.
  StreamLedger Total() const {
    StreamLedger total;
    for (const StreamLedger& stream : result.gpu ? result.gpu->streams : std::vector<StreamLedger>{}) {
      total.launched += stream.launched;
      total.recorded += stream.recorded;
      total.dropped += stream.dropped;
      total.invalid += stream.invalid;
      total.pending += stream.pending;
    }
    return total;
  }
  int64_t launched() const { return truth.at("operations").get<int64_t>(); }
};

class GpuJobTest : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("XDG_RUNTIME_DIR", directory_.path().c_str(), 1);  // where an agent without a session listens
    auto started = collect::Collector::Start(directory_ / "agent.sock", DSOCR_BIN_DIR "/libdsocr_agent.so");
    ASSERT_TRUE(started.ok()) << started.status();
    collector_ = *std::move(started);
  }

  // A request is each outermost range "request", none is left out as warm-up; module ids are dotted paths of ranges.
  static attribution::Options Requests() {
    attribution::Options options;
    options.request_range = "request";
    return options;
  }

  PlayedJob Play(const std::string& script, attribution::Options options = {}) {
    std::ofstream(directory_ / "script") << script;
    auto session = collector_->Expect({std::move(options), ""});
    EXPECT_TRUE(session.ok()) << session.status();
    PlayedJob job;
    const int status = Run(**session);
    job.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    job.output = ReadFile("output");
    job.talk = ReadFile("talk");
    job.truth = nlohmann::json::parse(job.output, nullptr, /*allow_exceptions=*/false);
    job.session = (*session)->Finish(absl::Now() + absl::Seconds(20));
    job.result = job.session.attribution;
    return job;
  }

  // The job did not notice: it ended as it would have, and said what it says.
  static void ExpectUndisturbed(const PlayedJob& job, int exit_code = 0) {
    EXPECT_EQ(job.exit_code, exit_code);
    EXPECT_EQ(job.talk, "");
    EXPECT_TRUE(job.truth.is_object()) << job.output;
    EXPECT_EQ(std::count(job.output.begin(), job.output.end(), '\n'), 1) << job.output;
    EXPECT_TRUE(job.session.agent_came);
  }

  // Stream by stream, the four ways out add up to what the job launched there.
  static void ExpectLedgerCloses(const PlayedJob& job) {
    ASSERT_TRUE(job.result.gpu.has_value());
    ASSERT_TRUE(job.result.gpu->launches_counted);
    for (const StreamLedger& stream : job.result.gpu->streams) {
      EXPECT_EQ(stream.launched, stream.recorded + stream.dropped + stream.invalid + stream.pending)
          << "context " << stream.context << ", stream " << stream.stream.value_or(0);
    }
    for (const nlohmann::json& truth : job.truth.at("streams")) {
      const auto& streams = job.result.gpu->streams;
      const auto found = std::find_if(streams.begin(), streams.end(), [&truth](const StreamLedger& stream) {
        return stream.context == truth.at("context") && stream.stream == truth.at("stream").get<uint32_t>();
      });
      ASSERT_TRUE(found != streams.end() || truth.at("operations") == 0) << truth;
      EXPECT_EQ(found == streams.end() ? 0 : found->launched, truth.at("operations").get<int64_t>()) << truth;
    }
    EXPECT_EQ(job.Total().launched, job.launched());
  }

  // Every launch has been recorded, and nothing went wrong.
  static void ExpectComplete(const PlayedJob& job) {
    ExpectLedgerCloses(job);
    EXPECT_EQ(job.Total().recorded, job.launched());
    EXPECT_THAT(job.result.incidents, ::testing::IsEmpty());
    EXPECT_EQ(job.result.records_dropped, 0);
    EXPECT_EQ(job.result.records_invalid, 0);
  }

  // Each range has the device time of what was launched in it, to the nanosecond. Of jobs that replay no graph, are one
  // request and know no model.
  static void ExpectRangesAreTrue(const PlayedJob& job) {
    for (const auto& [path, work] : job.truth.at("ranges").items()) {
      std::string id = path;
      for (size_t at = id.find(" > "); at != std::string::npos; at = id.find(" > ")) {
        id.replace(at, 3, ".");
      }
      EXPECT_EQ(job.SelfNs(id), work.at("duration_ns").get<int64_t>()) << path;
    }
    EXPECT_EQ(job.result.request.operations, job.launched());
    EXPECT_EQ(job.result.request.unattributed_ns, 0);
  }

  const ScratchDirectory directory_;
  std::unique_ptr<collect::Collector> collector_;

 private:
  std::string ReadFile(const std::string& name) const {
    std::ifstream file(directory_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // The job's wait status. Its stdout goes into the file "output", its stderr into "talk".
  int Run(const collect::Session& session) const {
    std::vector<std::string> environment;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      environment.emplace_back(*variable);
    }
    for (const auto& [name, value] : session.Environment(/*preload=*/false)) {
      environment.push_back(name + "=" + value);
    }
    std::vector<char*> envp;
    for (std::string& variable : environment) {
      envp.push_back(variable.data());
    }
    envp.push_back(nullptr);
    std::string program = DSOCR_GPU_JOB;
    std::string script = directory_ / "script";
    char* const argv[] = {program.data(), script.data(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    constexpr int kFlags = O_CREAT | O_TRUNC | O_WRONLY;
    const std::string output = directory_ / "output";
    const std::string talk = directory_ / "talk";
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(), kFlags, 0600);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, talk.c_str(), kFlags, 0600);
    pid_t pid = -1;
    EXPECT_EQ(posix_spawn(&pid, argv[0], &actions, nullptr, argv, envp.data()), 0);
    posix_spawn_file_actions_destroy(&actions);
    int status = -1;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return status;
  }
};

}  // namespace dsocr

#endif  // DSOCR_TESTS_CUPTI_AGENT_GPU_JOB_TEST_H_
