#include "daemon/attach/module_map.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "base/status.h"
#include "daemon/attach/built_in_maps.h"
#include "fmt/format.h"

namespace dsocr::attach {
namespace {

constexpr size_t kMaxWords = 64;
constexpr size_t kLongestShown = 80;
constexpr std::string_view kRoot = ".";
constexpr std::string_view kAnyWord = "*";
constexpr std::string_view kAnyWords = "**";

using Indices = std::vector<std::pair<std::string, std::string>>;  // placeholder, digits

std::string_view Trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && is_space(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && is_space(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c == separator) {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

// As an error may show it: no control characters, and not without end.
std::string Shown(std::string_view text) {
  std::string shown;
  for (const char c : text.substr(0, kLongestShown)) {
    shown += c >= 0x20 && c < 0x7f ? c : '?';
  }
  return text.size() > kLongestShown ? shown + "…" : shown;
}

bool IsNumber(std::string_view word) {
  return !word.empty() && word.size() <= 9 &&
         std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

bool IsIdentifier(std::string_view word) {
  return !word.empty() &&
         std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

// "{i}", of which `i` is the name.
bool IsPlaceholder(std::string_view word) {
  return word.size() > 2 && word.front() == '{' && word.back() == '}' &&
         IsIdentifier(word.substr(1, word.size() - 2)) && word != kPhase;
}

// The digits of every index left out: instances of one node look alike.
std::string WithoutIndices(std::string_view id) {
  std::string result;
  bool inside = false;
  for (const char c : id) {
    inside = inside && c != ']';
    if (!inside) {
      result += c;
    }
    inside = inside || c == '[';
  }
  return result;
}

absl::Status Wrong(std::string_view name, int line, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("module map '{}': line {}: {}", Shown(name), line, why));
}

absl::Status CheckPattern(const std::vector<std::string>& words) {
  if (words.size() > kMaxWords) {
    return absl::InvalidArgumentError(fmt::format("the path has over {} words", kMaxWords));
  }
  absl::flat_hash_set<std::string> placeholders;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == kAnyWords && i + 1 < words.size()) {
      return absl::InvalidArgumentError("'**' stands for all modules below and can only end a path");
    }
    if (!IsIdentifier(word) && !IsPlaceholder(word) && word != kAnyWord && word != kAnyWords) {
      return absl::InvalidArgumentError(
          fmt::format("'{}' is no part of a path; write a name, an index such as {{i}}, '*' or '**'", Shown(word)));
    }
    if (IsPlaceholder(word) && !placeholders.insert(word).second) {
      return absl::InvalidArgumentError(fmt::format("{} stands twice in the path", Shown(word)));
    }
  }
  return absl::OkStatus();
}

// Parts of an instance id are a name, or a name and an index: block[{i}], layer[0].
absl::Status CheckTarget(std::string_view target, const std::vector<std::string>& pattern) {
  for (const std::string& part : Split(target, '/')) {
    if (part == kPhase && target.rfind(kPhase, 0) == 0) {
      continue;
    }
    const size_t bracket = part.find('[');
    const std::string_view name = std::string_view(part).substr(0, bracket);
    bool is_part = IsIdentifier(name);
    if (bracket != std::string::npos) {
      const std::string_view rest = std::string_view(part).substr(bracket + 1);
      is_part = is_part && !rest.empty() && rest.back() == ']';
      const std::string index(is_part ? rest.substr(0, rest.size() - 1) : rest);
      is_part = is_part && (IsNumber(index) || IsPlaceholder(index));
      if (is_part && IsPlaceholder(index) && std::find(pattern.begin(), pattern.end(), index) == pattern.end()) {
        return absl::InvalidArgumentError(fmt::format("{} is not in the path", Shown(index)));
      }
    }
    if (!is_part) {
      return absl::InvalidArgumentError(
          fmt::format("'{}' is no part of a module id; write one as in prefill/layer[3]/norm, with {{phase}} for "
                      "prefill and decode",
                      Shown(part)));
    }
  }
  return absl::OkStatus();
}

std::optional<Indices> Match(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  Indices indices;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == kAnyWords) {
      return indices;
    }
    if (i == path.size()) {
      return std::nullopt;
    }
    if (IsPlaceholder(pattern[i])) {
      if (!IsNumber(path[i])) {
        return std::nullopt;
      }
      indices.emplace_back(pattern[i], path[i]);
    } else if (pattern[i] != kAnyWord && pattern[i] != path[i]) {
      return std::nullopt;
    }
  }
  return pattern.size() == path.size() ? std::optional(indices) : std::nullopt;
}

void Replace(std::string_view what, std::string_view with, std::string* text) {
  for (size_t at = text->find(what); at != std::string::npos; at = text->find(what, at + with.size())) {
    text->replace(at, what.size(), with);
  }
}

}  // namespace

std::string InPhase(std::string_view target, Phase phase) {
  std::string id(target);
  Replace(kPhase, phase == Phase::kPrefill ? "prefill" : "decode", &id);
  return id;
}

absl::StatusOr<ModuleMap::Line> ModuleMap::ParseLine(std::string_view text, int number) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    return absl::InvalidArgumentError(
        fmt::format("'{}' has no colon; write PATH: MODULE, as in lm_head: {{phase}}/lm_head", Shown(text)));
  }
  Line line;
  line.number = number;
  const std::string_view pattern = Trimmed(text.substr(0, colon));
  if (pattern != kRoot) {
    line.words = Split(pattern, '.');
    DSOCR_RETURN_IF_ERROR(CheckPattern(line.words));
  }
  line.target = Trimmed(text.substr(colon + 1));
  DSOCR_RETURN_IF_ERROR(CheckTarget(line.target, line.words));
  return line;
}

absl::StatusOr<ModuleMap> ModuleMap::Parse(std::string_view text, std::string name) {
  if (text.size() > kMaxBytes) {
    return absl::InvalidArgumentError(
        fmt::format("module map '{}': {} bytes are more than {}", Shown(name), text.size(), kMaxBytes));
  }
  ModuleMap map;
  map.name_ = std::move(name);
  int number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trimmed(text.substr(0, std::min(text.find('#'), end)));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.empty()) {
      continue;
    }
    if (map.lines_.size() == kMaxLines) {
      return Wrong(map.name_, number, fmt::format("over {} modules", kMaxLines));
    }
    absl::StatusOr<Line> parsed = ParseLine(line, number);
    if (!parsed.ok()) {
      return Wrong(map.name_, number, std::string(parsed.status().message()));
    }
    map.lines_.push_back(*std::move(parsed));
  }
  if (map.lines_.empty()) {
    return absl::InvalidArgumentError(fmt::format("module map '{}': no line names a module", Shown(map.name_)));
  }
  return map;
}

std::string ModuleMap::Find(std::string_view path, const IsNode& is_node) const {
  const std::vector<std::string> words = path.empty() ? std::vector<std::string>() : Split(path, '.');
  for (const Line& line : lines_) {
    const std::optional<Indices> indices = Match(line.words, words);
    if (!indices) {
      continue;
    }
    std::string target = line.target;
    for (const auto& [placeholder, digits] : *indices) {
      Replace(placeholder, digits, &target);
    }
    if (is_node(InPhase(target, Phase::kPrefill)) || is_node(InPhase(target, Phase::kDecode))) {
      return target;
    }
  }
  return "";
}

std::string ModuleMap::PathTo(std::string_view target) const {
  const auto line = std::find_if(lines_.begin(), lines_.end(), [&](const Line& l) { return l.target == target; });
  return line == lines_.end() ? "" : fmt::format("{}", fmt::join(line->words, "."));
}

absl::Status ModuleMap::CheckTargets(const absl::flat_hash_map<std::string, int>& node_of_range) const {
  absl::flat_hash_set<std::string> ids;
  for (const auto& [id, node] : node_of_range) {
    ids.insert(WithoutIndices(id));
  }
  for (const Line& line : lines_) {
    const std::string target = WithoutIndices(line.target);
    if (!ids.contains(InPhase(target, Phase::kPrefill)) && !ids.contains(InPhase(target, Phase::kDecode))) {
      return Wrong(
          name_, line.number,
          fmt::format("'{}' is no module of the model; `dsocrctl model latest` lists them", Shown(line.target)));
    }
  }
  return absl::OkStatus();
}

const std::vector<ModuleMap>& BuiltInMaps() {
  static const auto& maps = *new std::vector<ModuleMap>{
      *ModuleMap::Parse(kPublishedMap, "deepseek-ocr"),
      *ModuleMap::Parse(kTransformersMap, "transformers deepseek-ocr-2"),
      *ModuleMap::Parse(kVllmMap, "vllm deepseek-ocr"),
  };
  return maps;
}

}  // namespace dsocr::attach
