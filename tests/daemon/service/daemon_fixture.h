// A daemon in the test's process, with a store, artifacts and sockets of its own.
#ifndef DSOCR_TESTS_DAEMON_SERVICE_DAEMON_FIXTURE_H_
#define DSOCR_TESTS_DAEMON_SERVICE_DAEMON_FIXTURE_H_

#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "daemon/service/daemon.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "tests/scratch_directory.h"

namespace dsocr::service {

class DaemonFixture : public ::testing::Test {
 protected:
  explicit DaemonFixture(std::string runner_path) : log_("/dev/null") {
    ::signal(SIGPIPE, SIG_IGN);  // as dsocrd does
    EXPECT_TRUE(log_.Reopen().ok());
    config_.listen = {"unix:" + (directory_ / "s").string(), "127.0.0.1:0"};
    config_.store = "sqlite:" + (directory_ / "db").string();
    config_.artifacts_dir = directory_ / "daemons-own";
    config_.runner_path = std::move(runner_path);
    config_.agent_path = "/nonexistent/libdsocr_agent.so";
    config_.drain_deadline = absl::Seconds(1);
    config_.runner_silence = absl::Seconds(10);
    auto daemon = Daemon::Start(config_, surroundings_, &log_);
    EXPECT_TRUE(daemon.ok()) << daemon.status();
    daemon_ = *std::move(daemon);
    channel_ = grpc::CreateChannel(config_.listen[0], grpc::InsecureChannelCredentials());
  }

  const ScratchDirectory directory_;
  ops::Log log_;
  config::Config config_;
  const config::Surroundings surroundings_{.environment = {}, .uid = ::getuid(), .executable_dir = "/opt/bin"};
  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace dsocr::service

#endif  // DSOCR_TESTS_DAEMON_SERVICE_DAEMON_FIXTURE_H_
