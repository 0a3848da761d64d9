#include "client/command_line.h"

#include <sstream>
#include <string>
#include <vector>

#include "client/completion.h"
#include "client/help.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dsocr::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(const std::vector<std::string>& arguments) {
  return std::string(ParseCommandLine(arguments).status().message());
}

TEST(ParseCommandLine, TakesGlobalFlagsOnBothSidesOfTheCommand) {
  const auto line =
      ParseCommandLine({"--server", "unix:/s", "summary", "r-1", "-o", "json", "--timeout=2s", "--quiet"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->command->name, "summary");
  EXPECT_THAT(line->arguments, ElementsAre("r-1"));
  EXPECT_EQ(line->Text("--server"), "unix:/s");
  EXPECT_EQ(line->Text("--output"), "json");
  EXPECT_EQ(line->Duration("--timeout"), absl::Seconds(2));
  EXPECT_TRUE(line->Has("-q"));
}

TEST(ParseCommandLine, ReadsValuesByKind) {
  const auto line = ParseCommandLine({"run", "--page", "1240x1754", "--base-size=1024", "--crop-mode", "0"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->Page("--page"), std::make_pair(int64_t{1240}, int64_t{1754}));
  EXPECT_EQ(line->Integer("--base-size"), 1024);
  EXPECT_EQ(line->Integer("--crop-mode"), 0);
  EXPECT_EQ(line->Integer("--image-size"), std::nullopt);
}

TEST(ParseCommandLine, TakesNegativeNumbersAsValues) {
  const auto line = ParseCommandLine({"run", "--random-weights", "-3"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->Integer("--random-weights"), -3);
}

TEST(ParseCommandLine, NamesFlagAndValueOfWhatItRefuses) {
  EXPECT_EQ(ErrorOf({"run", "--crop-mode", "2"}), "--crop-mode '2': not one of 0, 1");
  EXPECT_EQ(ErrorOf({"run", "--base-size", "big"}), "--base-size 'big': not an integer; give PIXELS");
  EXPECT_EQ(ErrorOf({"run", "--base-size", "99999999999999999999"}),
            "--base-size '99999999999999999999': not an integer; give PIXELS");
  EXPECT_EQ(ErrorOf({"run", "--page", "0x10"}),
            "--page '0x10': not a page size; give WIDTHxHEIGHT in pixels, such as 1240x1754");
  EXPECT_EQ(ErrorOf({"list", "--timeout", "soon"}),
            "--timeout 'soon': not a duration; give one such as 500ms, 30s or 15m");
  EXPECT_EQ(ErrorOf({"list", "-o", "jsn"}),
            "--output 'jsn': not one of table, json, yaml, csv, markdown; did you mean 'json'?");
  EXPECT_EQ(ErrorOf({"run", "--device"}), "--device: a value is missing; give DEVICE");
  EXPECT_EQ(ErrorOf({"run", "--device", ""}), "--device: the value is empty; give DEVICE");
  EXPECT_EQ(ErrorOf({"run", "--detach=yes"}), "--detach takes no value; drop '=yes'");
}

TEST(ParseCommandLine, SuggestsWhatWasMeant) {
  EXPECT_EQ(ErrorOf({"sumary"}), "no command 'sumary'; did you mean 'summary'? 'dsocrctl help' lists them");
  EXPECT_EQ(ErrorOf({"run", "--base-sise", "3"}),
            "no flag '--base-sise'; did you mean '--base-size'? 'dsocrctl run --help' lists them");
}

TEST(ParseCommandLine, RefusesStrayAndMissingArguments) {
  EXPECT_EQ(ErrorOf({"list", "all"}), "stray argument 'all'; usage: dsocrctl list [FLAGS]");
  EXPECT_EQ(ErrorOf({"model"}), "an argument is missing; usage: dsocrctl model ID|latest");
  EXPECT_EQ(ErrorOf({"list", "--", "x"}), "'--' has no meaning here; usage: dsocrctl list [FLAGS]");
  EXPECT_EQ(ErrorOf({"launch"}), "an argument is missing; usage: dsocrctl launch [FLAGS] -- CMD [ARG…]");
  EXPECT_EQ(ErrorOf({"launch", "--"}), "an argument is missing; usage: dsocrctl launch [FLAGS] -- CMD [ARG…]");
  EXPECT_EQ(ErrorOf({"-q"}), "no command; 'dsocrctl help' lists them");
}

TEST(ParseCommandLine, LeavesTheLaunchedCommandAlone) {
  const auto line = ParseCommandLine({"launch", "--out", "r.json", "--", "python", "--server", "-o", "--"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_THAT(line->program, ElementsAre("python", "--server", "-o", "--"));
  EXPECT_FALSE(line->Has("--server"));
}

TEST(ParseCommandLine, KnowsCommandsOfTwoWords) {
  EXPECT_EQ(ParseCommandLine({"workloads"})->command->name, "workloads");
  EXPECT_EQ(ParseCommandLine({"workloads", "describe"})->command->name, "workloads describe");
  EXPECT_EQ(ErrorOf({"workloads", "descibe"}), "stray argument 'descibe'; usage: dsocrctl workloads ");
}

TEST(ParseCommandLine, SaysThatACommandComesLater) {
  for (const std::string_view name : LaterCommands()) {
    EXPECT_THAT(ErrorOf({std::string(name), "x"}), HasSubstr("not in this release"));
  }
}

TEST(ParseCommandLine, FindsHelpAnywhere) {
  EXPECT_EQ(ParseCommandLine({"help", "run"})->command->name, "run");
  EXPECT_TRUE(ParseCommandLine({"model", "--help"})->wants_help);
  EXPECT_TRUE(ParseCommandLine({"help"})->wants_help);
  EXPECT_EQ(ParseCommandLine({})->command, nullptr);
}

TEST(Help, NamesEveryCommandAndEveryFlag) {
  const std::string help = GeneralHelp();
  for (const Command& command : Commands()) {
    EXPECT_THAT(help, HasSubstr(std::string(command.name)));
    const std::string own = CommandHelp(command);
    EXPECT_THAT(own, HasSubstr("Examples:\n  "));
    for (const Flag& flag : command.flags) {
      EXPECT_THAT(own, HasSubstr(fmt::format("  {}", flag.name)));
    }
  }
}

TEST(Help, FitsATerminal) {
  for (const Command& command : Commands()) {
    std::istringstream lines(CommandHelp(command));
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(line.size(), 120u) << line;
    }
  }
}

TEST(CompletionScript, KnowsEveryCommandInEveryShell) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const auto script = CompletionScript(shell);
    ASSERT_TRUE(script.ok());
    for (const Command& command : Commands()) {
      EXPECT_THAT(*script, HasSubstr(std::string(command.name.substr(0, command.name.find(' ')))));
    }
    EXPECT_THAT(*script, HasSubstr(std::string(shell) == "fish" ? "crop-mode" : "--crop-mode"));
  }
  EXPECT_FALSE(CompletionScript("tcsh").ok());
}

TEST(CompletionScript, OffersTheFlagsOfCommandsOfTwoWords) {
  const std::string script = *CompletionScript("bash");
  EXPECT_THAT(script, HasSubstr("calibrate:--calibration) COMPREPLY=($(compgen -f"));
  EXPECT_THAT(script, HasSubstr("calibrate:--op) COMPREPLY=($(compgen -W \"gemm attention moe\""));
  EXPECT_THAT(script, HasSubstr(" fit eval\""));
}

}  // namespace
}  // namespace dsocr::client
