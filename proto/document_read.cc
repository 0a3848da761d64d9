#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <exception>
#include <sstream>
#include <utility>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "proto/document.h"
#include "proto/document_binder.h"
#include "proto/document_text.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/yaml.h"

namespace dsocr::document {
namespace {

std::string ToString(const v1::CheckProblem& problem) {
  return fmt::format("{}: {}: {}", problem.path(), problem.value(), problem.reason());
}

// Line and column of a byte, both from 1.
std::string Place(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0: the first line
  return fmt::format("line {} column {}", line, before.size() - line_start + 1);
}

// Offset of the first byte that is not UTF-8.
std::optional<size_t> FindMalformedUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    if (static_cast<signed char>(text[i]) >= 0) {
      ++i;
      continue;
    }
    const size_t length = Utf8SequenceLength(text.substr(i));
    if (length == 0) {
      return i;
    }
    i += length;
  }
  return std::nullopt;
}

// nlohmann's SAX interface: iterative, checks UTF-8, and builds no tree.
class JsonHandler {
 public:
  JsonHandler(std::string_view text, Binder& binder) : text_(text), binder_(binder) {}

  bool null() { return binder_.Value(Null{}); }
  bool boolean(bool value) { return binder_.Value(value); }
  bool number_integer(int64_t value) { return binder_.Value(value); }
  bool number_unsigned(uint64_t value) {
    if (value > static_cast<uint64_t>(INT64_MAX)) {
      return binder_.Value(NumberOutOfRange{fmt::format("{}", value)});
    }
    return binder_.Value(static_cast<int64_t>(value));
  }
  bool number_float(double value, const std::string& text) {
    const bool is_integer = text.find_first_of(".eE") == std::string::npos;  // one that 64 bits do not hold
    return is_integer ? binder_.Value(NumberOutOfRange{text}) : binder_.Value(value);
  }
  bool string(std::string& value) { return binder_.Value(std::move(value)); }
  bool binary(nlohmann::json::binary_t&) { return false; }  // JSON has none
  bool start_object(size_t) { return binder_.BeginMap(); }
  bool key(std::string& key) { return binder_.Key(std::move(key)); }
  bool end_object() { return binder_.EndMap(); }
  bool start_array(size_t) { return binder_.BeginSequence(); }
  bool end_array() { return binder_.EndSequence(); }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& error) {
    const size_t offset = std::min(position > 0 ? position - 1 : 0, text_.size());
    const std::string place = Place(text_, offset);
    if (dynamic_cast<const nlohmann::json::out_of_range*>(&error) != nullptr) {
      return binder_.Fail(place, "the number is out of range");
    }
    return binder_.Fail(place, position > text_.size() ? "the document ends too early" : "this is not valid JSON");
  }

 private:
  std::string_view text_;
  Binder& binder_;
};

// Thrown through yaml-cpp's parser to end it: its handlers cannot say stop.
struct StopReading {};

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

Scalar ResolvePlainYaml(const std::string& text) {
  if (text == "true" || text == "True" || text == "TRUE") {
    return true;
  }
  if (text == "false" || text == "False" || text == "FALSE") {
    return false;
  }
  const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);  // from_chars takes no plus
  const char* end = text.data() + text.size();
  if (IsDecimalInteger(text)) {
    int64_t value = 0;
    return std::from_chars(begin, end, value).ec == std::errc() ? Scalar(value) : NumberOutOfRange{text};
  }
  if (IsDecimalFloat(text)) {
    double value = 0;
    return std::from_chars(begin, end, value).ec == std::errc() ? Scalar(value) : NumberOutOfRange{text};
  }
  static const auto& not_finite = *new std::vector<std::string>{".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",  ".INF",
                                                                "-.inf", "-.Inf", "-.INF", "+.inf", "+.Inf", "+.INF"};
  if (std::find(not_finite.begin(), not_finite.end(), text) != not_finite.end()) {
    return NumberOutOfRange{text};
  }
  return text;
}

class YamlHandler : public YAML::EventHandler {
 public:
  explicit YamlHandler(Binder& binder) : binder_(binder) {}

  void OnDocumentStart(const YAML::Mark&) override {
    Require(!std::exchange(has_document_, true), "---", "a file holds one document");
  }
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override { Require(false, "*", "aliases are not supported"); }
  void OnNull(const YAML::Mark&, YAML::anchor_t anchor) override {
    Refuse("?", anchor);
    Require(!TakesKey(), "null", "a key must be a string");
    Check(binder_.Value(Null{}));
    AfterValue();
  }
  void OnScalar(const YAML::Mark&, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    Refuse(tag, anchor);
    if (TakesKey()) {
      expects_key_.back() = false;
      Check(binder_.Key(value));
      return;
    }
    Check(binder_.Value(tag == "?" ? ResolvePlainYaml(value) : Scalar(value)));
    AfterValue();
  }
  void OnSequenceStart(const YAML::Mark&, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Refuse(tag, anchor);
    Require(!TakesKey(), "[…]", "a key must be a string");
    Check(binder_.BeginSequence());
    expects_key_.push_back(false);
    is_map_.push_back(false);
  }
  void OnSequenceEnd() override {
    Check(binder_.EndSequence());
    Leave();
  }
  void OnMapStart(const YAML::Mark&, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Refuse(tag, anchor);
    Require(!TakesKey(), "{…}", "a key must be a string");
    Check(binder_.BeginMap());
    expects_key_.push_back(true);
    is_map_.push_back(true);
  }
  void OnMapEnd() override {
    Check(binder_.EndMap());
    Leave();
  }

 private:
  bool TakesKey() const { return !expects_key_.empty() && expects_key_.back(); }
  void Leave() {
    expects_key_.pop_back();
    is_map_.pop_back();
    AfterValue();
  }
  void AfterValue() {
    if (!is_map_.empty() && is_map_.back()) {
      expects_key_.back() = true;
    }
  }
  void Refuse(const std::string& tag, YAML::anchor_t anchor) {
    Require(anchor == 0, "&", "anchors are not supported");
    Require(tag.empty() || tag == "?" || tag == "!", "!", "tags are not supported");
  }
  void Require(bool holds, std::string_view value, std::string reason) {
    Check(holds || binder_.Fail(value, std::move(reason)));
  }
  void Check(bool go_on) {
    if (!go_on) {
      throw StopReading();
    }
  }

  Binder& binder_;
  bool has_document_ = false;
  std::vector<bool> expects_key_;  // of each open container: a map before its next key
  std::vector<bool> is_map_;
};

void ReadJson(std::string_view text, Binder& binder) {
  JsonHandler handler(text, binder);
  nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
}

void ReadYaml(std::string_view text, Binder& binder) {
  if (const std::optional<size_t> offset = FindMalformedUtf8(text)) {
    binder.Fail(Place(text, *offset), "this is not UTF-8");
    return;
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    YamlHandler handler(binder);
    while (parser.HandleNextDocument(handler)) {
    }
  } catch (const StopReading&) {
  } catch (const YAML::Exception& error) {
    binder.Fail(fmt::format("line {} column {}", error.mark.line + 1, error.mark.column + 1),
                fmt::format("this is not valid YAML: {}", error.msg));
  }
}

std::optional<v1::CheckProblem> Read(std::string_view text, Format format, Leniency leniency,
                                     google::protobuf::Message* message) {
  Binder binder(message, leniency);
  const size_t limit = format == Format::kJson ? kMaxJsonBytes : kMaxYamlBytes;
  if (text.size() > limit) {
    binder.Fail(
        fmt::format("{} bytes", text.size()),
        fmt::format("a {} document has at most {} MiB", format == Format::kJson ? "JSON" : "YAML", limit >> 20));
  } else if (format == Format::kJson) {
    ReadJson(text, binder);
  } else {
    ReadYaml(text, binder);
  }
  if (!binder.problem() && !binder.done()) {
    binder.Fail("nothing", "the document is empty");
  }
  return binder.problem();
}

}  // namespace

absl::Status Parse(std::string_view text, Format format, bool allow_unknown, google::protobuf::Message* message) {
  const std::optional<v1::CheckProblem> problem = Read(text, format, {.allow_unknown = allow_unknown}, message);
  return problem ? absl::InvalidArgumentError(ToString(*problem)) : absl::OkStatus();
}

absl::Status ParsePartial(std::string_view text, Format format, google::protobuf::Message* message) {
  const std::optional<v1::CheckProblem> problem = Read(text, format, {.allow_missing = true}, message);
  return problem ? absl::InvalidArgumentError(ToString(*problem)) : absl::OkStatus();
}

std::vector<v1::CheckProblem> Check(std::string_view text, Format format, bool allow_unknown) {
  v1::AnalyticModelReport report;
  if (const std::optional<v1::CheckProblem> problem = Read(text, format, {.allow_unknown = allow_unknown}, &report)) {
    return {*problem};
  }
  return Validate(report);
}

}  // namespace dsocr::document
