#include "proto/document_binder.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/suggest.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "proto/document_text.h"

namespace dsocr::document {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string Show(const Scalar& value) {
  struct Visitor {
    std::string operator()(Null) const { return "null"; }
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(int64_t v) const { return fmt::format("{}", v); }
    std::string operator()(double v) const { return std::isfinite(v) ? FormatDouble(v) : fmt::format("{}", v); }
    std::string operator()(const std::string& v) const { return QuoteBriefly(v); }
    std::string operator()(const NumberOutOfRange& v) const { return Shorten(v.text); }
  };
  return std::visit(Visitor{}, value);
}

std::vector<std::string> FieldNames(const Descriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) {
    names.push_back(type.field(i)->name());
  }
  return names;
}

// Including "unspecified", which Validate refuses: what was written reads back.
const EnumValueDescriptor* FindEnumWord(const EnumDescriptor& type, const std::string& word) {
  for (int i = 0; i < type.value_count(); ++i) {
    if (EnumWord(*type.value(i)) == word) {
      return type.value(i);
    }
  }
  return nullptr;
}

std::vector<std::string> EnumWords(const EnumDescriptor& type) {
  std::vector<std::string> words;
  for (int i = 1; i < type.value_count(); ++i) {
    words.push_back(EnumWord(*type.value(i)));
  }
  return words;
}

std::optional<double> AsDouble(const Scalar& value) {
  if (const double* number = std::get_if<double>(&value); number != nullptr && std::isfinite(*number)) {
    return *number;
  }
  if (const int64_t* number = std::get_if<int64_t>(&value)) {
    return static_cast<double>(*number);
  }
  return std::nullopt;
}

// 5504.0 is an integer, as it is to JSON Schema and to languages that know one kind of number.
std::optional<int64_t> AsInteger(const Scalar& value) {
  constexpr double kAllIntegersBelow = 9007199254740992.0;  // 2^53: from there on a double stands for several
  if (const double* number = std::get_if<double>(&value);
      number != nullptr && std::abs(*number) < kAllIntegersBelow && *number == std::trunc(*number)) {
    return static_cast<int64_t>(*number);
  }
  const int64_t* number = std::get_if<int64_t>(&value);
  return number == nullptr ? std::nullopt : std::optional(*number);
}

}  // namespace

Binder::Binder(Message* message, Leniency leniency) : root_(message), leniency_(leniency) { root_->Clear(); }

bool Binder::Fail(std::string_view value, std::string reason) {
  if (!problem_) {
    problem_.emplace();
    problem_->set_path(Path());
    problem_->set_value(std::string(value));
    problem_->set_reason(std::move(reason));
  }
  return false;
}

bool Binder::WrongType(const Scalar& value, std::string_view expected) {
  if (std::holds_alternative<NumberOutOfRange>(value)) {
    return Fail(Show(value), "the number is out of range");
  }
  return Fail(Show(value), fmt::format("expected {}", expected));
}

std::string Binder::Path() const {
  std::string path;
  for (const Frame& frame : frames_) {
    switch (frame.kind) {
      case Kind::kMessage:
      case Kind::kMap:
      case Kind::kIgnored:
        if (!frame.key.empty()) {
          path += path.empty() ? "" : ".";
          path += PathStep(frame.key);
        }
        break;
      case Kind::kArray:
      case Kind::kShape:
        if (frame.index >= 0) {
          path += fmt::format("[{}]", frame.index);
        }
        break;
    }
  }
  return path.empty() ? "document" : path;
}

bool Binder::Admit() {
  if (problem_) {
    return false;
  }
  if (!frames_.empty() && frames_.back().kind != Kind::kMessage && frames_.back().kind != Kind::kMap) {
    ++frames_.back().index;
  }
  if (++values_ > kMaxValues) {
    return Fail(fmt::format("{} values", values_), fmt::format("a document has at most {} values", kMaxValues));
  }
  return true;
}

bool Binder::BeginMap() { return Admit() && Enter(/*is_map=*/true); }
bool Binder::BeginSequence() { return Admit() && Enter(/*is_map=*/false); }

bool Binder::Enter(bool is_map) {
  const std::string_view shown = is_map ? "{…}" : "[…]";
  if (frames_.size() >= kMaxDepth) {
    return Fail(shown, fmt::format("nested deeper than {} levels", kMaxDepth));
  }
  if (frames_.empty()) {
    if (!is_map) {
      return Fail(shown, "expected an object");
    }
    started_ = true;
    frames_.push_back({.kind = Kind::kMessage, .message = root_});
    return true;
  }
  Frame& top = frames_.back();
  if (top.kind == Kind::kIgnored || (top.kind == Kind::kMessage && top.field == nullptr)) {
    frames_.push_back({.kind = Kind::kIgnored});
    return true;
  }
  if (top.kind == Kind::kShape) {
    return Fail(shown, "expected an integer");
  }
  const FieldDescriptor* field = top.field;
  const Reflection& reflection = *top.message->GetReflection();
  if (top.kind == Kind::kMap) {
    return Fail(shown, "expected a number, a string or a boolean");
  }
  if (top.kind == Kind::kMessage && (field->is_map() || field->is_repeated())) {
    if (is_map != field->is_map()) {
      return Fail(shown, field->is_map() ? "expected an object" : "expected an array");
    }
    frames_.push_back({.kind = is_map ? Kind::kMap : Kind::kArray, .message = top.message, .field = field});
    return true;
  }
  const bool is_shape = IsShape(field->message_type());
  if (field->message_type() == nullptr || IsParamValue(field->message_type()) || is_map == is_shape) {
    return Fail(shown, is_shape                           ? "expected an array of integers"
                       : field->message_type() == nullptr ? "expected a single value"
                                                          : "expected an object");
  }
  Message* child =
      field->is_repeated() ? reflection.AddMessage(top.message, field) : reflection.MutableMessage(top.message, field);
  frames_.push_back({.kind = is_shape ? Kind::kShape : Kind::kMessage, .message = child});
  return true;
}

bool Binder::Key(std::string key) {
  if (problem_) {
    return false;
  }
  Frame& top = frames_.back();
  top.key = std::move(key);
  if (top.key.size() > kMaxKeyBytes) {
    return Fail(fmt::format("{} bytes", top.key.size()), fmt::format("a key has at most {} bytes", kMaxKeyBytes));
  }
  if (top.kind == Kind::kMap) {
    return top.keys.insert(top.key).second || Fail(QuoteBriefly(top.key), "this key stands here twice");
  }
  if (top.kind == Kind::kIgnored) {
    return true;
  }
  top.field = top.message->GetDescriptor()->FindFieldByName(top.key);
  if (top.field == nullptr) {
    return leniency_.allow_unknown ||
           Fail(QuoteBriefly(top.key), "unknown key" + DidYouMean(top.key, FieldNames(*top.message->GetDescriptor())));
  }
  if (top.seen.test(top.field->index())) {
    return Fail(Quote(top.key), "this key stands here twice");
  }
  top.seen.set(top.field->index());
  return true;
}

bool Binder::CheckAllSeen(const Frame& frame) {
  const Descriptor& type = *frame.message->GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    if (!frame.seen.test(i)) {
      return Fail(Quote(type.field(i)->name()), "this key is missing");
    }
  }
  return true;
}

bool Binder::EndMap() {
  if (problem_) {
    return false;
  }
  frames_.back().key.clear();
  if (frames_.back().kind == Kind::kMessage && !leniency_.allow_missing && !CheckAllSeen(frames_.back())) {
    return false;
  }
  frames_.pop_back();
  return true;
}

bool Binder::EndSequence() {
  if (problem_) {
    return false;
  }
  frames_.pop_back();
  return true;
}

bool Binder::Value(Scalar value) {
  if (!Admit()) {
    return false;
  }
  if (frames_.empty()) {
    return WrongType(value, "an object");
  }
  Frame& top = frames_.back();
  switch (top.kind) {
    case Kind::kIgnored:
      return true;
    case Kind::kShape:
      return AddDim(static_cast<v1::Shape*>(top.message), value);
    case Kind::kMap:
      return SetMapEntry(top, std::move(value));
    case Kind::kArray:
      return SetField(top.message, top.field, std::move(value));
    case Kind::kMessage:
      break;
  }
  if (top.field == nullptr) {
    return true;  // below an unknown key that is allowed
  }
  if (top.field->is_repeated()) {
    return WrongType(value, top.field->is_map() ? "an object" : "an array");
  }
  if (top.field->has_presence() && std::holds_alternative<Null>(value)) {
    return true;
  }
  return SetField(top.message, top.field, std::move(value));
}

// Sets a singular field, or adds to a repeated one.
bool Binder::SetField(Message* message, const FieldDescriptor* field, Scalar value) {
  const Reflection& reflection = *message->GetReflection();
  const bool repeated = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      if (std::string* text = std::get_if<std::string>(&value)) {
        repeated ? reflection.AddString(message, field, std::move(*text))
                 : reflection.SetString(message, field, std::move(*text));
        return true;
      }
      return WrongType(value, "a string");
    case FieldDescriptor::CPPTYPE_BOOL:
      if (const bool* truth = std::get_if<bool>(&value)) {
        repeated ? reflection.AddBool(message, field, *truth) : reflection.SetBool(message, field, *truth);
        return true;
      }
      return WrongType(value, "true or false");
    case FieldDescriptor::CPPTYPE_INT64:
      if (const std::optional<int64_t> number = AsInteger(value)) {
        repeated ? reflection.AddInt64(message, field, *number) : reflection.SetInt64(message, field, *number);
        return true;
      }
      return WrongType(value, "an integer");
    case FieldDescriptor::CPPTYPE_INT32:
      if (const std::optional<int64_t> number = AsInteger(value)) {
        if (*number != static_cast<int32_t>(*number)) {
          return Fail(Show(value), "the number is out of range");
        }
        const auto narrow = static_cast<int32_t>(*number);
        repeated ? reflection.AddInt32(message, field, narrow) : reflection.SetInt32(message, field, narrow);
        return true;
      }
      return WrongType(value, "an integer");
    case FieldDescriptor::CPPTYPE_DOUBLE:
      if (const std::optional<double> number = AsDouble(value)) {
        repeated ? reflection.AddDouble(message, field, *number) : reflection.SetDouble(message, field, *number);
        return true;
      }
      return WrongType(value, "a finite number");
    case FieldDescriptor::CPPTYPE_ENUM: {
      const EnumDescriptor& type = *field->enum_type();
      const std::string* word = std::get_if<std::string>(&value);
      if (const EnumValueDescriptor* known = word == nullptr ? nullptr : FindEnumWord(type, *word)) {
        repeated ? reflection.AddEnum(message, field, known) : reflection.SetEnum(message, field, known);
        return true;
      }
      const std::vector<std::string> words = EnumWords(type);
      return WrongType(
          value, fmt::format("one of {}{}", fmt::join(words, ", "), word == nullptr ? "" : DidYouMean(*word, words)));
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (IsParamValue(field->message_type())) {
        return SetParamValue(static_cast<v1::ParamValue*>(repeated ? reflection.AddMessage(message, field)
                                                                   : reflection.MutableMessage(message, field)),
                             std::move(value));
      }
      return WrongType(value, IsShape(field->message_type()) ? "an array of integers" : "an object");
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
    case FieldDescriptor::CPPTYPE_FLOAT:
      break;
  }
  return WrongType(value, "nothing: no document has this type");
}

bool Binder::SetMapEntry(Frame& frame, Scalar value) {
  const Descriptor& entry_type = *frame.field->message_type();
  Message* entry = frame.message->GetReflection()->AddMessage(frame.message, frame.field);
  entry->GetReflection()->SetString(entry, entry_type.map_key(), frame.key);
  return SetField(entry, entry_type.map_value(), std::move(value));
}

bool Binder::SetParamValue(v1::ParamValue* param, Scalar value) {
  if (const bool* truth = std::get_if<bool>(&value)) {
    param->set_bool_value(*truth);
  } else if (const int64_t* integer = std::get_if<int64_t>(&value)) {
    param->set_int_value(*integer);
  } else if (const double* number = std::get_if<double>(&value); number != nullptr && std::isfinite(*number)) {
    param->set_float_value(*number);
  } else if (std::string* text = std::get_if<std::string>(&value)) {
    param->set_string_value(std::move(*text));
  } else {
    return WrongType(value, "a finite number, a string or a boolean");
  }
  return true;
}

bool Binder::AddDim(v1::Shape* shape, const Scalar& value) {
  const std::optional<int64_t> dim = AsInteger(value);
  if (!dim) {
    return WrongType(value, "an integer");
  }
  shape->add_dims(*dim);
  return true;
}

}  // namespace dsocr::document
