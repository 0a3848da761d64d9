#include "client/command_line.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <iterator>

#include "base/status.h"
#include "base/suggest.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace dsocr::client {
namespace {

bool ParseInteger(std::string_view text, int64_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size();
}

bool ParsePage(std::string_view text, int64_t* width, int64_t* height) {
  const size_t x = text.find('x');
  return x != std::string_view::npos && ParseInteger(text.substr(0, x), width) &&
         ParseInteger(text.substr(x + 1), height) && *width > 0 && *height > 0;
}

bool ParseDuration(const std::string& text, absl::Duration* value) {
  return absl::ParseDuration(text, value) && *value > absl::ZeroDuration();
}

absl::Status CheckValue(const Flag& flag, const std::string& value) {
  int64_t a = 0;
  int64_t b = 0;
  absl::Duration duration;
  switch (flag.kind) {
    case ValueKind::kSwitch:
      break;
    case ValueKind::kText:
    case ValueKind::kPath:
      if (value.empty()) {
        return absl::InvalidArgumentError(fmt::format("{}: the value is empty; give {}", flag.name, flag.value_name));
      }
      break;
    case ValueKind::kInteger:
      if (!ParseInteger(value, &a)) {
        return absl::InvalidArgumentError(
            fmt::format("{} '{}': not an integer; give {}", flag.name, value, flag.value_name));
      }
      break;
    case ValueKind::kPage:
      if (!ParsePage(value, &a, &b)) {
        return absl::InvalidArgumentError(
            fmt::format("{} '{}': not a page size; give WIDTHxHEIGHT in pixels, such as 1240x1754", flag.name, value));
      }
      break;
    case ValueKind::kDuration:
      if (!ParseDuration(value, &duration)) {
        return absl::InvalidArgumentError(
            fmt::format("{} '{}': not a duration; give one such as 500ms, 30s or 15m", flag.name, value));
      }
      break;
    case ValueKind::kChoice:
      if (std::find(flag.choices.begin(), flag.choices.end(), value) == flag.choices.end()) {
        const std::vector<std::string> names(flag.choices.begin(), flag.choices.end());
        return absl::InvalidArgumentError(fmt::format("{} '{}': not one of {}{}", flag.name, value,
                                                      fmt::join(flag.choices, ", "),
                                                      value.size() > 2 ? DidYouMean(value, names) : ""));
      }
      break;
  }
  return absl::OkStatus();
}

// The other names of a flag.
std::string_view LongName(std::string_view name) {
  return name == "-o" ? "--output" : name == "-h" ? "--help" : name == "--quiet" ? "-q" : name;
}

class Parser {
 public:
  explicit Parser(const std::vector<std::string>& arguments) : arguments_(arguments) {}

  absl::StatusOr<CommandLine> Run() && {
    while (next_ < arguments_.size()) {
      const std::string& argument = arguments_[next_++];
      if (argument == "--") {
        line_.program.assign(arguments_.begin() + static_cast<std::ptrdiff_t>(next_), arguments_.end());
        has_program_ = true;
        break;
      }
      if (argument.size() > 1 && argument[0] == '-') {
        DSOCR_RETURN_IF_ERROR(TakeFlag(argument));
      } else if (line_.command == nullptr) {
        DSOCR_RETURN_IF_ERROR(TakeCommand(argument));
      } else {
        line_.arguments.push_back(argument);
      }
    }
    if (!line_.wants_help && !line_.wants_version) {
      DSOCR_RETURN_IF_ERROR(CheckArguments());
    }
    return std::move(line_);
  }

 private:
  absl::Status TakeCommand(const std::string& word) {
    if (word == "help") {
      line_.wants_help = true;
      return next_ < arguments_.size() ? TakeCommand(arguments_[next_++]) : absl::OkStatus();
    }
    std::vector<std::string> names;
    for (const Command& command : Commands()) {
      if (command.name == word) {
        line_.command = &command;
      }
      names.emplace_back(command.name);
    }
    if (line_.command != nullptr) {
      TakeSecondWord();
      return absl::OkStatus();
    }
    for (const std::string_view later : LaterCommands()) {
      if (later == word) {
        return absl::InvalidArgumentError(fmt::format(
            "{}: not in this release, it comes with a later one; 'dsocrctl help' lists the commands", word));
      }
      names.emplace_back(later);
    }
    return absl::InvalidArgumentError(
        fmt::format("no command '{}'{}", word, DidYouMean(word, names, "'dsocrctl help' lists them")));
  }

  void TakeSecondWord() {
    if (next_ == arguments_.size()) {
      return;
    }
    const std::string two_words = fmt::format("{} {}", line_.command->name, arguments_[next_]);
    for (const Command& command : Commands()) {
      if (command.name == two_words) {
        line_.command = &command;
        ++next_;
        return;
      }
    }
  }

  std::vector<Flag> KnownFlags() const {
    std::vector<Flag> flags = GlobalFlags();
    if (line_.command != nullptr) {
      flags.insert(flags.end(), line_.command->flags.begin(), line_.command->flags.end());
      if (!line_.command->outputs.empty()) {
        flags.push_back(OutputFlag(*line_.command));
      }
    }
    return flags;
  }

  absl::Status TakeFlag(const std::string& argument) {
    const size_t equals = argument.find('=');
    const std::string_view name = LongName(std::string_view(argument).substr(0, equals));
    if (name == "--help") {
      line_.wants_help = true;
      return absl::OkStatus();
    }
    if (name == "--version") {
      line_.wants_version = true;
      return absl::OkStatus();
    }
    std::vector<std::string> names;
    for (const Flag& flag : KnownFlags()) {
      if (flag.name == name) {
        return TakeValue(
            flag, equals == std::string::npos ? std::nullopt : std::optional<std::string>(argument.substr(equals + 1)));
      }
      names.emplace_back(flag.name);
    }
    const std::string help = line_.command == nullptr ? "" : fmt::format("{} ", line_.command->name);
    return absl::InvalidArgumentError(fmt::format(
        "no flag '{}'{}", name, DidYouMean(name, names, fmt::format("'dsocrctl {}--help' lists them", help))));
  }

  absl::Status TakeValue(const Flag& flag, std::optional<std::string> value) {
    if (flag.kind == ValueKind::kSwitch && value) {
      return absl::InvalidArgumentError(fmt::format("{} takes no value; drop '={}'", flag.name, *value));
    }
    if (flag.kind != ValueKind::kSwitch && !value) {
      if (next_ == arguments_.size()) {
        return absl::InvalidArgumentError(fmt::format("{}: a value is missing; give {}", flag.name, flag.value_name));
      }
      value = arguments_[next_++];
    }
    DSOCR_RETURN_IF_ERROR(CheckValue(flag, value.value_or("")));
    line_.flags.emplace(flag.name, value.value_or(""));
    return absl::OkStatus();
  }

  absl::Status CheckArguments() const {
    if (line_.command == nullptr) {
      return line_.flags.empty() ? absl::OkStatus()
                                 : absl::InvalidArgumentError("no command; 'dsocrctl help' lists them");
    }
    const Command& command = *line_.command;
    const std::string usage = fmt::format("usage: dsocrctl {} {}", command.name, command.arguments);
    if (line_.arguments.size() > command.max_arguments) {
      return absl::InvalidArgumentError(
          fmt::format("stray argument '{}'; {}", line_.arguments[command.max_arguments], usage));
    }
    if (line_.arguments.size() < command.min_arguments || (command.takes_program && line_.program.empty())) {
      return absl::InvalidArgumentError(fmt::format("an argument is missing; {}", usage));
    }
    if (has_program_ && !command.takes_program) {
      return absl::InvalidArgumentError(fmt::format("'--' has no meaning here; {}", usage));
    }
    return absl::OkStatus();
  }

  const std::vector<std::string>& arguments_;
  size_t next_ = 0;
  bool has_program_ = false;
  CommandLine line_;
};

}  // namespace

std::string CommandLine::Text(std::string_view flag, std::string_view otherwise) const {
  const auto [first, end] = flags.equal_range(flag);
  return first == end ? std::string(otherwise) : std::prev(end)->second;
}

std::vector<std::string> CommandLine::All(std::string_view flag) const {
  std::vector<std::string> values;
  for (auto [at, end] = flags.equal_range(flag); at != end; ++at) {
    values.push_back(at->second);
  }
  return values;
}

std::optional<int64_t> CommandLine::Integer(std::string_view flag) const {
  int64_t value = 0;
  return ParseInteger(Text(flag), &value) ? std::optional(value) : std::nullopt;
}

std::optional<std::pair<int64_t, int64_t>> CommandLine::Page(std::string_view flag) const {
  std::pair<int64_t, int64_t> page;
  return ParsePage(Text(flag), &page.first, &page.second) ? std::optional(page) : std::nullopt;
}

std::optional<absl::Duration> CommandLine::Duration(std::string_view flag) const {
  absl::Duration value;
  return ParseDuration(Text(flag), &value) ? std::optional(value) : std::nullopt;
}

absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments) {
  return Parser(arguments).Run();
}

const std::vector<Flag>& GlobalFlags() {
  static const auto& flags = *new std::vector<Flag>{
      {"--server", ValueKind::kText, "ADDR", "daemon at unix:PATH or HOST:PORT (default: DSOCR_SERVER, else your own)"},
      {"--no-start", ValueKind::kSwitch, "", "never start a daemon"},
      {"--timeout", ValueKind::kDuration, "TIME",
       "give up after this time, such as 500ms, 30s or 15m (default: never)"},
      {"-q", ValueKind::kSwitch, "", "say nothing on stderr but errors"},
      {"--color",
       ValueKind::kChoice,
       "WHEN",
       "auto, always or never (default auto: on a terminal, unless NO_COLOR is set)",
       {"auto", "always", "never"}},
      {"--tls-ca", ValueKind::kPath, "FILE", "PEM certificates that the daemon's must go back to; turns TLS on"},
      {"--tls-cert", ValueKind::kPath, "FILE", "PEM certificate of this client"},
      {"--tls-key", ValueKind::kPath, "FILE", "PEM key of --tls-cert"},
      {"--token-file", ValueKind::kPath, "FILE", "file with a bearer token; needs TLS or a unix socket"},
  };
  return flags;
}

Flag OutputFlag(const Command& command) {
  return {"--output", ValueKind::kChoice, "FORMAT", "-o: how the result is printed", command.outputs};
}

}  // namespace dsocr::client
