#include "proto/document_yaml.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "proto/document_text.h"
#include "yaml.h"

namespace dsocr::document {
namespace {

bool IsOneOf(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool IsDecimalInteger(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) {
    text.remove_prefix(1);
  }
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?  as in YAML 1.2, 10.3.2.
bool IsDecimalFloat(std::string_view text) {
  size_t i = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  const auto digits = [&] {
    const size_t start = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') {
      ++i;
    }
    return i - start;
  };
  size_t mantissa_digits = digits();
  if (i < text.size() && text[i] == '.') {
    ++i;
    mantissa_digits += digits();
  }
  if (mantissa_digits == 0) {
    return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    i += i < text.size() && (text[i] == '-' || text[i] == '+') ? 1 : 0;
    if (digits() == 0) {
      return false;
    }
  }
  return i == text.size();
}

template <typename Number>
Scalar ParseNumber(std::string_view text) {
  Number value = 0;
  const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);  // from_chars takes no plus
  const bool fits = std::from_chars(begin, text.data() + text.size(), value).ec == std::errc();
  return fits ? Scalar(value) : NumberOutOfRange{std::string(text)};
}

bool IsNull(std::string_view text) { return IsOneOf(text, {"", "~", "null", "Null", "NULL"}); }

Scalar ResolvePlain(std::string_view text) {
  if (IsNull(text)) {
    return Null{};
  }
  if (IsOneOf(text, {"true", "True", "TRUE"})) {
    return true;
  }
  if (IsOneOf(text, {"false", "False", "FALSE"})) {
    return false;
  }
  if (IsDecimalInteger(text)) {
    return ParseNumber<int64_t>(text);
  }
  if (IsDecimalFloat(text)) {
    return ParseNumber<double>(text);
  }
  std::string_view magnitude = text;
  if (text.starts_with('-') || text.starts_with('+')) {
    magnitude.remove_prefix(1);
  }
  if (IsOneOf(magnitude, {".inf", ".Inf", ".INF"}) || IsOneOf(text, {".nan", ".NaN", ".NAN"})) {
    return NumberOutOfRange{std::string(text)};
  }
  return std::string(text);
}

// libyaml checks every %TAG line against every other, so it must not see a file of them. Where such a line is no
// directive it continues a string of several lines, which our writer never makes.
std::optional<size_t> FindTagDirective(std::string_view text) {
  constexpr std::string_view kTag = "%TAG";
  for (size_t at = text.find(kTag); at != std::string_view::npos; at = text.find(kTag, at + 1)) {
    const std::string_view before = text.substr(0, at);
    for (const std::string_view line_break : {"\n", "\r", "\u0085", "\u2028", "\u2029", "\uFEFF"}) {
      if (before.ends_with(line_break)) {
        return at;
      }
    }
    if (before.empty()) {
      return at;
    }
  }
  return std::nullopt;
}

// One libyaml event, freed at the end of the scope.
class Event {
 public:
  explicit Event(yaml_parser_t* parser) : is_there_(yaml_parser_parse(parser, &event_) != 0) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() {
    if (is_there_) {
      yaml_event_delete(&event_);
    }
  }

  bool is_there() const { return is_there_; }  // false: the text is not YAML
  const yaml_event_t& get() const { return event_; }

 private:
  yaml_event_t event_;
  const bool is_there_;
};

class Reader {
 public:
  Reader(std::string_view text, bool must_end, Binder& binder) : text_(text), must_end_(must_end), binder_(binder) {
    if (yaml_parser_initialize(&parser_) == 0) {
      throw std::bad_alloc();
    }
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { yaml_parser_delete(&parser_); }

  void Read() {
    bool goes_on = true;
    while (goes_on) {
      const Event event(&parser_);
      goes_on = event.is_there() ? Take(event.get()) : FailSyntax();
    }
  }

 private:
  // Whether there is more to read.
  bool Take(const yaml_event_t& event) {
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        return !std::exchange(has_document_, true) || binder_.Fail("---", "a file holds one document");
      case YAML_ALIAS_EVENT:
        return binder_.Fail("*", "aliases are not supported");
      case YAML_SCALAR_EVENT:
        return TakeScalar(event.data.scalar);
      case YAML_SEQUENCE_START_EVENT:
        return TakesNoKey("[…]") && IsBare(event.data.sequence_start) && binder_.BeginSequence() &&
               Open(Level::kSequence);
      case YAML_MAPPING_START_EVENT:
        is_in_flow_ = levels_.empty() ? event.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE : is_in_flow_;
        return TakesNoKey("{…}") && IsBare(event.data.mapping_start) && binder_.BeginMap() && Open(Level::kBeforeKey);
      case YAML_SEQUENCE_END_EVENT:
        return binder_.EndSequence() && Close();
      case YAML_MAPPING_END_EVENT:
        return binder_.EndMap() && Close();
      case YAML_STREAM_END_EVENT:
        return must_end_ && has_document_ && !is_in_flow_ && !text_.ends_with('\n') &&
               binder_.Fail(Place(text_, text_.size()), "the last line does not end: the file is cut off");
      case YAML_NO_EVENT:
      case YAML_STREAM_START_EVENT:
      case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return true;
  }

  template <typename Node>
  bool IsBare(const Node& node) {
    return (node.anchor == nullptr || binder_.Fail("&", "anchors are not supported")) &&
           (node.tag == nullptr || binder_.Fail("!", "tags are not supported"));
  }

  template <typename ScalarNode>
  bool TakeScalar(const ScalarNode& node) {
    if (!IsBare(node)) {
      return false;
    }
    const std::string_view text(reinterpret_cast<const char*>(node.value), node.length);
    const bool is_plain = node.style == YAML_PLAIN_SCALAR_STYLE;
    if (levels_.empty() || levels_.back() != Level::kBeforeKey) {
      return binder_.Value(is_plain ? ResolvePlain(text) : Scalar(std::string(text))) && EndValue();
    }
    if (is_plain && IsNull(text)) {
      return TakesNoKey("null");
    }
    levels_.back() = Level::kBeforeValue;
    return binder_.Key(std::string(text));
  }

  bool TakesNoKey(std::string_view shown) {
    return levels_.empty() || levels_.back() != Level::kBeforeKey || binder_.Fail(shown, "a key must be a string");
  }

  bool FailSyntax() {
    if (parser_.error == YAML_MEMORY_ERROR) {
      throw std::bad_alloc();
    }
    if (parser_.error == YAML_READER_ERROR) {  // a control character
      return binder_.Fail(Place(text_, parser_.problem_offset),
                          fmt::format("this is not valid YAML: {}", parser_.problem));
    }
    const yaml_mark_t& mark = parser_.problem_mark;
    return binder_.Fail(fmt::format("line {} column {}", mark.line + 1, mark.column + 1),
                        fmt::format("this is not valid YAML: {}", parser_.problem));
  }

  enum class Level { kSequence, kBeforeKey, kBeforeValue };
  bool Open(Level level) {
    levels_.push_back(level);
    return true;
  }
  bool Close() {
    levels_.pop_back();
    return EndValue();
  }
  bool EndValue() {
    if (!levels_.empty() && levels_.back() == Level::kBeforeValue) {
      levels_.back() = Level::kBeforeKey;
    }
    return true;
  }

  const std::string_view text_;
  const bool must_end_;
  Binder& binder_;
  yaml_parser_t parser_;
  bool has_document_ = false;
  bool is_in_flow_ = false;    // the document: its closing bracket is its end
  std::vector<Level> levels_;  // the open containers; the binder bounds their number
};

}  // namespace

void ReadYaml(std::string_view text, bool must_end, Binder& binder) {
  if (const std::optional<size_t> offset = FindTagDirective(text)) {
    binder.Fail(Place(text, *offset), "tags are not supported");
    return;
  }
  Reader(text, must_end, binder).Read();
}

}  // namespace dsocr::document
