#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "fmt/format.h"
#include "proto/document.h"
#include "proto/document_text.h"

namespace dsocr::document {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Where a document goes. A value is announced by Key inside a map, by nothing inside a sequence.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void BeginMap(bool empty) = 0;
  virtual void Key(const std::string& key) = 0;
  virtual void EndMap() = 0;
  virtual void BeginSequence(bool empty, bool on_one_line) = 0;
  virtual void EndSequence() = 0;
  virtual void Literal(std::string_view text) = 0;  // a number, true, false, null
  virtual void String(const std::string& value) = 0;
};

void WriteMessage(const Message& message, Sink& sink);

void WriteParamValue(const v1::ParamValue& value, Sink& sink) {
  switch (value.value_case()) {
    case v1::ParamValue::kIntValue:
      return sink.Literal(fmt::format("{}", value.int_value()));
    case v1::ParamValue::kFloatValue:
      return sink.Literal(FormatDouble(value.float_value()));
    case v1::ParamValue::kStringValue:
      return sink.String(value.string_value());
    case v1::ParamValue::kBoolValue:
      return sink.Literal(value.bool_value() ? "true" : "false");
    case v1::ParamValue::VALUE_NOT_SET:
      return sink.Literal("null");
  }
}

void WriteShape(const v1::Shape& shape, Sink& sink) {
  sink.BeginSequence(shape.dims().empty(), /*on_one_line=*/true);
  for (const int64_t dim : shape.dims()) {
    sink.Literal(fmt::format("{}", dim));
  }
  sink.EndSequence();
}

void WriteSubmessage(const Message& message, Sink& sink) {
  if (IsShape(message.GetDescriptor())) {
    WriteShape(static_cast<const v1::Shape&>(message), sink);
  } else if (IsParamValue(message.GetDescriptor())) {
    WriteParamValue(static_cast<const v1::ParamValue&>(message), sink);
  } else {
    WriteMessage(message, sink);
  }
}

// The value of a singular field, or element `i` of a repeated one.
void WriteValue(const Message& message, const FieldDescriptor* field, int i, Sink& sink) {
  const Reflection& reflection = *message.GetReflection();
  const bool repeated = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return sink.Literal(fmt::format(
          "{}", repeated ? reflection.GetRepeatedInt32(message, field, i) : reflection.GetInt32(message, field)));
    case FieldDescriptor::CPPTYPE_INT64:
      return sink.Literal(fmt::format(
          "{}", repeated ? reflection.GetRepeatedInt64(message, field, i) : reflection.GetInt64(message, field)));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return sink.Literal(FormatDouble(repeated ? reflection.GetRepeatedDouble(message, field, i)
                                                : reflection.GetDouble(message, field)));
    case FieldDescriptor::CPPTYPE_BOOL:
      return sink.Literal(
          (repeated ? reflection.GetRepeatedBool(message, field, i) : reflection.GetBool(message, field)) ? "true"
                                                                                                          : "false");
    case FieldDescriptor::CPPTYPE_ENUM:
      return sink.String(
          EnumWord(repeated ? *reflection.GetRepeatedEnum(message, field, i) : *reflection.GetEnum(message, field)));
    case FieldDescriptor::CPPTYPE_STRING:
      return sink.String(repeated ? reflection.GetRepeatedString(message, field, i)
                                  : reflection.GetString(message, field));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return WriteSubmessage(
          repeated ? reflection.GetRepeatedMessage(message, field, i) : reflection.GetMessage(message, field), sink);
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return sink.Literal("null");  // our protos have none of these
  }
}

void WriteMap(const Message& message, const FieldDescriptor* field, Sink& sink) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<std::pair<std::string, const Message*>> entries;
  for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
    const Message& entry = reflection.GetRepeatedMessage(message, field, i);
    entries.emplace_back(entry.GetReflection()->GetString(entry, field->message_type()->map_key()), &entry);
  }
  std::sort(entries.begin(), entries.end());
  sink.BeginMap(entries.empty());
  for (const auto& [key, entry] : entries) {
    sink.Key(key);
    WriteValue(*entry, field->message_type()->map_value(), 0, sink);
  }
  sink.EndMap();
}

void WriteRepeated(const Message& message, const FieldDescriptor* field, Sink& sink) {
  const int size = message.GetReflection()->FieldSize(message, field);
  const bool is_number =
      field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE && field->cpp_type() != FieldDescriptor::CPPTYPE_STRING;
  sink.BeginSequence(size == 0, is_number);
  for (int i = 0; i < size; ++i) {
    WriteValue(message, field, i, sink);
  }
  sink.EndSequence();
}

void WriteMessage(const Message& message, Sink& sink) {
  const Descriptor& type = *message.GetDescriptor();
  sink.BeginMap(type.field_count() == 0);
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    sink.Key(field->name());
    if (field->is_map()) {
      WriteMap(message, field, sink);
    } else if (field->is_repeated()) {
      WriteRepeated(message, field, sink);
    } else if (field->has_presence() && !message.GetReflection()->HasField(message, field)) {
      sink.Literal("null");
    } else {
      WriteValue(message, field, 0, sink);
    }
  }
  sink.EndMap();
}

class JsonSink : public Sink {
 public:
  void BeginMap(bool empty) override { Begin('{', empty, false); }
  void EndMap() override { End('}'); }
  void BeginSequence(bool empty, bool on_one_line) override { Begin('[', empty, on_one_line); }
  void EndSequence() override { End(']'); }
  void Key(const std::string& key) override {
    Separate();
    out_ += Quote(key);
    out_ += ": ";
    after_key_ = true;
  }
  void Literal(std::string_view text) override {
    Separate();
    out_ += text;
  }
  void String(const std::string& value) override {
    Separate();
    out_ += Quote(value);
  }
  std::string Finish() {
    out_ += '\n';
    return std::move(out_);
  }

 private:
  struct Level {
    bool on_one_line;
    bool has_elements;
  };

  void Begin(char bracket, bool empty, bool on_one_line) {
    Separate();
    out_ += bracket;
    levels_.push_back({on_one_line || empty, false});
  }
  void End(char bracket) {
    const bool on_one_line = levels_.back().on_one_line;
    levels_.pop_back();
    if (!on_one_line) {
      NewLine();
    }
    out_ += bracket;
  }
  // What stands between the last token and the next one.
  void Separate() {
    if (std::exchange(after_key_, false) || levels_.empty()) {
      return;
    }
    const bool is_first = !std::exchange(levels_.back().has_elements, true);
    if (!is_first) {
      out_ += levels_.back().on_one_line ? ", " : ",";
    }
    if (!levels_.back().on_one_line) {
      NewLine();
    }
  }
  void NewLine() {
    out_ += '\n';
    out_.append(2 * levels_.size(), ' ');
  }

  std::string out_;
  std::vector<Level> levels_;
  bool after_key_ = false;
};

// Words that YAML 1.1 or 1.2 readers take for booleans, nulls or numbers.
bool IsReservedYamlWord(const std::string& text) {
  static const auto& words =
      *new std::vector<std::string>{"y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan", "inf"};
  return std::find(words.begin(), words.end(), absl::AsciiStrToLower(text)) != words.end();
}

// Only what every YAML reader takes for the same string: begins with a letter or a slash, continues with harmless
// characters.
bool IsPlainYaml(const std::string& text) {
  if (text.empty() || !(absl::ascii_isalpha(text[0]) || text[0] == '/') || text.back() == ' ') {
    return false;
  }
  const bool is_harmless = std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(c) || std::string_view("_-./+() ").find(c) != std::string_view::npos;
  });
  return is_harmless && !IsReservedYamlWord(text);
}

std::string YamlString(const std::string& text) { return IsPlainYaml(text) ? text : Quote(text); }

// Block style, sequences indented below their key; what is empty or on one line is in flow style.
class YamlSink : public Sink {
 public:
  void BeginMap(bool empty) override { Begin("{}", empty, false); }
  void EndMap() override { End(); }
  void BeginSequence(bool empty, bool on_one_line) override {
    Begin(on_one_line ? "[" : "[]", empty || on_one_line, true);
    if (on_one_line) {
      levels_.back().in_flow = true;
    }
  }
  void EndSequence() override { End(); }
  void Key(const std::string& key) override {
    StartLine();
    out_ += YamlString(key);
    out_ += ':';
    after_ = After::kKey;
  }
  void Literal(std::string_view text) override { Scalar(text); }
  void String(const std::string& value) override { Scalar(YamlString(value)); }
  std::string Finish() {
    out_ += '\n';
    return std::move(out_);
  }

 private:
  enum class After { kNothing, kKey, kDash };
  struct Level {
    bool is_sequence;
    bool in_flow = false;
    bool has_elements = false;
  };

  void Scalar(std::string_view text) {
    StartValue();
    out_ += text;
  }
  void Begin(std::string_view flow_text, bool in_flow, bool is_sequence) {
    if (in_flow || levels_.empty()) {
      StartValue();
      if (in_flow) {
        out_ += flow_text;
      }
    } else if (levels_.back().is_sequence) {
      StartLine();
      out_ += '-';
      after_ = After::kDash;
    }
    levels_.push_back({is_sequence});
  }
  void End() {
    if (levels_.back().in_flow) {
      out_ += ']';
    }
    levels_.pop_back();
    after_ = After::kNothing;
  }
  // Puts a value after its key or dash.
  void StartValue() {
    if (levels_.empty()) {
      return;
    }
    Level& level = levels_.back();
    if (level.in_flow) {
      out_ += std::exchange(level.has_elements, true) ? ", " : "";
      return;
    }
    if (level.is_sequence) {
      StartLine();
      out_ += '-';
    }
    out_ += ' ';
    after_ = After::kNothing;
  }
  // A new line of the innermost level, or the rest of the line of the dash before it.
  void StartLine() {
    if (after_ == After::kDash) {
      out_ += ' ';
    } else if (!out_.empty()) {
      out_ += '\n';
      out_.append(2 * (levels_.size() - 1), ' ');
    }
    after_ = After::kNothing;
  }

  std::string out_;
  std::vector<Level> levels_;
  After after_ = After::kNothing;
};

}  // namespace

std::string ToJson(const Message& message) {
  JsonSink sink;
  WriteSubmessage(message, sink);
  return sink.Finish();
}

std::string ToYaml(const Message& message) {
  YamlSink sink;
  WriteSubmessage(message, sink);
  return sink.Finish();
}

std::string FormatDouble(double value) {
  if (!std::isfinite(value)) {
    return "null";
  }
  std::string text = fmt::format("{}", value);
  if (text.find('.') == std::string::npos) {
    text.insert(std::min(text.find('e'), text.size()), ".0");
  }
  return text;
}

std::string EnumWord(const EnumValueDescriptor& value) {
  std::string_view prefix = value.type()->value(0)->name();  // STAGE_UNSPECIFIED
  prefix.remove_suffix(prefix.size() - std::min(prefix.size(), prefix.rfind('_') + 1));
  const std::string_view name = value.name();
  return absl::AsciiStrToLower(std::string(name.starts_with(prefix) ? name.substr(prefix.size()) : name));
}

Format FormatOfFileName(std::string_view file_name) {
  return file_name.ends_with(".yaml") || file_name.ends_with(".yml") ? Format::kYaml : Format::kJson;
}

}  // namespace dsocr::document
