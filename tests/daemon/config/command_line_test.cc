#include "daemon/config/command_line.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const Surroundings kNoSurroundings;

TEST(CommandLineTest, FlagsAreKeptByKey) {
  const auto invocation =
      ParseCommandLine({"--listen", "127.0.0.1:0", "--listen=unix:/s", "--artifacts-dir", "/a"}, kNoSurroundings);
  ASSERT_TRUE(invocation.ok()) << invocation.status();
  EXPECT_THAT(invocation->flags.at("listen"), ElementsAre("127.0.0.1:0", "unix:/s"));
  EXPECT_THAT(invocation->flags.at("artifacts_dir"), ElementsAre("/a"));
  EXPECT_EQ(invocation->action, Action::kServe);
}

TEST(CommandLineTest, UnknownFlagIsWrongUsageWithSuggestion) {
  const auto invocation = ParseCommandLine({"--lisen", "x"}, kNoSurroundings);
  EXPECT_EQ(invocation.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(invocation.status().message()), HasSubstr("did you mean '--listen'?"));
}

TEST(CommandLineTest, StrayArgumentIsWrongUsage) { EXPECT_FALSE(ParseCommandLine({"serve"}, kNoSurroundings).ok()); }

TEST(CommandLineTest, FlagWithoutValueIsWrongUsage) {
  EXPECT_FALSE(ParseCommandLine({"--store"}, kNoSurroundings).ok());
}

TEST(CommandLineTest, ConfigFileComesFromTheVariableUnlessFlagged) {
  const Surroundings surroundings{.environment = {{"DSOCR_CONFIG", "/v.yaml"}}};
  EXPECT_EQ(ParseCommandLine({}, surroundings)->config_file, "/v.yaml");
  EXPECT_EQ(ParseCommandLine({"--config", "/f.yaml"}, surroundings)->config_file, "/f.yaml");
}

TEST(CommandLineTest, HelpOpensWithExamplesAndNamesEverySetting) {
  EXPECT_THAT(HelpText(), StartsWith("examples:"));
  for (const Setting& setting : Settings()) {
    EXPECT_THAT(HelpText(), HasSubstr(FlagOf(setting)));
    EXPECT_THAT(HelpText(), HasSubstr(std::string(setting.variable)));
  }
}

}  // namespace
}  // namespace dsocr::config
