#include "daemon/http/schema.h"

#include <utility>

#include "fmt/format.h"
#include "proto/document.h"
#include "proto/document_text.h"

namespace dsocr::http {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

// A message that is both read and written has two schemas, and two names.
std::string NameOf(const Descriptor& type, Direction direction) {
  const bool is_told_apart = direction == Direction::kRead && !type.name().ends_with("Request");
  return type.name() + (is_told_apart ? "Input" : "");
}

// Without the unspecified one: it stands for "not set", which no document may say.
Json EnumSchema(const EnumDescriptor& type) {
  Json words = Json::array();
  for (int i = 1; i < type.value_count(); ++i) {
    words.push_back(document::EnumWord(*type.value(i)));
  }
  return {{"type", "string"}, {"enum", std::move(words)}};
}

// Numbers of a report are not negative (contracts, validation).
Json IntegerSchema(const FieldRule* rule) {
  Json schema = {{"type", "integer"}, {"format", "int64"}, {"minimum", rule == nullptr ? 0 : rule->minimum}};
  if (rule != nullptr) {
    schema["maximum"] = rule->maximum;
    if (rule->multiple_of != 1) {
      schema["multipleOf"] = rule->multiple_of;
    }
  }
  return schema;
}

bool IsOptional(const FieldDescriptor& field) { return field.has_presence() && !field.is_repeated(); }

Json OrNull(Json schema) {
  if (schema.contains("$ref")) {
    return {{"anyOf", {std::move(schema), {{"type", "null"}}}}};
  }
  schema["type"] = {schema["type"], "null"};
  return schema;
}

}  // namespace

Json SchemaSet::Refer(const Descriptor& type, Direction direction) {
  const std::string name = NameOf(type, direction);
  if (!components_.contains(name)) {
    components_[name] = nullptr;  // keeps its place before the schemas that it refers to
    components_[name] = ObjectSchema(type, direction);
  }
  return {{"$ref", fmt::format("#/components/schemas/{}", name)}};
}

Json SchemaSet::ObjectSchema(const Descriptor& type, Direction direction) {
  Json properties = Json::object();
  Json required = Json::array();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    properties[field.name()] = FieldSchema(field, direction);
    const FieldRule* rule = direction == Direction::kRead ? FindRule(field) : nullptr;
    if (direction == Direction::kWritten || (rule != nullptr && rule->is_required)) {
      required.push_back(field.name());
    }
  }
  Json schema = {{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) {
    schema["required"] = std::move(required);
  }
  if (direction == Direction::kRead) {
    schema["additionalProperties"] = false;
  }
  return schema;
}

Json SchemaSet::FieldSchema(const FieldDescriptor& field, Direction direction) {
  const FieldRule* rule = direction == Direction::kRead ? FindRule(field) : nullptr;
  Json schema;
  if (field.is_map()) {
    schema = {{"type", "object"}, {"additionalProperties", ValueSchema(*field.message_type()->map_value(), direction)}};
  } else if (field.is_repeated()) {
    schema = {{"type", "array"}, {"items", ValueSchema(field, direction)}};
    if (rule != nullptr) {
      schema["maxItems"] = rule->max_items;
    }
  } else {
    schema = ValueSchema(field, direction);
  }
  if (IsOptional(field)) {
    schema = OrNull(std::move(schema));
  }
  if (rule != nullptr) {
    schema["description"] = rule->description;
  }
  return schema;
}

Json SchemaSet::ValueSchema(const FieldDescriptor& field, Direction direction) {
  const FieldRule* rule = direction == Direction::kRead ? FindRule(field) : nullptr;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      return IntegerSchema(rule);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return {{"type", "number"}, {"format", "double"}, {"minimum", 0}};
    case FieldDescriptor::CPPTYPE_BOOL:
      return {{"type", "boolean"}};
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumSchema(*field.enum_type());
    case FieldDescriptor::CPPTYPE_STRING:
      return StringSchema(rule);
    default:
      break;
  }
  if (document::IsShape(field.message_type())) {
    return {{"type", "array"}, {"items", IntegerSchema(nullptr)}};
  }
  if (document::IsParamValue(field.message_type())) {
    return {{"type", {"integer", "number", "string", "boolean"}}};
  }
  return Refer(*field.message_type(), direction);
}

Json SchemaSet::StringSchema(const FieldRule* rule) const {
  Json schema = {{"type", "string"}};
  if (rule == nullptr) {
    return schema;
  }
  if (rule->names != nullptr) {
    schema["enum"] = Json::array({""});
    for (const std::string& name : vocabulary_.*rule->names) {
      schema["enum"].push_back(name);
    }
    return schema;
  }
  if (rule->max_length != 0) {
    schema["maxLength"] = rule->max_length;
  }
  if (!rule->pattern.empty()) {
    schema["pattern"] = rule->pattern;
  }
  return schema;
}

}  // namespace dsocr::http
