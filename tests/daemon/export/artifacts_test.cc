#include "daemon/export/artifacts.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "proto/document.h"
#include "tests/daemon/report/sample_join.h"
#include "tests/scratch_directory.h"

namespace dsocr::exporter {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

v1::AnalyticModelReport Sample() { return report::BuildReport(report::SampleInput(), report::SamplePrediction()); }

v1::AnalyzeResponse Analysis() {
  v1::AnalyzeResponse analysis;
  analysis.set_json("{}\n");
  analysis.set_markdown("# Static compute\n");
  analysis.set_table_markdown("# FLOPs by module\n");
  return analysis;
}

std::string Read(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class ArtifactsTest : public ::testing::Test {
 protected:
  // Every file below the root, by its path there.
  std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(directory_.path())) {
      if (entry.is_regular_file()) {
        files[fs::relative(entry.path(), root_).string()] = Read(entry.path());
      }
    }
    return files;
  }

  const ScratchDirectory directory_;
  const std::string root_ = directory_ / "tmp" / "profile-output";
};

TEST_F(ArtifactsTest, AreAllThereUnderTheirNames) {
  const v1::AnalyzeResponse analysis = Analysis();
  const auto written = WriteArtifacts(root_, "r-1", {.report = Sample(), .analysis = &analysis});
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(*written, root_ + "/r-1/static_analysis/analytic_model");
  EXPECT_EQ(*written, ArtifactsDir(root_, "r-1"));
  const auto files = Files();
  for (const char* name :
       {"static_compute.json", "static_compute.md", "static_compute_table.md", "analytic_model/report.json",
        "analytic_model/report.yaml", "analytic_model/layers/summary.md", "analytic_model/layers/deepseek_ocr.md",
        "analytic_model/layers/prefill.layer-0_2.md", "analytic_model/layers/prefill.layer-0_2.q_proj.md"}) {
    EXPECT_TRUE(files.contains(std::string("r-1/static_analysis/") + name)) << name;
  }
  EXPECT_EQ(files.size(), 3u + 2u + 1u + 6u);
}

TEST_F(ArtifactsTest, ReadBackEqual) {
  ASSERT_TRUE(WriteArtifacts(root_, "r-1", {.report = Sample()}).ok());
  const auto files = Files();
  for (const char* name : {"report.json", "report.yaml"}) {
    v1::AnalyticModelReport read;
    const std::string& text = files.at(std::string("r-1/static_analysis/analytic_model/") + name);
    const absl::Status parsed = document::Parse(text, document::FormatOfFileName(name), /*allow_unknown=*/false, &read);
    ASSERT_TRUE(parsed.ok()) << parsed;
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(read, Sample()));
  }
}

TEST_F(ArtifactsTest, AreTheSameBytesEveryTime) {
  ASSERT_TRUE(WriteArtifacts(root_ + "/a", "r-1", {.report = Sample()}).ok());
  const auto files = Files();
  ASSERT_TRUE(WriteArtifacts(root_ + "/b", "r-1", {.report = Sample()}).ok());
  for (const auto& [name, text] : Files()) {
    EXPECT_EQ(text, files.at("a" + name.substr(1))) << name;
  }
}

TEST_F(ArtifactsTest, AnExistingRunIsRefusedAndLeftAlone) {
  ASSERT_TRUE(CheckNewRun(root_, "r-1").ok());
  ASSERT_TRUE(WriteArtifacts(root_, "r-1", {.report = Sample()}).ok());
  const auto before = Files();
  EXPECT_EQ(CheckNewRun(root_, "r-1").code(), absl::StatusCode::kAlreadyExists);
  v1::AnalyticModelReport other = Sample();
  other.set_notes("other");
  EXPECT_EQ(WriteArtifacts(root_, "r-1", {.report = other}).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Files(), before);
}

TEST_F(ArtifactsTest, ReplacingExchangesThemAndKeepsTheTrace) {
  fs::create_directories(fs::path(root_) / "r-1" / "trace");
  std::ofstream(fs::path(root_) / "r-1" / "trace" / "records.dsocr") << "records";
  const v1::AnalyzeResponse analysis = Analysis();
  ASSERT_TRUE(WriteArtifacts(root_, "r-1", {.report = Sample(), .analysis = &analysis}).ok());
  v1::AnalyticModelReport other = Sample();
  other.set_notes("joined");
  ASSERT_TRUE(WriteArtifacts(root_, "r-1", {.report = other}, Existing::kReplace).ok());
  const auto files = Files();
  EXPECT_EQ(files.at("r-1/trace/records.dsocr"), "records");
  EXPECT_THAT(files.at("r-1/static_analysis/analytic_model/report.json"), HasSubstr("\"joined\""));
  EXPECT_FALSE(files.contains("r-1/static_analysis/static_compute.json"));
  EXPECT_EQ(std::distance(fs::directory_iterator(root_), {}), 1);  // nothing staged is left
}

TEST_F(ArtifactsTest, RefusesRootsAndIdsThatWouldLeadElsewhere) {
  EXPECT_EQ(CheckNewRun("relative", "r-1").code(), absl::StatusCode::kInvalidArgument);
  for (const std::string& id : {std::string(), std::string(".."), std::string("a/b"), std::string("a\nb"),
                                std::string(".hidden"), std::string(101, 'x')}) {
    EXPECT_EQ(CheckNewRun(root_, id).code(), absl::StatusCode::kInvalidArgument) << id;
    EXPECT_EQ(WriteArtifacts(root_, id, {.report = Sample()}).status().code(), absl::StatusCode::kInvalidArgument);
  }
  const std::string file = directory_.Write("file", "x");
  EXPECT_EQ(CheckNewRun(file, "r-1").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckNewRun(file + "/below", "r-1").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(fs::exists(root_));
}

// As another user, where the test runs as root, which may write everywhere.
class AsNobody {
 public:
  AsNobody() : was_root_(geteuid() == 0) {
    if (was_root_) {
      EXPECT_EQ(seteuid(65534), 0);
    }
  }
  ~AsNobody() {
    if (was_root_) {
      EXPECT_EQ(seteuid(0), 0);
    }
  }

 private:
  const bool was_root_;
};

TEST_F(ArtifactsTest, WithoutPermissionSaysWhichDirectoryAndWhatToDo) {
  fs::create_directories(root_);
  for (const fs::path& path : {directory_.path(), fs::path(root_).parent_path(), fs::path(root_)}) {
    fs::permissions(path, fs::perms(0555));
  }
  {
    const AsNobody nobody;
    for (const absl::Status& status :
         {CheckNewRun(root_, "r-1"), WriteArtifacts(root_, "r-1", {.report = Sample()}).status()}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
      EXPECT_THAT(std::string(status.message()), HasSubstr(root_));
      EXPECT_THAT(std::string(status.message()), HasSubstr("--artifacts-dir"));
    }
  }
  for (const fs::path& path : {directory_.path(), fs::path(root_).parent_path(), fs::path(root_)}) {
    fs::permissions(path, fs::perms(0755));
  }
  EXPECT_TRUE(fs::is_empty(root_));
}

TEST_F(ArtifactsTest, AFailedWriteLeavesNothing) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // No file may grow beyond 1 KiB: the report does not fit.
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {1024, 1024};
    setrlimit(RLIMIT_FSIZE, &limit);
    _exit(WriteArtifacts(root_, "r-1", {.report = Sample()}).ok() ? 1 : 0);
  }
  int wait_status = 0;
  ASSERT_EQ(waitpid(child, &wait_status, 0), child);
  EXPECT_EQ(wait_status, 0);
  EXPECT_TRUE(fs::is_empty(directory_.path()));
}

TEST_F(ArtifactsTest, AreWholeOrAbsentAfterAKill) {
  const v1::AnalyticModelReport sample = Sample();
  for (int delay_us = 0; delay_us <= 4000; delay_us += 500) {
    const std::string id = "r-" + std::to_string(delay_us);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      WriteArtifacts(root_, id, {.report = sample}).IgnoreError();
      _exit(0);
    }
    usleep(static_cast<useconds_t>(delay_us));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const fs::path run = fs::path(root_) / id;
    if (fs::exists(run)) {
      const fs::path model = run / "static_analysis" / "analytic_model";
      EXPECT_EQ(Read(model / "report.json"), document::ToJson(sample));
      EXPECT_EQ(std::distance(fs::directory_iterator(model / "layers"), {}), 7);
    }
  }
}

}  // namespace
}  // namespace dsocr::exporter
