#include "client/completion.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/suggest.h"
#include "client/command_line.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace dsocr::client {
namespace {

bool IsOneWord(const Command& command) { return command.name.find(' ') == std::string_view::npos; }

std::string_view FirstWord(const Command& command) { return command.name.substr(0, command.name.find(' ')); }

// Of the command and of those that begin with its name: which of them it is shows only with the next word.
std::vector<Flag> AllFlags(const Command& command) {
  std::vector<Flag> flags;
  const auto add = [&](const Flag& flag) {
    const bool is_there =
        std::any_of(flags.begin(), flags.end(), [&](const Flag& other) { return other.name == flag.name; });
    if (!is_there) {
      flags.push_back(flag);
    }
  };
  for (const Command& other : Commands()) {
    if (FirstWord(other) == command.name) {
      std::for_each(other.flags.begin(), other.flags.end(), add);
      if (!other.outputs.empty()) {
        add(OutputFlag(other));
      }
    }
  }
  std::for_each(GlobalFlags().begin(), GlobalFlags().end(), add);
  return flags;
}

std::string CommandNames() {
  std::vector<std::string_view> names;
  for (const Command& command : Commands()) {
    if (IsOneWord(command)) {
      names.push_back(command.name);
    }
  }
  return fmt::format("{} help", fmt::join(names, " "));
}

// Second words: "describe" after workloads, "bash", "zsh" and "fish" after completion.
std::string SecondWords(const Command& command) {
  std::string words;
  if (command.arguments.find_first_not_of("abcdefghijklmnopqrstuvwxyz|") == std::string_view::npos) {
    words = fmt::format(" {}", command.arguments);
    std::replace(words.begin(), words.end(), '|', ' ');
  }
  const std::string prefix = fmt::format("{} ", command.name);
  for (const Command& other : Commands()) {
    if (other.name.starts_with(prefix)) {
      words += fmt::format(" {}", other.name.substr(prefix.size()));
    }
  }
  return words;
}

// bash and zsh (through bashcompinit) share one function: the words by command, the values by flag.
std::string BashFunction() {
  std::string out =
      "_dsocrctl() {\n"
      "  local word=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\" command= i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case \"${COMP_WORDS[i]}\" in -*) ;; *) command=\"${COMP_WORDS[i]}\"; break ;; esac\n"
      "  done\n"
      "  case \"$command:$before\" in\n";
  for (const Command& command : Commands()) {
    if (!IsOneWord(command)) {
      continue;
    }
    for (const Flag& flag : AllFlags(command)) {
      if (flag.kind == ValueKind::kChoice) {
        const std::string short_name = flag.name == "--output" ? fmt::format("|{}:-o", command.name) : "";
        out += fmt::format("    {}:{}{}) COMPREPLY=($(compgen -W \"{}\" -- \"$word\")); return ;;\n", command.name,
                           flag.name, short_name, fmt::join(flag.choices, " "));
      } else if (flag.kind == ValueKind::kPath) {
        out += fmt::format("    {}:{}) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n", command.name, flag.name);
      }
    }
  }
  out += "  esac\n  case \"$command\" in\n";
  out += fmt::format("    '') COMPREPLY=($(compgen -W \"{}\" -- \"$word\")) ;;\n", CommandNames());
  for (const Command& command : Commands()) {
    if (!IsOneWord(command)) {
      continue;
    }
    std::vector<std::string_view> names;
    for (const Flag& flag : AllFlags(command)) {
      names.push_back(flag.name);
    }
    const bool takes_file = command.arguments.find("FILE") != std::string_view::npos || command.takes_program;
    out += fmt::format("    {}) COMPREPLY=($(compgen -W \"{}{}\" -- \"$word\"){}) ;;\n", command.name,
                       fmt::join(names, " "), SecondWords(command), takes_file ? " $(compgen -f -- \"$word\")" : "");
  }
  return out + "  esac\n}\ncomplete -F _dsocrctl dsocrctl\n";
}

// Single quotes within a single-quoted fish string.
std::string FishQuoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    out += c == '\'' || c == '\\' ? fmt::format("\\{}", c) : std::string(1, c);
  }
  return out + "'";
}

std::string FishScript() {
  std::string out = "complete -c dsocrctl -f\n";
  for (const Command& command : Commands()) {
    if (!IsOneWord(command)) {
      continue;
    }
    out += fmt::format("complete -c dsocrctl -n __fish_use_subcommand -a {} -d {}\n", command.name,
                       FishQuoted(command.summary));
    for (const Flag& flag : AllFlags(command)) {
      const bool is_short = flag.name.size() == 2;
      const std::string choices =
          flag.kind == ValueKind::kChoice
              ? fmt::format(" -x -a {}", FishQuoted(fmt::format("{}", fmt::join(flag.choices, " "))))
          : flag.kind == ValueKind::kPath   ? " -r -F"
          : flag.kind == ValueKind::kSwitch ? ""
                                            : " -x";
      out += fmt::format("complete -c dsocrctl -n '__fish_seen_subcommand_from {}' -{} {}{} -d {}\n", command.name,
                         is_short ? "s" : "l", flag.name.substr(is_short ? 1 : 2), choices, FishQuoted(flag.help));
    }
  }
  return out;
}

}  // namespace

absl::StatusOr<std::string> CompletionScript(const std::string& shell) {
  if (shell == "bash") {
    return BashFunction();
  }
  if (shell == "zsh") {
    return fmt::format("#compdef dsocrctl\nautoload -U +X bashcompinit && bashcompinit\n{}", BashFunction());
  }
  if (shell == "fish") {
    return FishScript();
  }
  return absl::InvalidArgumentError(
      fmt::format("completion '{}': not a shell that we know; give bash, zsh or fish", shell));
}

}  // namespace dsocr::client
