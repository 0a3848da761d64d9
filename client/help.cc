#include "client/help.h"

#include <algorithm>
#include <string_view>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace dsocr::client {
namespace {

std::string FlagLines(const std::vector<Flag>& flags) {
  std::string out;
  for (const Flag& flag : flags) {
    const std::string value = flag.kind == ValueKind::kChoice && flag.value_name == "FORMAT" && flag.choices.size() <= 5
                                  ? fmt::format("{}", fmt::join(flag.choices, "|"))
                                  : std::string(flag.value_name);
    const std::string left = value.empty() ? std::string(flag.name) : fmt::format("{} {}", flag.name, value);
    out += fmt::format("  {:<30} {}\n", left, flag.help);
  }
  return out;
}

}  // namespace

std::string GeneralHelp() {
  std::string out =
      "dsocrctl: what DeepSeek-OCR must cost, what it does cost, and where the time goes\n\n"
      "Examples:\n"
      "  dsocrctl run                          run the full-size model here, predicted beside measured\n"
      "  dsocrctl run --analytic-only          predict only: milliseconds, no model is executed\n"
      "  dsocrctl summary                      the newest report\n"
      "  dsocrctl launch -- python ocr.py      profile your own job\n"
      "  dsocrctl export latest --format csv   a row a module, for a spreadsheet\n\n"
      "Commands:\n";
  for (const Command& command : Commands()) {
    out += fmt::format("  {:<20} {}\n", command.name, command.summary);
  }
  out += fmt::format("  {:<20} {}\n\nLater: {}\n\nFlags of every command:\n{}", "help [COMMAND]",
                     "this, or the help of a command", fmt::join(LaterCommands(), ", "), FlagLines(GlobalFlags()));
  return out +
         "\nExit codes: 0 done, 1 failed, 2 wrong usage or bad file, 3 no such thing, 4 daemon not reachable,\n"
         "            6 not permitted, 7 timed out or cancelled\n";
}

std::string CommandHelp(const Command& command) {
  std::string out = fmt::format("dsocrctl {}: {}\n\nExamples:\n{}\nUsage: dsocrctl {} {}\n", command.name,
                                command.summary, command.examples, command.name, command.arguments);
  std::vector<Flag> flags = command.flags;
  if (!command.outputs.empty()) {
    flags.push_back(OutputFlag(command));
  }
  if (!flags.empty()) {
    out += fmt::format("\nFlags:\n{}", FlagLines(flags));
  }
  return out + fmt::format("\nFlags of every command:\n{}", FlagLines(GlobalFlags()));
}

}  // namespace dsocr::client
