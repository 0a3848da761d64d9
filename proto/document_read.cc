#include <algorithm>
#include <cstdint>
#include <utility>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "proto/document.h"
#include "proto/document_binder.h"
#include "proto/document_text.h"
#include "proto/document_yaml.h"

namespace dsocr::document {
namespace {

absl::Status ToStatus(const std::optional<v1::CheckProblem>& problem) {
  return problem ? absl::InvalidArgumentError(
                       fmt::format("{}: {}: {}", problem->path(), problem->value(), problem->reason()))
                 : absl::OkStatus();
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

void ReadJson(std::string_view text, Binder& binder) {
  JsonHandler handler(text, binder);
  nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
}

// Reads as much as it takes to find the one problem, in linear time.
std::optional<v1::CheckProblem> Read(std::string_view text, Format format, Leniency leniency,
                                     google::protobuf::Message* message) {
  constexpr std::string_view kByteOrderMark = "\uFEFF";
  Binder binder(message, leniency);
  if (text.starts_with(kByteOrderMark)) {
    text.remove_prefix(kByteOrderMark.size());
  }
  if (text.size() > kMaxBytes) {
    binder.Fail(fmt::format("{} bytes", text.size()), fmt::format("a document has at most {} MiB", kMaxBytes >> 20));
  } else if (const std::optional<size_t> offset = FindMalformedUtf8(text)) {
    binder.Fail(Place(text, *offset), "this is not UTF-8");
  } else if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    binder.Fail(Place(text, nul), "a text file has no NUL byte");  // nlohmann would take it for the end
  } else if (format == Format::kJson) {
    ReadJson(text, binder);
  } else {
    ReadYaml(text, /*must_end=*/!leniency.allow_missing, binder);
  }
  if (!binder.problem() && !binder.done()) {
    binder.Fail("nothing", "the document is empty");
  }
  return binder.problem();
}

}  // namespace

absl::Status Parse(std::string_view text, Format format, bool allow_unknown, google::protobuf::Message* message) {
  return ToStatus(Read(text, format, {.allow_unknown = allow_unknown}, message));
}

absl::Status ParsePartial(std::string_view text, Format format, google::protobuf::Message* message) {
  return ToStatus(Read(text, format, {.allow_missing = true}, message));
}

absl::Status ParseForeign(std::string_view text, Format format, google::protobuf::Message* message) {
  return ToStatus(Read(text, format, {.allow_unknown = true, .allow_missing = true}, message));
}

std::vector<v1::CheckProblem> Check(std::string_view text, Format format, bool allow_unknown) {
  v1::AnalyticModelReport report;
  if (const std::optional<v1::CheckProblem> problem = Read(text, format, {.allow_unknown = allow_unknown}, &report)) {
    return {*problem};
  }
  return Validate(report);
}

}  // namespace dsocr::document
