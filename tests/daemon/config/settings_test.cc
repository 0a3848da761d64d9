#include "daemon/config/settings.h"

#include <fstream>
#include <iterator>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/scratch_directory.h"

namespace dsocr::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SettingsTest : public ::testing::Test {
 protected:
  std::string File(const std::string& text) const { return directory_.Write("dsocrd.yaml", text); }
  std::string ErrorOf(const std::string& file_text) {
    const absl::StatusOr<Resolved> resolved = Resolve({}, File(file_text), surroundings_);
    EXPECT_EQ(resolved.status().code(), absl::StatusCode::kInvalidArgument) << file_text;
    return std::string(resolved.status().message());
  }

  const ScratchDirectory directory_;
  Surroundings surroundings_{
      .environment = {{"XDG_STATE_HOME", "/s"}, {"XDG_RUNTIME_DIR", "/r"}}, .uid = 1, .executable_dir = "/opt/bin"};
};

TEST_F(SettingsTest, DefaultsFollowTheSurroundings) {
  const absl::StatusOr<Resolved> resolved = Resolve({}, "", surroundings_);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_THAT(resolved->config.listen, ElementsAre("unix:/r/dsocr/dsocrd.sock"));
  EXPECT_EQ(resolved->config.store, "sqlite:/s/dsocr/dsocr.db");
  EXPECT_EQ(resolved->config.runner_path, "/opt/bin/dsocr-runner");
  EXPECT_EQ(resolved->config.idle_exit, absl::InfiniteDuration());
}

TEST_F(SettingsTest, FlagBeatsVariableBeatsFile) {
  surroundings_.environment["DSOCR_STORE"] = "sqlite:/variable.db";
  surroundings_.environment["DSOCR_IDLE_EXIT"] = "2m";
  const std::string file = File("store: sqlite:/file.db\nidle_exit: 1m\ndrain_deadline: 3s\n");
  const absl::StatusOr<Resolved> resolved = Resolve({{"store", {"sqlite:/flag.db"}}}, file, surroundings_);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->config.store, "sqlite:/flag.db");
  EXPECT_EQ(resolved->config.idle_exit, absl::Minutes(2));
  EXPECT_EQ(resolved->config.drain_deadline, absl::Seconds(3));
  EXPECT_EQ(resolved->origins.at("store").given_by, "--store");
  EXPECT_EQ(resolved->origins.at("idle_exit").given_by, "DSOCR_IDLE_EXIT");
  EXPECT_EQ(resolved->origins.at("drain_deadline").given_by, file + ":3");
}

TEST_F(SettingsTest, UnknownKeyIsAnErrorWithLineAndSuggestion) {
  EXPECT_THAT(ErrorOf("store: sqlite:/a.db\nlisen: x\n"),
              HasSubstr("dsocrd.yaml:2': unknown key 'lisen'; did you mean 'listen'?"));
}

TEST_F(SettingsTest, DottedKeyMayStandInAMapOfItsOwn) {
  for (const char* text : {"analyzer:\n  enabled: false\n", "analyzer.enabled: false\n"}) {
    const absl::StatusOr<Resolved> resolved = Resolve({}, File(text), surroundings_);
    ASSERT_TRUE(resolved.ok()) << resolved.status();
    EXPECT_FALSE(resolved->config.analyzer_enabled) << text;
  }
  EXPECT_THAT(ErrorOf("analyzer:\n  enabled: maybe\n"), HasSubstr("expected true or false"));
  EXPECT_THAT(ErrorOf("analyzer:\n  enable: true\n"), HasSubstr("unknown key 'analyzer.enable'"));
  EXPECT_THAT(ErrorOf("analyzer.enabled: true\nanalyzer:\n  enabled: true\n"), HasSubstr("is there twice"));
  for (const Setting& setting : Settings()) {
    EXPECT_EQ(FlagOf(setting).find_first_of("_."), std::string::npos) << setting.key;
  }
}

TEST_F(SettingsTest, FileThatIsNoMapIsAnError) {
  EXPECT_THAT(ErrorOf("- a\n- b\n"), HasSubstr("expected a map of settings"));
}

TEST_F(SettingsTest, FileThatIsNoYamlIsAnErrorWithLine) {
  EXPECT_THAT(ErrorOf("store: [\n"), HasSubstr("dsocrd.yaml:"));
}

TEST_F(SettingsTest, MissingFileIsAnError) {
  const absl::StatusOr<Resolved> resolved = Resolve({}, "/nonexistent/x.yaml", surroundings_);
  EXPECT_EQ(resolved.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(SettingsTest, TcpOutsideLoopbackIsRefused) {
  for (const char* address : {"0.0.0.0:7070", "[::]:7070", "example.org:7070", "10.0.0.1:7070"}) {
    const absl::StatusOr<Resolved> resolved = Resolve({{"listen", {address}}}, "", surroundings_);
    EXPECT_THAT(std::string(resolved.status().message()), HasSubstr("outside loopback needs TLS")) << address;
  }
  EXPECT_TRUE(Resolve({{"listen", {"127.0.0.1:0", "localhost:1", "[::1]:7"}}}, "", surroundings_).ok());
}

TEST_F(SettingsTest, HttpIsOffOrOnLoopback) {
  const std::pair<const char*, const char*> cases[] = {{"off", ""},
                                                       {"127.0.0.1:8080", "127.0.0.1:8080"},
                                                       {"[::1]:0", "[::1]:0"},
                                                       {":8080", "127.0.0.1:8080"},
                                                       {"8080", "127.0.0.1:8080"}};
  for (const auto& [given, address] : cases) {
    const absl::StatusOr<Resolved> resolved = Resolve({{"http", {given}}}, "", surroundings_);
    ASSERT_TRUE(resolved.ok()) << resolved.status();
    EXPECT_EQ(resolved->config.http, address);
  }
  EXPECT_THAT(ErrorOf("http: 0.0.0.0:8080\n"), HasSubstr("outside loopback needs TLS"));
  EXPECT_THAT(ErrorOf("http: \"[::]:8080\"\n"), HasSubstr("outside loopback needs TLS"));
  EXPECT_THAT(ErrorOf("http: yes\n"), HasSubstr("a port alone, or off"));
  EXPECT_THAT(ErrorOf("http: 70000\n"), HasSubstr("a port alone, or off"));
}

TEST_F(SettingsTest, NamesThatOnlyLookLikeLoopbackAreRefused) {
  EXPECT_FALSE(Resolve({{"listen", {"127.evil.example:7070"}}}, "", surroundings_).ok());
}

TEST_F(SettingsTest, SocketPathThatNoSocketCanHaveIsRefused) {
  const absl::StatusOr<Resolved> resolved =
      Resolve({{"listen", {"unix:/" + std::string(107, 'a')}}}, "", surroundings_);
  EXPECT_THAT(std::string(resolved.status().message()), HasSubstr("at most 107 bytes"));
}

TEST_F(SettingsTest, WhatBelongsToALaterReleaseSaysSo) {
  EXPECT_THAT(ErrorOf("store: postgresql://host/db\n"), HasSubstr("later release"));
}

TEST_F(SettingsTest, DurationsNeedAUnitAndAreNotNegative) {
  EXPECT_THAT(ErrorOf("idle_exit: 15\n"), HasSubstr("idle_exit '15'"));
  EXPECT_THAT(ErrorOf("idle_exit: -1s\n"), HasSubstr("positive duration"));
}

TEST_F(SettingsTest, PrintedConfigurationReadsBackEqual) {
  const absl::StatusOr<Resolved> first = Resolve({{"listen", {"127.0.0.1:1", "unix:/a b"}}}, "", surroundings_);
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::StatusOr<Resolved> second = Resolve({}, File(PrintConfig(*first)), surroundings_);
  ASSERT_TRUE(second.ok()) << second.status();
  for (const auto& [key, origin] : first->origins) {
    EXPECT_EQ(origin.values, second->origins.at(key).values) << key;
  }
  EXPECT_THAT(PrintConfig(*first), HasSubstr("# --listen"));
}

TEST_F(SettingsTest, OperatorsManualNamesEverySettingAsTheTableDoes) {
  std::ifstream stream(DSOCR_SOURCE_DIR "/docs/operations.md");
  const std::string manual{std::istreambuf_iterator<char>(stream), {}};
  for (const Setting& setting : Settings()) {
    const size_t row = manual.find("| `" + std::string(setting.key) + "` | " + std::string(setting.variable) + " | ");
    ASSERT_NE(row, std::string::npos) << setting.key;
    const std::string line = manual.substr(row, manual.find('\n', row) - row);
    EXPECT_EQ(line.find("*reload*") != std::string::npos, setting.is_reloadable) << line;
  }
}

TEST_F(SettingsTest, ReloadTakesWhatItCanAndNamesTheRest) {
  const Resolved before = *Resolve({}, "", surroundings_);
  const Resolved after = *Resolve({{"artifacts_dir", {"/b"}}, {"store", {"sqlite:/b.db"}}}, "", surroundings_);
  const ReloadOutcome outcome = CompareForReload(before, after);
  EXPECT_THAT(outcome.taken, ElementsAre("artifacts_dir"));
  EXPECT_THAT(outcome.refused, ElementsAre("store"));
  const Resolved taken = TakeReloadable(before, after);
  EXPECT_EQ(taken.config.artifacts_dir, "/b");
  EXPECT_EQ(taken.config.store, before.config.store);
}

}  // namespace
}  // namespace dsocr::config
