// The one table of commands and flags; parser, help and completion all come from it.
#ifndef DSOCR_CLIENT_COMMAND_LINE_H_
#define DSOCR_CLIENT_COMMAND_LINE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace dsocr::client {

class Session;

enum class ValueKind {
  kSwitch,    // no value
  kText,      // anything that is not empty
  kPath,      // as kText; completion offers files
  kInteger,   // of 64 bits
  kPage,      // WIDTHxHEIGHT, two positive integers
  kDuration,  // 500ms, 2s, 15m
  kChoice,    // one of Flag::choices
};

struct Flag {
  std::string_view name;  // "--base-size" or "-q"
  ValueKind kind = ValueKind::kSwitch;
  std::string_view value_name;  // "PIXELS"; empty for a switch
  std::string_view help;        // with unit and default
  std::vector<std::string_view> choices = {};
};

struct Command {
  std::string_view name;       // "summary", "workloads describe"
  std::string_view arguments;  // "[ID|latest]", for help
  std::string_view summary;    // half a line
  std::string_view examples;   // real tasks, a line each, indented
  size_t min_arguments = 0;
  size_t max_arguments = 0;
  bool takes_program = false;                  // everything after "--" is a program and its arguments
  std::vector<std::string_view> outputs = {};  // what -o may be; the first is the default; empty: no -o
  std::vector<Flag> flags = {};
  absl::StatusOr<int> (*run)(Session&) = nullptr;  // the exit code
};

// Every command that exists, in the order of help.
const std::vector<Command>& Commands();

// Commands of later releases, by name: they say so and exit 2.
const std::vector<std::string_view>& LaterCommands();

// Flags of every command.
const std::vector<Flag>& GlobalFlags();

struct CommandLine {
  const Command* command = nullptr;  // null: only help or the version was asked for
  bool wants_help = false;           // of `command`, or of everything
  bool wants_version = false;
  std::multimap<std::string_view, std::string> flags;  // by Flag::name, in the order given; a switch is ""
  std::vector<std::string> arguments;
  std::vector<std::string> program;  // after "--"

  bool Has(std::string_view flag) const { return flags.contains(flag); }
  // The last one given counts.
  std::string Text(std::string_view flag, std::string_view otherwise = "") const;
  std::vector<std::string> All(std::string_view flag) const;  // of a flag that may be given several times
  std::optional<int64_t> Integer(std::string_view flag) const;
  std::optional<std::pair<int64_t, int64_t>> Page(std::string_view flag) const;  // width, height
  std::optional<absl::Duration> Duration(std::string_view flag) const;
};

// INVALID_ARGUMENT for an unknown command or flag (with a suggestion), a missing or malformed value, a stray or missing
// argument. `arguments` without the program's name.
absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments);

// The flag --output of `command`: its names, its default.
Flag OutputFlag(const Command& command);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_COMMAND_LINE_H_
