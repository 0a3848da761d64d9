#include "client/app.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>
#include <tuple>

#include "absl/time/clock.h"
#include "client/exit_code.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/document.h"
#include "tests/client/fake_daemon.h"
#include "tests/proto/sample_report.h"
#include "tests/scratch_directory.h"

namespace dsocr::client {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class App : public ::testing::Test {
 protected:
  App() {
    daemon.reports["r1"] = SampleReport();
    io.working_dir = directory_.path();
  }

  int Run(std::vector<std::string> arguments) { return client::Run(daemon, io, std::move(arguments)); }
  std::string Path(const std::string& name) const { return directory_ / name; }
  std::string FileText(const std::string& name) const {
    std::ifstream file(Path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  size_t FileCount() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(directory_.path()), {}));
  }

  v1::RunEvent Event(v1::RunState state) const {
    v1::RunEvent event;
    event.mutable_run()->set_run_id("r1");
    event.mutable_run()->set_report_id("r1");
    event.mutable_run()->set_state(state);
    event.mutable_run()->set_artifacts_dir("/a/r1/static_analysis/analytic_model");
    return event;
  }

  const ScratchDirectory directory_;
  FakeDaemon daemon;
  FakeIo io;
};

TEST_F(App, KernelsComeOutAsTheyWentInEachWithItsCategory) {
  io.in = "gemm a\ncopy \xff b\r\n\nnorm last";
  EXPECT_EQ(Run({"kernels", "classify"}), kExitDone) << io.err;
  EXPECT_EQ(io.out, "gemm\tgemm a\ncopy\tcopy \xff b\r\n\t\nnorm\tnorm last\n");
  ASSERT_EQ(daemon.classify_requests.size(), 1);
  EXPECT_EQ(daemon.classify_requests[0].kernel_names(1), "copy ? b\r") << "a message holds UTF-8 alone";
}

TEST_F(App, ManyKernelsGoInRequestsOfBoundedSize) {
  std::string expected;
  for (int i = 0; i < 25'000; ++i) {
    const std::string name = "k" + std::to_string(i);
    io.in += name + "\n";
    expected += name + "\t" + name + "\n";
  }
  const std::string longest = "x " + std::string(50'000, 'y');
  for (int i = 0; i < 300; ++i) {
    io.in += longest + "\n";
    expected += "x\t" + longest + "\n";
  }
  EXPECT_EQ(Run({"kernels", "classify"}), kExitDone) << io.err;
  EXPECT_TRUE(io.out == expected);
  EXPECT_GE(daemon.classify_requests.size(), 4);
  for (const v1::ClassifyKernelsRequest& request : daemon.classify_requests) {
    EXPECT_LE(request.ByteSizeLong(), 1u << 20);
    for (const std::string& name : request.kernel_names()) {
      EXPECT_LE(name.size(), 4096);
    }
  }
}

TEST_F(App, KernelsSayWhatIsNoListOfNames) {
  io.in = std::string((1 << 20) + 1, 'x');
  EXPECT_EQ(Run({"kernels", "classify"}), kExitUsage);
  EXPECT_THAT(io.err, HasSubstr("standard input: line 1: longer than 1 MiB"));
  EXPECT_EQ(Run({"kernels", "clasify"}), kExitUsage);
  EXPECT_THAT(io.err, HasSubstr("did you mean 'classify'?"));
}

TEST_F(App, RunPrintsPlaceThenTable) {
  daemon.run_events = {Event(v1::RUN_STATE_LOADING), Event(v1::RUN_STATE_DONE)};
  EXPECT_EQ(Run({"run"}), kExitDone) << io.err;
  EXPECT_THAT(io.out, StartsWith("report_id: r1\nartifacts_dir: /a/r1/static_analysis/analytic_model\n\n"));
  EXPECT_THAT(io.out, HasSubstr("STAGE"));
  EXPECT_EQ(io.err, "dsocrctl: loading\n");
  EXPECT_EQ(daemon.run_request.model().request().device(), "auto");
  EXPECT_EQ(daemon.run_request.model().request().artifacts_root(), Path("tmp/profile-output"));
  EXPECT_EQ(daemon.run_request.model().warmup(), 1);
}

TEST_F(App, RunKeepsStdoutOneDocumentForPrograms) {
  daemon.run_events = {Event(v1::RUN_STATE_DONE)};
  EXPECT_EQ(Run({"run", "-o", "json"}), kExitDone);
  EXPECT_EQ(io.out, document::ToJson(SampleReport()));
  EXPECT_THAT(io.err, HasSubstr("report_id: r1\nartifacts_dir: /"));
}

TEST_F(App, RunShowsProgressOnlyOnATerminal) {
  io.err_is_terminal = true;
  v1::RunEvent event = Event(v1::RUN_STATE_LOADING);
  event.set_progress(0.4);
  event.set_message("loading weights");
  daemon.run_events = {event, Event(v1::RUN_STATE_DONE)};
  EXPECT_EQ(Run({"run"}), kExitDone);
  EXPECT_THAT(io.err, HasSubstr("loading  40 %  loading weights"));
  EXPECT_THAT(io.err, EndsWith("\r\033[K"));
}

TEST_F(App, QuietRunSaysNothing) {
  daemon.run_events = {Event(v1::RUN_STATE_LOADING), Event(v1::RUN_STATE_DONE)};
  EXPECT_EQ(Run({"run", "-q"}), kExitDone);
  EXPECT_THAT(io.err, IsEmpty());
}

TEST_F(App, AnalyticOnlyExecutesNothing) {
  EXPECT_EQ(
      Run({"run", "--analytic-only", "--page", "1240x1754", "--crop-mode", "1", "--model", "m", "--force-rebuild"}),
      kExitDone)
      << io.err;
  EXPECT_EQ(daemon.analytic_request.workload().page_width(), 1240);
  EXPECT_EQ(daemon.analytic_request.workload().crop_mode(), 1);
  EXPECT_FALSE(daemon.analytic_request.workload().has_seq_len());
  EXPECT_EQ(daemon.analytic_request.model_dir(), Path("m"));
  EXPECT_TRUE(daemon.analytic_request.force_rebuild());
  EXPECT_FALSE(daemon.run_request.has_model());
}

TEST_F(App, OverheadBudgetIsAPercentageOrAShare) {
  daemon.run_events = {Event(v1::RUN_STATE_DONE)};
  EXPECT_EQ(Run({"run"}), kExitDone) << io.err;
  EXPECT_EQ(daemon.run_request.model().overhead_budget(), 0);
  for (const char* budget : {"1%", "0.01", "1e-2", "1.0%"}) {
    EXPECT_EQ(Run({"run", "--overhead-budget", budget}), kExitDone) << io.err;
    EXPECT_EQ(daemon.run_request.model().overhead_budget(), 0.01) << budget;
  }
  EXPECT_EQ(Run({"launch", "--overhead-budget", "50%", "--", "true"}), kExitDone) << io.err;
  EXPECT_EQ(daemon.run_request.launch().overhead_budget(), 0.5);
}

TEST_F(App, OverheadBudgetThatCannotBeIsExitTwo) {
  for (const char* budget : {"0", "0%", "50.1%", "0.501", "1", "-1%", "nan", "inf", "%", "1%%", "1 percent"}) {
    io.err.clear();
    EXPECT_EQ(Run({"run", std::string("--overhead-budget=") + budget}), kExitUsage) << budget;
    EXPECT_THAT(io.err, HasSubstr(std::string("--overhead-budget '") + budget + "': not a share of the job's time"));
    EXPECT_EQ(Run({"run", "--analytic-only", std::string("--overhead-budget=") + budget}), kExitUsage) << budget;
    EXPECT_EQ(Run({"launch", std::string("--overhead-budget=") + budget, "--", "true"}), kExitUsage) << budget;
  }
  EXPECT_FALSE(daemon.run_request.has_model());
}

TEST_F(App, ArtifactsGoWhereFlagOrEnvironmentSays) {
  io.environment["DSOCR_ARTIFACTS_DIR"] = "/env/dir";
  EXPECT_EQ(Run({"run", "--analytic-only"}), kExitDone);
  EXPECT_EQ(daemon.analytic_request.artifacts_root(), "/env/dir");
  EXPECT_EQ(Run({"run", "--analytic-only", "--artifacts-dir", "../x/"}), kExitDone);
  EXPECT_EQ(daemon.analytic_request.artifacts_root(),
            (std::filesystem::path(io.working_dir).parent_path() / "x").string());
}

TEST_F(App, WorkloadFileBecomesTheProfile) {
  directory_.Write("w.yaml", "profile_id: mine\nseq_len: 300\ncrop_mode: false\n");
  EXPECT_EQ(Run({"run", "--analytic-only", "--workload-file", "w.yaml"}), kExitDone) << io.err;
  EXPECT_EQ(daemon.analytic_request.workload().profile().profile_id(), "mine");
  EXPECT_EQ(daemon.analytic_request.workload().profile().seq_len(), 300);

  directory_.Write("w.yaml", "seqlen: 300\n");
  io.err.clear();
  EXPECT_EQ(Run({"run", "--analytic-only", "--workload-file", "w.yaml"}), kExitUsage);
  EXPECT_THAT(io.err, HasSubstr("seqlen: \"seqlen\": unknown key; did you mean 'seq_len'?"));
  EXPECT_EQ(Run({"run", "--analytic-only", "--workload-file", "absent.yaml"}), kExitUsage);
}

TEST_F(App, FailedRunGivesItsOwnErrorAndCode) {
  v1::RunEvent event = Event(v1::RUN_STATE_FAILED);
  event.mutable_run()->set_error("dsocr-runner: killed by signal 9; see the log");
  event.mutable_run()->set_error_code(static_cast<int>(absl::StatusCode::kInternal));
  daemon.run_events = {event};
  EXPECT_EQ(Run({"run"}), kExitFailed);
  EXPECT_EQ(io.err, "dsocrctl: error: dsocr-runner: killed by signal 9; see the log\n");
  EXPECT_THAT(io.out, IsEmpty());
}

// The real program, because a signal is for a whole process.
TEST_F(App, InterruptCancelsTheRun) {
  daemon.run_events = {Event(v1::RUN_STATE_MEASURING)};
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execl(DSOCR_BIN_DIR "/dsocrctl", "dsocrctl", "--server", daemon.address().c_str(), "-q", "run", nullptr);
    ::_exit(127);
  }
  while (!daemon.is_watched) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  ::kill(pid, SIGINT);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), kExitCancelled);
  EXPECT_TRUE(daemon.was_cancelled);
}

TEST_F(App, TimeoutCancelsTheRun) {
  daemon.run_events = {Event(v1::RUN_STATE_MEASURING)};
  EXPECT_EQ(Run({"run", "--timeout", "200ms"}), kExitCancelled);
  EXPECT_TRUE(daemon.was_cancelled);
  EXPECT_THAT(io.err, HasSubstr("run 'r1': not done in time and cancelled"));
}

TEST_F(App, DaemonThatDiesUnderACommandIsExitFour) {
  daemon.run_events = {Event(v1::RUN_STATE_MEASURING)};
  std::thread stopper([this] {
    absl::SleepFor(absl::Milliseconds(200));
    daemon.Stop();
  });
  const absl::Time start = absl::Now();
  const int code = Run({"run"});
  stopper.join();
  EXPECT_TRUE(code == kExitUnreachable || code == kExitCancelled) << io.err;
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST_F(App, NoDaemonIsExitFour) {
  const absl::Time start = absl::Now();
  EXPECT_EQ(RunApp({"list", "--server", "unix:/nonexistent/d.sock"}, io), kExitUnreachable);
  EXPECT_EQ(RunApp({"list", "--server", "127.0.0.1:1"}, io), kExitUnreachable);
  EXPECT_THAT(io.err, HasSubstr("dsocrctl: error: dsocrd at unix:/nonexistent/d.sock: nobody serves there; "));
  EXPECT_THAT(io.err, HasSubstr("dsocrctl: error: dsocrd at 127.0.0.1:1: not reachable; "));
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST_F(App, StatusCodesBecomeExitCodes) {
  const std::vector<std::pair<grpc::StatusCode, int>> cases = {
      {grpc::StatusCode::INVALID_ARGUMENT, 2}, {grpc::StatusCode::OUT_OF_RANGE, 2},
      {grpc::StatusCode::ALREADY_EXISTS, 2},   {grpc::StatusCode::NOT_FOUND, 3},
      {grpc::StatusCode::UNAVAILABLE, 4},      {grpc::StatusCode::PERMISSION_DENIED, 6},
      {grpc::StatusCode::UNAUTHENTICATED, 6},  {grpc::StatusCode::DEADLINE_EXCEEDED, 7},
      {grpc::StatusCode::CANCELLED, 7},        {grpc::StatusCode::INTERNAL, 1},
      {grpc::StatusCode::DATA_LOSS, 1},        {grpc::StatusCode::FAILED_PRECONDITION, 1}};
  for (const auto& [status, code] : cases) {
    daemon.refusal = grpc::Status(status, "device 'cuda:0': no GPU here;\ngive cpu", "info");
    io.err.clear();
    EXPECT_EQ(Run({"run", "--analytic-only"}), code);
    EXPECT_EQ(io.err, "dsocrctl: error: device 'cuda:0': no GPU here; give cpu\n");
  }
}

TEST_F(App, SummaryTakesTheLatest) {
  EXPECT_EQ(Run({"summary"}), kExitDone);
  EXPECT_THAT(io.out, HasSubstr("predicted  12.0 s\nmeasured   -\n"));
  EXPECT_THAT(io.out, HasSubstr("vision/sam  vision  37.5 %"));
  io.out.clear();
  EXPECT_EQ(Run({"summary", "r1", "-o", "csv"}), kExitDone);
  EXPECT_THAT(io.out, HasSubstr("vision/sam,vision,0.375,4500.0,,\n"));
  EXPECT_EQ(Run({"summary", "r-9"}), kExitNoSuchThing);
  EXPECT_THAT(io.err, HasSubstr("no report 'r-9'"));
}

TEST_F(App, ListAndModelPrintEveryFormat) {
  for (const char* format : {"table", "json", "yaml", "csv", "markdown"}) {
    io.out.clear();
    EXPECT_EQ(Run({"list", "-o", format}), kExitDone);
    EXPECT_THAT(io.out, HasSubstr("r1"));
    io.out.clear();
    EXPECT_EQ(Run({"model", "r1", "-o", format}), kExitDone);
    EXPECT_THAT(io.out, HasSubstr("decode"));
  }
}

TEST_F(App, ExportWritesWholeFilesAndNeverOverwritesUnasked) {
  EXPECT_EQ(Run({"export", "r1", "--format", "csv"}), kExitDone);
  EXPECT_EQ(io.out, "module_id,calls\n");
  EXPECT_EQ(Run({"export", "r1", "--format", "csv", "--out", "r.csv"}), kExitDone);
  EXPECT_EQ(FileText("r.csv"), "module_id,calls\n");
  directory_.Write("r.csv", "mine");
  EXPECT_EQ(Run({"export", "r1", "--format", "csv", "--out", "r.csv"}), kExitUsage);
  EXPECT_EQ(FileText("r.csv"), "mine");
  EXPECT_EQ(Run({"export", "r1", "--format", "csv", "--out", "r.csv", "--force"}), kExitDone);
  EXPECT_EQ(FileText("r.csv"), "module_id,calls\n");
  EXPECT_EQ(Run({"export", "x", "--format", "csv", "--out", "n.csv"}), kExitNoSuchThing);
  EXPECT_EQ(FileCount(), 1u);  // nothing half-written stays
  EXPECT_EQ(Run({"export", "r1", "--format", "perfetto"}), kExitUsage);
  EXPECT_THAT(io.err, HasSubstr("--format perfetto: not in this release"));
}

TEST_F(App, CheckUploadsAndPrintsProblems) {
  directory_.Write("r.yaml", "a: b");
  EXPECT_EQ(Run({"check", "r.yaml"}), kExitDone);
  EXPECT_EQ(daemon.uploaded, "r.yamla: b");
  daemon.problems.emplace_back();
  daemon.problems[0].set_path("modules[3].parent_id");
  daemon.problems[0].set_value("\"x\"");
  daemon.problems[0].set_reason("no module has this id");
  EXPECT_EQ(Run({"check", "r.yaml"}), kExitUsage);
  EXPECT_EQ(io.out, "modules[3].parent_id: \"x\": no module has this id\n");
  EXPECT_EQ(Run({"check", "absent"}), kExitUsage);
  EXPECT_EQ(Run({"check", "."}), kExitUsage);
}

TEST_F(App, DescribePrintsExactlyTheKeysOfTheContract) {
  EXPECT_EQ(Run({"workloads", "describe", "--page", "1240x1754", "--base-size", "1024", "--image-size", "640",
                 "--crop-mode", "1", "-o", "json"}),
            kExitDone);
  EXPECT_EQ(
      io.out,
      "{\n  \"crop_grid\": [2, 3],\n  \"num_crops\": 6,\n  \"image_tokens\": 903,\n  \"local_rows_tokens\": 630,\n"
      "  \"global_rows_tokens\": 272,\n  \"view_separator_tokens\": 1,\n  \"seq_len_min\": 904\n}\n");
  EXPECT_EQ(daemon.describe_request.workload().page_height(), 1754);
}

TEST_F(App, LaunchRunsTheCommandWithTheDaemonsEnvironment) {
  EXPECT_EQ(Run({"launch", "--out", "r.json", "--", "sh", "-c", "test \"$DSOCR_TEST_VARIABLE\" = 'from the daemon'"}),
            kExitDone)
      << io.err;
  EXPECT_EQ(FileText("r.json"), document::ToJson(SampleReport()));
  EXPECT_THAT(io.out, IsEmpty());
  EXPECT_EQ(daemon.run_request.launch().command(0), "sh");
  EXPECT_EQ(daemon.finish_request.wait_status(), 0);
}

TEST_F(App, LaunchSaysHowTheCommandFailed) {
  EXPECT_EQ(Run({"launch", "--", "sh", "-c", "exit 3"}), kExitFailed);
  EXPECT_THAT(io.err, HasSubstr("dsocrctl: error: command 'sh': exit status 3; its report is 'r1'\n"));
  EXPECT_EQ(Run({"launch", "--", "sh", "-c", "kill -9 $$"}), kExitFailed);
  EXPECT_THAT(io.err, HasSubstr("killed by signal 9"));
  EXPECT_FALSE(daemon.was_cancelled);
  EXPECT_EQ(Run({"launch", "--", "/no/such/program"}), kExitUsage);
  EXPECT_THAT(io.err, HasSubstr("command '/no/such/program': No such file or directory; "));
  EXPECT_TRUE(daemon.was_cancelled);
}

TEST_F(App, AttachFollowsTheJobAndPrintsItsReport) {
  daemon.run_events = {Event(v1::RUN_STATE_MEASURING), Event(v1::RUN_STATE_DONE)};
  EXPECT_EQ(Run({"attach", "4711", "--duration", "1500ms", "--requests", "3", "--depth", "all", "--route", "inject",
                 "--overhead-budget", "1%", "--children"}),
            kExitDone)
      << io.err;
  EXPECT_EQ(daemon.attach_request.pid(), 4711);
  EXPECT_EQ(daemon.attach_request.duration_s(), 1.5);
  EXPECT_EQ(daemon.attach_request.requests(), 3);
  EXPECT_EQ(daemon.attach_request.depth(), v1::DEPTH_ALL);
  EXPECT_EQ(daemon.attach_request.route(), v1::ROUTE_INJECT);
  EXPECT_EQ(daemon.attach_request.overhead_budget(), 0.01);
  EXPECT_TRUE(daemon.attach_request.children());
  EXPECT_EQ(daemon.attach_request.artifacts_root(), directory_ / "tmp/profile-output");
  EXPECT_THAT(io.out, StartsWith("report_id: r1\nartifacts_dir: /a/r1/static_analysis/analytic_model\n"));
  EXPECT_THAT(io.err, HasSubstr("attached to 4711 by route inject"));
}

TEST_F(App, AttachPutsItsArtifactsWhereItIsTold) {
  daemon.run_events = {Event(v1::RUN_STATE_DONE)};
  EXPECT_EQ(Run({"attach", "4711", "--artifacts-dir", "/elsewhere"}), kExitDone) << io.err;
  EXPECT_EQ(daemon.attach_request.artifacts_root(), "/elsewhere");
}

TEST_F(App, AttachSaysHowEachRouteWasJudged) {
  daemon.run_events = {Event(v1::RUN_STATE_DONE)};
  EXPECT_EQ(Run({"attach", "4711", "--explain", "-o", "json"}), kExitDone) << io.err;
  EXPECT_THAT(io.err, HasSubstr("4711 agent  no : no agent listens in it\n"));
  EXPECT_THAT(io.err, HasSubstr("4711 inject yes: a thread at rest is there\n"));
  EXPECT_THAT(io.out, StartsWith("{"));
}

TEST_F(App, AttachShowsModulesWhileItRuns) {
  v1::RunEvent event = Event(v1::RUN_STATE_MEASURING);
  for (const auto& [depth, id, self_ms] : {std::tuple(0, "OCR", 1.0), std::tuple(1, "layers.0", 3.0)}) {
    v1::LiveModule* module = event.add_modules();
    module->set_module_id(id);
    module->set_depth(depth);
    module->set_calls(7);
    module->set_device_time_ms(depth == 0 ? 4.0 : 3.0);
    module->set_self_device_time_ms(self_ms);
  }
  daemon.run_events = {event, Event(v1::RUN_STATE_DONE)};
  EXPECT_EQ(Run({"attach", "4711", "--watch"}), kExitDone) << io.err;
  EXPECT_THAT(io.err, HasSubstr("OCR             7  4.00 ms  1.00 ms  100.0 %\n"));
  EXPECT_THAT(io.err, HasSubstr("  layers.0      7  3.00 ms  3.00 ms   75.0 %\n"));
}

TEST_F(App, AttachSaysWhyItWasRefused) {
  daemon.refusal = {grpc::StatusCode::PERMISSION_DENIED, "cannot attach to 4711 (uid 7): run as root", "info"};
  EXPECT_EQ(Run({"attach", "4711"}), kExitNotPermitted);
  EXPECT_EQ(io.out, "");
  EXPECT_THAT(io.err, HasSubstr("dsocrctl: error: cannot attach to 4711 (uid 7): run as root\n"));
  EXPECT_EQ(Run({"attach", "job"}), kExitUsage);
  EXPECT_EQ(Run({"attach", "-5"}), kExitUsage);
  EXPECT_EQ(Run({"attach", "4711", "--requests", "0"}), kExitUsage);
}

TEST_F(App, DetachNamesTheReport) {
  EXPECT_EQ(Run({"detach", "4711"}), kExitDone) << io.err;
  EXPECT_EQ(daemon.detach_request.pid(), 4711);
  EXPECT_EQ(io.out, "report_id: r1\nartifacts_dir: /a/r1/static_analysis/analytic_model\n");
}

TEST_F(App, PsPrintsExactlyTheKeysOfTheContract) {
  v1::JobProcess* process = daemon.processes.add_processes();
  process->set_pid(4711);
  process->set_user("ocr");
  process->set_command("python serve.py");
  process->set_framework("torch 2.11.0");
  process->add_routes(v1::ROUTE_INJECT);
  process->set_attachable(true);
  EXPECT_EQ(Run({"ps", "-o", "json"}), kExitDone) << io.err;
  EXPECT_EQ(io.out, R"({
  "processes": [
    {
      "pid": 4711,
      "user": "ocr",
      "command": "python serve.py",
      "framework": "torch 2.11.0",
      "gpu": "",
      "routes": ["inject"],
      "attachable": true,
      "why": ""
    }
  ]
}
)");
  io.out.clear();
  EXPECT_EQ(Run({"ps"}), kExitDone) << io.err;
  EXPECT_THAT(io.out, HasSubstr("4711  ocr   torch 2.11.0  -    inject  python serve.py"));
}

TEST_F(App, SecretsDoNotTravelInClearText) {
  directory_.Write("token", "secret\n");
  EXPECT_EQ(RunApp({"list", "--server", "10.0.0.1:7070", "--token-file", Path("token")}, io), kExitUsage);
  EXPECT_THAT(io.err, HasSubstr("a token is not sent in clear text"));
  EXPECT_EQ(Run({"list", "--token-file", Path("token")}), kExitDone);
}

TEST_F(App, RefusesAddressesThatAreNone) {
  for (const char* address : {"unix:", "host", "host:", ":80", "host:99999", "host:http"}) {
    EXPECT_EQ(RunApp({"list", "--server", address}, io), kExitUsage) << address;
  }
}

TEST_F(App, VersionNeedsNoDaemon) {
  EXPECT_EQ(RunApp({"version", "--server", "unix:/nonexistent/d.sock"}, io), kExitDone);
  EXPECT_THAT(io.out, HasSubstr("dsocrctl 0."));
  EXPECT_THAT(io.out, HasSubstr("dsocrd is not running\n"));
}

}  // namespace
}  // namespace dsocr::client
