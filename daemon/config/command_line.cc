#include "daemon/config/command_line.h"

#include <string_view>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "base/suggest.h"
#include "fmt/format.h"

namespace dsocr::config {
namespace {

struct ActionFlag {
  std::string_view flag;
  Action action;
  std::string_view help;
};
constexpr ActionFlag kActionFlags[] = {
    {"--check-config", Action::kCheckConfig, "read the configuration, say what is wrong with it, and exit"},
    {"--print-config", Action::kPrintConfig, "print the configuration with the origin of each value, and exit"},
    {"--version", Action::kVersion, "print the version, and exit"},
    {"--help", Action::kHelp, "print this, and exit"},
};
constexpr std::string_view kConfigFlag = "--config";
constexpr std::string_view kConfigVariable = "DSOCR_CONFIG";

std::vector<std::string> AllFlags() {
  std::vector<std::string> flags{std::string(kConfigFlag)};
  for (const Setting& setting : Settings()) {
    flags.push_back(FlagOf(setting));
  }
  for (const ActionFlag& action : kActionFlags) {
    flags.emplace_back(action.flag);
  }
  return flags;
}

absl::Status WrongUsage(std::string_view what, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("{}: {}; 'dsocrd --help' shows the flags", what, why));
}

absl::Status Stray(const std::string& argument) {
  if (!argument.starts_with('-')) {
    return WrongUsage(fmt::format("argument '{}'", argument), "dsocrd takes flags only");
  }
  const std::string flag = argument.substr(0, argument.find('='));
  return WrongUsage(fmt::format("flag '{}'", flag), fmt::format("not known{}", DidYouMean(flag, AllFlags())));
}

std::string HelpLine(std::string_view flag, std::string_view help) { return fmt::format("  {:<28} {}\n", flag, help); }

}  // namespace

absl::StatusOr<Invocation> ParseCommandLine(const std::vector<std::string>& arguments,
                                            const Surroundings& surroundings) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  Invocation invocation;
  app.add_option(std::string(kConfigFlag), invocation.config_file);
  std::map<std::string, std::vector<std::string>> given;
  for (const Setting& setting : Settings()) {
    CLI::Option* const option = app.add_option(FlagOf(setting), given[std::string(setting.key)]);
    option->expected(1)->multi_option_policy(setting.is_list ? CLI::MultiOptionPolicy::TakeAll
                                                             : CLI::MultiOptionPolicy::TakeLast);
  }
  for (const ActionFlag& action : kActionFlags) {
    app.add_flag(std::string(action.flag));
  }
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    return WrongUsage("command line", error.what());
  }
  if (const std::vector<std::string> extras = app.remaining(); !extras.empty()) {
    return Stray(extras.front());
  }
  for (auto& [key, values] : given) {
    if (!values.empty()) {
      invocation.flags.emplace(key, std::move(values));
    }
  }
  for (const ActionFlag& action : kActionFlags) {
    if (app.count(std::string(action.flag)) > 0) {
      invocation.action = action.action;
    }
  }
  if (const auto variable = surroundings.environment.find(std::string(kConfigVariable));
      invocation.config_file.empty() && variable != surroundings.environment.end()) {
    invocation.config_file = variable->second;
  }
  return invocation;
}

std::string HelpText() {
  std::string text =
      "examples:\n"
      "  dsocrd                                              serve the user's own socket; logs go to stderr\n"
      "  dsocrd --listen 127.0.0.1:7070 --listen unix:/run/dsocr/dsocrd.sock\n"
      "  dsocrd --config /etc/dsocr/dsocrd.yaml --print-config\n"
      "\n"
      "dsocrd predicts, runs and measures DeepSeek-OCR for dsocrctl. Flags beat DSOCR_* variables beat the file.\n"
      "\n"
      "settings:\n";
  for (const Setting& setting : Settings()) {
    text += HelpLine(fmt::format("{} {}", FlagOf(setting), setting.value_name),
                     fmt::format("{} (default: {}; {})", setting.help, setting.default_words, setting.variable));
  }
  text += HelpLine(fmt::format("{} FILE", kConfigFlag),
                   fmt::format("YAML file of settings, '_' for '-' ({})", kConfigVariable));
  text += "\nothers:\n";
  for (const ActionFlag& action : kActionFlags) {
    text += HelpLine(action.flag, action.help);
  }
  text +=
      "\n"
      "signals: SIGTERM and SIGINT drain, a second one stops now; SIGHUP reloads.\n"
      "exit codes: 0 stopped on request, 1 failed or already running on this socket, 2 bad flag or configuration.\n";
  return text;
}

}  // namespace dsocr::config
