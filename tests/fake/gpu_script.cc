#include "tests/fake/gpu_script.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <sstream>
#include <utility>

#include "tests/fake/duration.h"

namespace dsocr::fake {
namespace {

// What a statement takes, one letter an operand; after '?' they may be missing.
//   n name   o other name   k kernel   c kind of copy   i number   d duration   s stream   a API   t the rest of the
//   line { a block
struct Rule {
  const char* word;
  Verb verb;
  const char* operands;
};

constexpr Rule kRules[] = {
    {"cuinit", Verb::kInit, ""},
    {"push", Verb::kPush, "n"},
    {"pop", Verb::kPop, ""},
    {"launch", Verb::kLaunch, "kd?sa"},
    {"copy", Verb::kCopy, "cid?sa"},
    {"set", Verb::kSet, "id?s"},
    {"sync", Verb::kSync, "?s"},
    {"alloc", Verb::kAllocate, "ni"},
    {"free", Verb::kFree, "n"},
    {"overhead", Verb::kOverhead, "d"},
    {"capture", Verb::kCapture, "n?s{"},
    {"instantiate", Verb::kInstantiate, "no"},
    {"graph_launch", Verb::kGraphLaunch, "n?s"},
    {"update", Verb::kUpdate, "no"},
    {"destroy", Verb::kDestroy, "n"},
    {"graph_id", Verb::kGraphId, "i"},
    {"range", Verb::kRange, "n{"},
    {"repeat", Verb::kRepeat, "i?d{"},
    {"thread", Verb::kThread, "{"},
    {"join", Verb::kJoin, ""},
    {"sleep", Verb::kSleep, "d"},
    {"deliver", Verb::kDeliver, ""},
    {"wait_flush", Verb::kWaitFlush, ""},
    {"fault", Verb::kFault, "t"},
    {"exit", Verb::kExit, "i"},
    {"kill", Verb::kKill, ""},
};

// Words of a line; "a name in quotes" is one; '#' begins a comment.
std::vector<std::string> Words(const std::string& line) {
  std::vector<std::string> words;
  for (size_t at = 0; at < line.size();) {
    if (line[at] == ' ' || line[at] == '\t') {
      ++at;
    } else if (line[at] == '#') {
      break;
    } else {
      const bool is_quoted = line[at] == '"';
      const size_t begin = at + is_quoted;
      const size_t end = std::min(line.find_first_of(is_quoted ? "\"" : " \t", begin), line.size());
      words.push_back(line.substr(begin, end - begin));
      at = end + is_quoted;
    }
  }
  return words;
}

bool ParseNumber(const std::string& word, int64_t* number) {
  char* end = nullptr;
  *number = std::strtoll(word.c_str(), &end, 0);
  return !word.empty() && *end == '\0';
}

StreamRef FindStream(uint32_t context, uint32_t id, Script* script) {
  std::vector<Script::Stream>& streams = script->streams;
  auto found = std::find_if(streams.begin(), streams.end(), [context, id](const Script::Stream& stream) {
    return stream.context == context && stream.id == id;
  });
  if (found == streams.end()) {
    found = streams.insert(found, {context, id, fake_gpu_stream(context, id)});
  }
  return {found->handle, static_cast<size_t>(found - streams.begin())};
}

bool ParseStream(const std::string& word, StreamRef* stream, Script* script) {
  const size_t colon = word.find(':');
  int64_t context = 1;
  int64_t id = 0;
  if (colon != std::string::npos && !ParseNumber(word.substr(0, colon), &context)) {
    return false;
  }
  if (!ParseNumber(word.substr(colon == std::string::npos ? 0 : colon + 1), &id)) {
    return false;
  }
  *stream = FindStream(static_cast<uint32_t>(context), static_cast<uint32_t>(id), script);
  return true;
}

template <typename Value, size_t kCount>
bool ParseChoice(const std::string& word, const std::pair<const char*, Value> (&choices)[kCount], Value* value) {
  for (const auto& [name, choice] : choices) {
    if (word == name) {
      *value = choice;
      return true;
    }
  }
  return false;
}

bool ParseOperand(char operand, const std::string& word, Statement* statement, Script* script) {
  static constexpr std::pair<const char*, fake_gpu_copy_kind> kCopyKinds[] = {
      {"htod", FAKE_GPU_HTOD}, {"dtoh", FAKE_GPU_DTOH}, {"dtod", FAKE_GPU_DTOD}};
  static constexpr std::pair<const char*, fake_gpu_api> kApis[] = {
      {"driver", FAKE_GPU_DRIVER}, {"driver_ex", FAKE_GPU_DRIVER_EX}, {"runtime", FAKE_GPU_RUNTIME}};
  switch (operand) {
    case 'n':
      statement->name = word;
      return true;
    case 'o':
      statement->other = word;
      return true;
    case 'k':
      statement->function = fake_gpu_function(word.c_str());
      return true;
    case 'c':
      return ParseChoice(word, kCopyKinds, &statement->copy_kind);
    case 'i':
      return ParseNumber(word, &statement->count);
    case 'd':
      return ParseDuration(word, &statement->duration_ns);
    case 's':
      return ParseStream(word, &statement->stream, script);
    case 'a':
      return ParseChoice(word, kApis, &statement->api);
    case 't':
      statement->name += (statement->name.empty() ? "" : " ") + word;
      return true;
    default:
      return false;
  }
}

bool ParseStatement(std::vector<std::string> words, Statement* statement, bool* has_body, Script* script) {
  const auto* const rule =
      std::find_if(std::begin(kRules), std::end(kRules), [&words](const Rule& r) { return words[0] == r.word; });
  if (rule == std::end(kRules)) {
    return false;
  }
  statement->verb = rule->verb;
  statement->stream = FindStream(1, 7, script);
  std::string operands = rule->operands;
  *has_body = !operands.empty() && operands.back() == '{';
  if (*has_body) {
    operands.pop_back();
    if (words.back() != "{") {
      return false;
    }
    words.pop_back();
  }
  size_t word = 1;
  bool is_optional = false;
  for (const char operand : operands) {
    if (operand == '?') {
      is_optional = true;
    } else if (word == words.size()) {
      return is_optional;
    } else {
      do {
        if (!ParseOperand(operand, words[word], statement, script)) {
          return false;
        }
        ++word;
      } while (operand == 't' && word < words.size());
    }
  }
  return word == words.size();
}

}  // namespace

bool ParseScript(const std::string& text, Script* script, std::string* error) {
  std::istringstream lines(text);
  std::vector<std::vector<Statement>> open(1);  // blocks, the innermost last
  std::vector<Statement> heads;                 // whose blocks they are, but for the outermost
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    *error = "line " + std::to_string(number) + ": '" + line + "'";
    const std::vector<std::string> words = Words(line);
    if (words.empty()) {
      continue;
    }
    if (words[0] == "}") {
      if (heads.empty()) {
        return false;
      }
      Statement block = std::move(heads.back());
      heads.pop_back();
      block.body = std::move(open.back());
      open.pop_back();
      open.back().push_back(std::move(block));
      continue;
    }
    Statement statement{};
    bool has_body = false;
    if (!ParseStatement(words, &statement, &has_body, script)) {
      return false;
    }
    if (has_body) {
      heads.push_back(std::move(statement));
      open.emplace_back();
    } else {
      open.back().push_back(std::move(statement));
    }
  }
  *error = "a block is not closed";
  script->statements = std::move(open.front());
  return heads.empty();
}

}  // namespace dsocr::fake
