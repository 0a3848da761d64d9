// Sessions that come and go while a job is on the fake GPU.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>

#include "tests/cupti/agent/session_daemon.h"
#include "tests/scratch_directory.h"

namespace dsocr::agent {
namespace {

using record::Kind;

class GpuSessionTest : public ::testing::Test {
 protected:
  // A job that was prepared, and runs until it is killed.
  void SetUp() override {
    setenv("XDG_RUNTIME_DIR", directory_.path().c_str(), 1);
    setenv("NVTX_INJECTION64_PATH", DSOCR_BIN_DIR "/libdsocr_agent.so", 1);
    setenv("CUDA_INJECTION64_PATH", DSOCR_BIN_DIR "/libdsocr_agent.so", 1);
    std::string script = directory_.Write("script", R"(
      cuinit
      capture graph 8 {
        launch captured 1us 8
      }
      instantiate exec graph
      repeat 1000000 1ms {
        range request {
          launch gemm 10us
          graph_launch exec 8
        }
        sync
      }
    )");
    std::string program = DSOCR_GPU_JOB;
    char* const argv[] = {program.data(), script.data(), nullptr};
    ASSERT_EQ(posix_spawn(&job_, argv[0], nullptr, nullptr, argv, environ), 0);
  }
  void TearDown() override {
    kill(job_, SIGKILL);
    waitpid(job_, nullptr, 0);
  }

  // A session, as soon as the job listens and has none.
  std::unique_ptr<SessionDaemon> Begin() const {
    const std::string path = directory_ / ("dsocr/agent-" + std::to_string(job_));
    std::unique_ptr<SessionDaemon> daemon;
    const bool has_begun = Await([&] {
      daemon = std::make_unique<SessionDaemon>(SessionDaemon::Connect(path));
      return daemon->Begin();
    });
    EXPECT_TRUE(has_begun);
    return daemon;
  }

  const ScratchDirectory directory_;
  pid_t job_ = -1;
};

TEST_F(GpuSessionTest, EachHasKernelsAndBooksOfItsOwn) {
  for (int session = 0; session < 3; ++session) {
    const auto daemon = Begin();
    ASSERT_TRUE(daemon->AwaitRecords(Kind::kKernel, 50)) << session;
    ASSERT_TRUE(daemon->End()) << session;

    EXPECT_EQ(daemon->Count(Kind::kIncident), 0u) << session;
    EXPECT_EQ(daemon->Count(Kind::kDropped), 0u) << session;
    const record::Ledger& books = daemon->Last(Kind::kLedger).ledger;
    EXPECT_EQ(books.launched, books.recorded + books.dropped + books.invalid + books.pending) << session;
    EXPECT_LE(books.recorded, daemon->Count(Kind::kKernel)) << session << ": nothing of an earlier one";
    const record::Operation& kernel = daemon->Last(Kind::kKernel).operation;
    EXPECT_NE(kernel.name, 0u) << session;
    EXPECT_LE(kernel.name, daemon->Count(Kind::kNameDefinition)) << session << ": defined in this one";
    EXPECT_LE(record::OwnerPath(kernel.owner), daemon->Count(Kind::kPathDefinition)) << session;
  }
}

TEST_F(GpuSessionTest, TheNextOneIsWholeThoughADaemonWentWithoutAWord) {
  for (int session = 0; session < 2; ++session) {
    const auto daemon = Begin();
    EXPECT_TRUE(daemon->AwaitRecords(Kind::kKernel, 50)) << session;
  }
}

}  // namespace
}  // namespace dsocr::agent
